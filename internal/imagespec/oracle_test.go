package imagespec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// leftOut ends a test that the machine lacks something for; in CI, which may leave out nothing, it fails.
func leftOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("IMGSPECD_TEST_REQUIRE") != "" {
		t.Fatal(why + ", and nothing may be left out")
	}
	t.Skip(why)
}

// python runs a program on lines of JSON and returns what it prints for each.
func python(t *testing.T, interpreter, program string, in []string) []string {
	t.Helper()
	path, err := exec.LookPath(interpreter)
	if err != nil {
		leftOut(t, "there is no "+interpreter)
	}
	cmd := exec.Command(path, "-X", "utf8", "-c", program)
	cmd.Stdin = strings.NewReader(strings.Join(in, "\n") + "\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// decoder reads the form of ParseKwargs in Python.
const decoder = `
import json, pathlib, sys
def value(v):
    if isinstance(v, list): return [value(e) for e in v]
    if not isinstance(v, dict): return v
    if len(v) == 1:
        k, x = next(iter(v.items()))
        if k == "__tuple__": return tuple(value(e) for e in x)
        if k == "__dict__": return {value(a): value(b) for a, b in x}
        if k == "__path__": return pathlib.PosixPath(x)
        if k == "__float__": return float(x)
        if k == "__copymode__": return CopyFileDetection[x]
        if k == "__imagespec__": return ImageSpec(**{a: value(b) for a, b in x.items()})
    return {k: value(e) for k, e in v.items()}
`

// random makes values that are hard to write as Python writes them.
type random struct{ *rand.Rand }

// blocks are of characters about which Python and Go agree: since Unicode 13, that of Python 3.9, nothing in them was assigned.
var blocks = [...][2]rune{{0, 0x530}, {0x2000, 0x2070}, {0x4e00, 0x9fa6}, {0xac00, 0xd7a4}, {0xe000, 0xe010}, {0xfdd0, 0xfdf0}, {0x1f600, 0x1f645}, {0x20000, 0x20100}}

var hardText = []string{"", "a", "it's", `"`, `'"`, `\`, "\n\r\t", "\x00\x1f\x7f", "é", "\u00a0\u00ad", "\u2028", "日本", "😀", "\U000e0001", "\ufeff", "{}", "numpy==1", "$X ", "\u0301", "İΣς", "\xed\xb2\x80"} // the last is a lone surrogate

func (r random) text() string {
	var b strings.Builder
	for range r.IntN(4) {
		if r.IntN(3) == 0 {
			block := blocks[r.IntN(len(blocks))]
			b.WriteRune(block[0] + rune(r.IntN(int(block[1]-block[0]))))
		} else {
			b.WriteString(hardText[r.IntN(len(hardText))])
		}
	}
	return b.String()
}

func (r random) value(depth int) Value {
	kinds := 10
	if depth == 0 {
		kinds = 7
	}
	switch r.IntN(kinds) {
	case 0:
		return None{}
	case 1:
		return Bool(r.IntN(2) == 0)
	case 2:
		return NewInt(int64(r.Uint64()) >> r.IntN(64))
	case 3:
		return Float((r.Float64() - 0.5) * pow10(r.IntN(60)-30))
	case 4:
		return Float(float64(r.IntN(2000)-1000) / 8)
	case 5:
		return NewPath(strings.ReplaceAll(r.text(), "\x00", ""))
	case 7, 8:
		list := List{}
		for range r.IntN(4) {
			list = append(list, r.value(depth-1))
		}
		if r.IntN(2) == 0 {
			return Tuple(list)
		}
		return list
	case 9:
		d := NewDict()
		for range r.IntN(4) {
			_ = d.Set(r.value(0), r.value(depth-1))
		}
		return d
	}
	return Str(r.text())
}

func pow10(n int) float64 {
	f := 1.0
	for range max(n, -n) {
		f *= 10
	}
	if n < 0 {
		return 1 / f
	}
	return f
}

func jsonOf(v Value) string {
	var b strings.Builder
	writeJSON(&b, v)
	return b.String()
}

// TestReprAgainstPython compares with the real repr. If it fails for a character that Unicode has assigned between the
// interpreter's tables and Go's, the message tells the interpreter's.
func TestReprAgainstPython(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	var in []string
	var want []string
	for range 2000 {
		v := r.value(3)
		in = append(in, jsonOf(v))
		want = append(want, fmt.Sprintf("%x", Repr(v)))
	}
	program := decoder + "import unicodedata\nprint(unicodedata.unidata_version)\nfor line in sys.stdin: print(repr(value(json.loads(line))).encode().hex())\n"
	got := python(t, "python3", program, in)
	for i := range want {
		if got[i+1] != want[i] {
			t.Errorf("Unicode %s: repr of %s\n got %s\nwant %s", got[0], in[i], want[i], got[i+1])
		}
	}
}

// TestFormatAgainstPython compares str.format, results and kinds of errors.
func TestFormatAgainstPython(t *testing.T) {
	parts := []string{"{spec_hash}", "{spec_hash:.8}", "{spec_hash!r}", "{spec_hash!s:>30}", "{spec_hash:*^30.5s}", "{{", "}}", "{", "}", "-dev", "{}", "{0}",
		"{nope}", "{spec_hash[3]}", "{spec_hash[99]}", "{spec_hash[x]}", "{spec_hash:d}", "{spec_hash:=30}", "{spec_hash:,}", "{spec_hash:+}", "{spec_hash!x}",
		"{spec_hash!}", "{spec_hash:{spec_hash}}", "{spec_hash:.{nope}}", "{spec_hash:030}", "{spec_hash:é<25}", "{spec_hash: <3}", "{spec_hash:5.}", "{spec_hash!r:.4}"}
	r := rand.New(rand.NewPCG(3, 4))
	var in, want []string
	for i := range 600 {
		format := parts[i%len(parts)]
		if i >= len(parts) {
			format = parts[r.IntN(len(parts))] + parts[r.IntN(len(parts))] + "x" + parts[r.IntN(len(parts))]
		}
		in = append(in, jsonOf(Str(format)))
		got, err := formatHash(format, "UURFFNvnv_d_ytsczH_j2w")
		if err != nil {
			got = "!" + err.(*PythonError).Type
		}
		want = append(want, fmt.Sprintf("%x", got))
	}
	program := decoder + `
for line in sys.stdin:
    try: out = json.loads(line).format(spec_hash="UURFFNvnv_d_ytsczH_j2w")
    except Exception as e: out = "!" + type(e).__name__
    print(out.encode().hex())
`
	for i, got := range python(t, "python3", program, in) {
		if got != want[i] {
			t.Errorf("format %s: got %s, want %s", in[i], want[i], got)
		}
	}
}

// FuzzParseKwargs proves that reading never panics, and that what was read is written so that it reads the same.
func FuzzParseKwargs(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"name": "é\ud83d\ude00\udc80"}`, `{"env": {"A": 1, "B": 1.0, "C": 12345678901234567890123}}`,
		`{"builder_options": {"__dict__": [[1, "a"], [true, 2], [{"__tuple__": []}, null]]}}`,
		`{"base_image": {"__imagespec__": {"copy": [{"__path__": "./a//b"}]}}, "source_copy_mode": {"__copymode__": "ALL"}}`,
		`{"python_version": {"__float__": "nan"}, "env": {"__x": -0.0, "__x": 1e999}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseKwargs(b)
		if err != nil {
			return
		}
		again, err := ParseKwargs(s.JSON())
		if err != nil {
			t.Fatalf("wrote %s: %v", s.JSON(), err)
		}
		if !bytes.Equal(again.JSON(), s.JSON()) || Repr(again) != Repr(s) {
			t.Fatalf("wrote %s, read %s", s.JSON(), again.JSON())
		}
		_, _ = constructed(s, Options{Dir: t.TempDir()})
	})
}
