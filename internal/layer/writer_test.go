package layer

import (
	"archive/tar"
	"bytes"
	stdflate "compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := stdflate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func record(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
}

type file struct {
	path   string
	data   []byte
	stored bool
}

func sample() []file {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	text := bytes.Repeat([]byte("def f(x):\n    return x + 1\n"), 9000)
	return []file{
		{"/root/.venv/a/__init__.py", nil, false},
		{"/root/.venv/a/big.bin", noise(300_001), false},
		{"/root/.venv/a/big.raw", noise(200_000), true},
		{"/root/.venv/a/small.raw", noise(100), true},
		{"/root/.venv/a/exact.raw", noise(512), true},
		{"/root/.venv/a/text.py", text, false},
		{"/root/.venv/a/" + strings.Repeat("long/", 30) + "x.py", text[:1000], false},
		{"/root/.venv/a/" + strings.Repeat("verylong/", 60) + "x.py", text[:1000], false},
		{"/root/.venv/a/naïve.py", text[:77], false},
	}
}

func parents(string) Header { return Header{Mode: 0o755, UID: 1000, GID: 1000} }

func write(t testing.TB, o Options, files []file) ([]byte, Result) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, o)
	for _, f := range files {
		h := Header{Path: f.path, Mode: 0o644, UID: 1000, GID: 1000, Size: int64(len(f.data))}
		var err error
		if f.stored {
			err = w.Store(h, bytes.NewReader(f.data), crc32.ChecksumIEEE(f.data), record(f.data))
		} else {
			raw := deflated(t, f.data)
			err = w.Deflate(h, bytes.NewReader(raw), int64(len(raw)), crc32.ChecksumIEEE(f.data), record(f.data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Symlink(Header{Path: "/root/.venv/bin/python", Mode: 0o777}, "/usr/local/bin/"+strings.Repeat("p", 120)); err != nil {
		t.Fatal(err)
	}
	if err := w.File(Header{Path: "/root/.venv/bin/tool", Mode: 0o755}, []byte("#!/root/.venv/bin/python\n")); err != nil {
		t.Fatal(err)
	}
	r, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), r
}

func TestWriterIsReadBack(t *testing.T) {
	files := sample()
	for _, workers := range []int{0, 4} {
		data, r := write(t, Options{Parents: parents, Workers: workers}, files)
		if sum := sha256.Sum256(data); r.Digest != "sha256:"+hex.EncodeToString(sum[:]) || r.Size != int64(len(data)) {
			t.Errorf("digest %s, size %d do not describe the bytes", r.Digest, r.Size)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(plain); r.DiffID != "sha256:"+hex.EncodeToString(sum[:]) {
			t.Errorf("diffID %s does not describe the tar", r.DiffID)
		}
		if len(r.Mismatched) != 0 {
			t.Errorf("mismatched: %v", r.Mismatched)
		}
		got := map[string][]byte{}
		tr := tar.NewReader(bytes.NewReader(plain))
		for {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(Epoch) {
				t.Errorf("%s: time %s", h.Name, h.ModTime)
			}
			if h.Typeflag == tar.TypeDir && (h.Uid != 1000 || h.Mode != 0o755) {
				t.Errorf("%s: mode %o, uid %d", h.Name, h.Mode, h.Uid)
			}
			b, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			got["/"+h.Name] = b
		}
		for _, f := range files {
			if b, ok := got[f.path]; !ok || !bytes.Equal(b, f.data) {
				t.Errorf("%s: %d bytes, found %v, want %d", f.path, len(b), ok, len(f.data))
			}
		}
		if _, ok := got["/root/.venv/bin/"]; !ok {
			t.Error("the parent directory /root/.venv/bin is missing")
		}
	}
}

func TestOpaqueStandsFirstInItsDirectory(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, Options{Parents: parents})
	dir := Header{Path: "/root/.venv", Mode: 0o755}
	if err := w.Dir(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.Opaque(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.File(Header{Path: "/root/.venv/.gitignore", Mode: 0o644}, []byte("*")); err != nil {
		t.Fatal(err)
	}
	res, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "root/ root/.venv/ root/.venv/.wh..wh..opq root/.venv/.gitignore" {
		t.Errorf("entries %s", got)
	}
	if res.Files != 1 {
		t.Errorf("%d files counted", res.Files)
	}
	w = NewWriter(io.Discard, Options{})
	if err := w.Opaque(dir); err == nil {
		t.Error("a directory that is not in the layer hides what lies below")
	}
	_, _ = w.Close()
}
