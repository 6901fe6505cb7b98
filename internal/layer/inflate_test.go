package layer

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
	"testing/iotest"
)

// inflate decodes raw as a worker does, and tells how much of it follows the stream.
func (d *inflater) inflate(raw io.Reader, size int) (content []byte, left int64, err error) {
	var own [2]buffer
	turn := 0
	d.get = func() *buffer {
		turn = 1 - turn
		return &own[turn]
	}
	d.emit = func(_ *buffer, p []byte) error {
		content = append(content, p...)
		if len(content) > 1<<24 {
			return errors.New("too long for a test")
		}
		return nil
	}
	err = d.run(&tap{r: raw, left: int64(size)})
	return content, d.unread(), err
}

// reference decodes raw with Go's decoder.
func reference(raw []byte) (content []byte, left int64, err error) {
	r := bytes.NewReader(raw)
	content, err = io.ReadAll(io.LimitReader(flate.NewReader(r), 1<<24+1))
	return content, int64(r.Len()), err
}

func deflate(t testing.TB, level int, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents have matches near and far, runs of all short distances, and none at all.
func contents() map[string][]byte {
	r := rand.New(rand.NewSource(1))
	noise := make([]byte, 300<<10)
	r.Read(noise)
	var runs, far, text bytes.Buffer
	for runs.Len() < 400<<10 {
		period := noise[runs.Len()%1000:][:1+r.Intn(20)]
		runs.Write(bytes.Repeat(period, 1+r.Intn(60)))
	}
	for far.Len() < 600<<10 {
		far.Write(noise[:20<<10+r.Intn(12<<10)]) // matches at nearly the window's length
	}
	for i := 0; text.Len() < 500<<10; i++ {
		fmt.Fprintf(&text, "    def method_%d(self, value: int = %d) -> None:\n", r.Intn(5000), i)
	}
	return map[string][]byte{
		"empty": nil, "one": {7}, "noise": noise, "runs": runs.Bytes(), "far": far.Bytes(), "text": text.Bytes(), "zeros": make([]byte, 1<<20),
		"a buffer": text.Bytes()[:limit], "a buffer and one": text.Bytes()[:limit+1], "stored buffer": noise[:limit], "a window": noise[:windowSize],
	}
}

func TestInflate(t *testing.T) {
	d := new(inflater) // the same for all: it must begin each stream anew
	for name, content := range contents() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			raw := deflate(t, level, content)
			for kind, r := range map[string]io.Reader{
				"whole": bytes.NewReader(raw), "halves": iotest.HalfReader(bytes.NewReader(raw)), "end with data": iotest.DataErrReader(bytes.NewReader(raw)),
			} {
				got, left, err := d.inflate(r, len(raw))
				if err != nil || left != 0 || !bytes.Equal(got, content) {
					t.Fatalf("%s at level %d, read in %s: %d of %d bytes, %d left, %v", name, level, kind, len(got), len(content), left, err)
				}
			}
		}
	}
}

// A stream tells its end by itself: what follows is left.
func TestInflateLeavesWhatFollows(t *testing.T) {
	d := new(inflater)
	raw := deflate(t, 6, contents()["text"])
	for _, n := range []int{1, 7, 8, 9, 1000, 200 << 10} {
		_, left, err := d.inflate(bytes.NewReader(append(bytes.Clone(raw), make([]byte, n)...)), len(raw)+n)
		if err != nil || left != int64(n) {
			t.Errorf("%d bytes follow: %d are left, %v", n, left, err)
		}
	}
}

func TestInflateCutOff(t *testing.T) {
	d := new(inflater)
	for _, level := range []int{0, 1, 6} {
		raw := deflate(t, level, contents()["text"][:3000])
		for n := range raw {
			if _, _, err := d.inflate(bytes.NewReader(raw), n); !errors.Is(err, errTooShort) {
				t.Fatalf("level %d, %d of %d bytes: %v", level, n, len(raw), err)
			}
		}
	}
}

// stream packs fields of value and width, lowest bit first, as deflate does.
func stream(fields ...[2]int) []byte {
	var b []byte
	n := 0
	for _, f := range fields {
		for i := range f[1] {
			if n%8 == 0 {
				b = append(b, 0)
			}
			b[n/8] |= byte(f[0]>>i&1) << (n % 8)
			n++
		}
	}
	return b
}

func TestInflateRefuses(t *testing.T) {
	dynamic := func(nlit, ndist, nclen int, rest ...[2]int) []byte {
		return stream(append([][2]int{{1, 1}, {2, 2}, {nlit, 5}, {ndist, 5}, {nclen, 4}}, rest...)...)
	}
	// a code for lengths with one bit each for 1 (code 0) and 18 (code 1), in the header's order
	lengths := func() [][2]int {
		var f [][2]int
		for _, s := range codeOrder[:18] {
			f = append(f, [2]int{map[uint8]int{1: 1, 18: 1}[s], 3})
		}
		return f
	}
	one, zeros := [2]int{0, 1}, func(n int) [][2]int { return [][2]int{{1, 1}, {n - 11, 7}} }
	join := func(parts ...[][2]int) (all [][2]int) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, raw := range map[string][]byte{
		"block type 3":                       stream([2]int{1, 1}, [2]int{3, 2}, [2]int{0, 32}),
		"stored lengths that disagree":       {1, 5, 0, 5, 0, 1, 2, 3, 4, 5},
		"287 literal codes":                  dynamic(30, 0, 0, [2]int{0, 64}),
		"31 distance codes":                  dynamic(0, 30, 0, [2]int{0, 64}),
		"a code for lengths that is empty":   dynamic(0, 0, 0, [2]int{0, 64}),
		"a code for lengths that is too big": dynamic(0, 0, 0, [2]int{0x249, 12}, [2]int{0, 64}),
		"no end of block":                    dynamic(0, 0, 14, join(lengths(), [][2]int{one, one}, zeros(138), zeros(118), [][2]int{{0, 64}})...),
		"a repeat over the end":              dynamic(0, 0, 14, join(lengths(), zeros(138), zeros(138), [][2]int{{0, 64}})...),
		"distance before the start":          stream([2]int{1, 1}, [2]int{1, 2}, [2]int{0x40, 7}, [2]int{0, 5}, [2]int{0, 7}, [2]int{0, 32}),
		"distance symbol 30":                 stream([2]int{1, 1}, [2]int{1, 2}, [2]int{0x0c, 8}, [2]int{0x40, 7}, [2]int{0xf, 5}, [2]int{0, 64}),
		"length symbol 286":                  stream([2]int{1, 1}, [2]int{1, 2}, [2]int{0x63, 8}, [2]int{0, 64}),
	} {
		got, _, err := new(inflater).inflate(bytes.NewReader(raw), len(raw))
		if !errors.Is(err, errCorrupt) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, _, err := reference(raw); err == nil {
			t.Errorf("%s: Go accepts it", name)
		}
	}
	// One symbol of one bit in each code: the end of the block, and a distance.
	few := func(end int) []byte {
		return dynamic(0, 0, 14, join(lengths(), zeros(138), zeros(118), [][2]int{one, one, {end, 1}})...)
	}
	if got, left, err := new(inflater).inflate(bytes.NewReader(few(0)), len(few(0))); len(got) != 0 || left != 0 || err != nil {
		t.Errorf("an empty block: %q, %d left, %v", got, left, err)
	}
	if _, _, err := new(inflater).inflate(bytes.NewReader(few(1)), len(few(1))); !errors.Is(err, errCorrupt) {
		t.Errorf("a code that is missing: %v", err)
	}
}

func TestInflatePassesErrorsOn(t *testing.T) {
	raw := deflate(t, 6, contents()["noise"])
	d := new(inflater)
	broken := errors.New("broken")
	if _, _, err := d.inflate(io.MultiReader(bytes.NewReader(raw[:70<<10]), iotest.ErrReader(broken)), len(raw)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, _, err := d.inflate(bytes.NewReader(raw[:70<<10]), len(raw)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that ends: %v", err)
	}
	_, _, err := d.inflate(strings.NewReader(""), 0)
	if !errors.Is(err, errTooShort) {
		t.Errorf("nothing: %v", err)
	}
}

// What inflates here inflates to the same, and ends at the same place, with Go's
// decoder; what does not, does not there, but for one thing in which zlib is stricter.
func FuzzInflate(f *testing.F) {
	for _, content := range contents() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
			f.Add(deflate(f, level, content[:min(len(content), 2000)]))
		}
	}
	d := new(inflater)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, left, err := d.inflate(bytes.NewReader(raw), len(raw))
		want, wantLeft, wantErr := reference(raw)
		if err == nil && (wantErr != nil || left != wantLeft || !bytes.Equal(got, want)) {
			t.Fatalf("%d bytes and %d left, but Go: %d and %d, %v", len(got), left, len(want), wantLeft, wantErr)
		}
		if err != nil && wantErr == nil && len(want) <= 1<<24 && !errors.Is(err, errLengths) {
			t.Fatalf("%v, but Go takes it", err)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	for _, name := range []string{"text", "runs", "noise"} {
		content := contents()[name]
		raw := deflate(b, 6, content)
		b.Run(name, func(b *testing.B) {
			d := new(inflater)
			var own [2]buffer
			turn := 0
			d.get = func() *buffer { turn = 1 - turn; return &own[turn] }
			d.emit = func(*buffer, []byte) error { return nil }
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if err := d.run(&tap{r: bytes.NewReader(raw), left: int64(len(raw))}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A stored block goes back to the first byte of which no bit was taken, which may have been loaded
// before the input at hand was moved to the front for the block's header.
func TestStoredBlockAfterRefill(t *testing.T) {
	d := new(inflater)
	r := rand.New(rand.NewSource(1))
	text, noise := make([]byte, chunkSize*4/3), make([]byte, 1000)
	for i := range text {
		text[i] = byte('a' + r.Intn(32)) // some five bits each
	}
	r.Read(noise)
	for at := chunkSize*8/5 - 1100; at < chunkSize*8/5+100; at++ {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.HuffmanOnly)
		if err != nil {
			t.Fatal(err)
		}
		content := append(bytes.Clone(bytes.Repeat(text, 2)[:at]), noise...)
		for _, p := range [][]byte{content[:at], content[at:]} {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil { // an empty stored block; noise is one too
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		raw := b.Bytes()
		if got, left, err := d.inflate(bytes.NewReader(raw), len(raw)); err != nil || left != 0 || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes before it: %d of %d bytes, %d left, %v", at, len(got), len(content), left, err)
		}
	}
}
