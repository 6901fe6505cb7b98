package layer

import (
	"bytes"
	stdflate "compress/flate"
	"compress/gzip"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestEncoder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	header := appendHeader(nil, Header{Path: "/root/.venv/lib/python3.11/site-packages/pandas/core/frame.py", Mode: 0o644, UID: 1000, GID: 1000, Size: 12345}, typeFile, "", Epoch.Unix())
	tests := map[string][]byte{
		"nothing":   nil,
		"one byte":  {0xff},
		"zeros":     make([]byte, 100_000),
		"noise":     noise,
		"header":    header,
		"far match": append(append(bytes.Clone(noise[:40_000]), "abcdefgh"...), noise[:40_000]...),
		"text":      []byte(strings.Repeat("the quick brown fox. ", 5000)),
	}
	for n := range 300 { // each length of a match
		tests["run of "+strings.Repeat("i", n)] = append(bytes.Repeat([]byte{byte(n)}, n), 1, 2, 3)
	}
	var e encoder
	for name, data := range tests {
		out := e.append(nil, data, true)
		back, err := io.ReadAll(stdflate.NewReader(bytes.NewReader(out)))
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%s: read back %d of %d bytes: %v", name, len(back), len(data), err)
		}
		// Not final: what follows begins at a byte.
		out = e.append(nil, data, false)
		out = append(out, e.append(nil, header, true)...)
		back, err = io.ReadAll(stdflate.NewReader(bytes.NewReader(out)))
		if err != nil || !bytes.Equal(back, append(bytes.Clone(data), header...)) {
			t.Errorf("%s, then a header: read back %d bytes: %v", name, len(back), err)
		}
	}
	if n := len(e.append(nil, header, false)); n > 150 {
		t.Errorf("a file's header takes %d bytes", n)
	}
}

func TestCombine(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	data := make([]byte, 70_000)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for _, cut := range []int{0, 1, 2, 511, 512, 65_535, 70_000} {
		got := combine(crc32.ChecksumIEEE(data[:cut]), crc32.ChecksumIEEE(data[cut:]), int64(len(data)-cut))
		if want := crc32.ChecksumIEEE(data); got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}

// FuzzDeflateMember gives any bytes as an entry's stream. What we accept must be
// read by compress/gzip exactly as we understood it.
func FuzzDeflateMember(f *testing.F) {
	f.Add(deflated(f, []byte("hello, hello, hello")), uint16(19))
	f.Add(deflated(f, bytes.Repeat([]byte{0}, 70_000)), uint16(4464))
	f.Add([]byte{3, 0}, uint16(0))
	f.Add([]byte{1, 0, 0, 0xff, 0xff}, uint16(0))
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		// What another inflater makes of it, size and all, else the CRC stops nearly every input.
		content, _ := io.ReadAll(io.LimitReader(stdflate.NewReader(bytes.NewReader(raw)), 1<<20))
		n := int64(len(content))
		if size%2 == 1 {
			n = int64(size)
		}
		var b bytes.Buffer
		w := NewWriter(&b, Options{})
		err := w.Deflate(Header{Path: "/x", Mode: 0o644, Size: n}, bytes.NewReader(raw), int64(len(raw)), crc32.ChecksumIEEE(content), "")
		_, closed := w.Close()
		if (err == nil) != (closed == nil) {
			t.Fatalf("Close says %v after %v", closed, err)
		}
		if err != nil {
			return
		}
		z, err := gzip.NewReader(&b)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatalf("accepted, but gzip says %v", err)
		}
		if !bytes.Equal(plain[blockSize:blockSize+n], content) {
			t.Error("accepted, but gzip reads another content")
		}
	})
}
