package bytecode

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pythons are those of this machine, one per minor.
func pythons(t *testing.T) []Python {
	t.Helper()
	home, _ := os.UserHomeDir()
	f := &Finder{Path: filepath.SplitList(os.Getenv("PATH")), Pyenv: filepath.Join(home, ".pyenv", "versions"), UV: filepath.Join(home, ".local/share/uv/python")}
	var all []Python
	for minor := oldestMinor; minor <= newestMinor; minor++ {
		if p, ok := f.Find(t.Context(), fmt.Sprintf("3.%d.0", minor)); ok {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Skip("needs a CPython 3.8 to 3.14 on PATH, of uv or of pyenv")
	}
	return all
}

func newPool(t *testing.T, p Python, workers int, l Limits) *Pool {
	t.Helper()
	pool, err := NewPool(p, workers, l, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func compile(t *testing.T, p *Pool, path, source string) []byte {
	t.Helper()
	pyc, err := p.Compile(t.Context(), path, []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return pyc
}

const sample = `"""Docs."""
# -*- coding: utf-8 -*-
import os, sys
A = {"one", "two", "three"} if 1 in {1, 2, "x", "yy", b"zzz", 2.5, None, 3j, 10**30} else ()
def f(a, /, b, *, c=("long constant", "long constant", -1.5), **kw):
    x = lambda: (a, b, kw, "long constant", 'été', '\U0001f40d', "another long constant")
    class C:
        y: int = 3
        def g(self): return __class__, [i for i in range(10) if i not in (1, 2, 3)]
    try:
        return x() in {"alpha", "beta", "gamma", "delta"}
    except* ValueError if False else ValueError:
        pass
async def h():
    async with a as b: yield f"{b!r:>{10}}"
`

// What a worker makes is what Python itself would load: the same code, at the same place.
func TestCompiledCodeIsPythons(t *testing.T) {
	source := strings.ReplaceAll(sample, "except* ValueError if False else ValueError", "except ValueError")
	for _, p := range pythons(t) {
		t.Run(p.Version, func(t *testing.T) {
			pool := newPool(t, p, 1, DefaultLimits())
			pyc := compile(t, pool, "/x/pkg/a.py", source)
			if pyc == nil {
				t.Fatal("it did not compile")
			}
			dir := t.TempDir()
			for name, data := range map[string]string{"a.pyc": string(pyc), "a.py": source} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command(p.Path, "-I", "-S", "-c", `
import sys, marshal, types, importlib.util
import importlib._bootstrap_external as e
d = sys.argv[1]
pyc = open(d + "/a.pyc", "rb").read()
src = open(d + "/a.py", "rb").read()
assert pyc[:4] == importlib.util.MAGIC_NUMBER
assert e._classify_pyc(pyc, "a", {}) == 0
e._validate_timestamp_pyc(pyc, 315532800, len(src), "a", {})
got, want = marshal.loads(pyc[16:]), compile(src, "/x/pkg/a.py", "exec", dont_inherit=True, optimize=0)
def same(a, b):
    for k in dir(a):
        if k.startswith("co_") and k not in ("co_consts", "co_lines", "co_positions", "co_lnotab", "co_branches"):
            assert getattr(a, k) == getattr(b, k), k
    assert len(a.co_consts) == len(b.co_consts)
    for x, y in zip(a.co_consts, b.co_consts):
        assert type(x) is type(y)
        if isinstance(x, types.CodeType): same(x, y)
        else: assert x == y and (isinstance(x, frozenset) or repr(x) == repr(y)), (x, y)
    assert a == b
same(got, want)
print(got.co_filename)
`, dir).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "/x/pkg/a.py" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// The bytes do not depend on what was compiled before, nor on the worker.
func TestSameBytesInAnyOrder(t *testing.T) {
	for _, p := range pythons(t) {
		t.Run(p.Version, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(p.Path)), "lib", "python"+p.Version[:strings.LastIndexByte(p.Version, '.')], "*.py"))
			if err != nil || len(files) < 50 {
				t.Skip("its library is not where it is expected")
			}
			files = files[:50]
			one, two := newPool(t, p, 1, DefaultLimits()), newPool(t, p, 1, DefaultLimits())
			made := map[string][]byte{}
			for _, f := range files {
				src, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				made[f] = compile(t, one, f, string(src))
			}
			for i := range files {
				f := files[len(files)-1-i]
				src, _ := os.ReadFile(f)
				if !bytes.Equal(compile(t, two, f, string(src)), made[f]) {
					t.Errorf("%s: other bytes in another order", f)
				}
			}
		})
	}
}

func TestHostileSources(t *testing.T) {
	p := pythons(t)[0]
	l := DefaultLimits()
	l.Source, l.Time, l.Memory = 2<<20, 3*time.Second, 512<<20
	pool := newPool(t, p, 1, l)
	marker := filepath.Join(t.TempDir(), "ran")
	for name, source := range map[string]string{
		"syntax":         "def f(:\n",
		"empty encoding": "# -*- coding: no-such -*-\nx = 1\n",
		"null":           "x = 1\x00",
		"nested":         strings.Repeat("(", 1<<20),
		"unary":          "x = " + strings.Repeat("-", 1<<20) + "1",
		"attributes":     "x = a" + strings.Repeat(".b", 500_000),
		"long":           strings.Repeat("x = 1\n", 1<<20),
		"power":          "x = " + strings.Repeat("9", 1<<20) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if pyc := compile(t, pool, "/x.py", source); pyc != nil {
				t.Logf("it compiled to %d bytes", len(pyc))
			}
			if compile(t, pool, "/y.py", "x = 1\n") == nil {
				t.Error("the next source did not compile")
			}
		})
	}
	compile(t, pool, "/x.py", fmt.Sprintf("open(%q, 'w')\nimport os; os._exit(3)\n", marker))
	if _, err := os.Stat(marker); err == nil {
		t.Error("a source was run")
	}
}

func TestTimeIsLimited(t *testing.T) {
	l := DefaultLimits()
	l.Time = time.Millisecond
	pool := newPool(t, pythons(t)[0], 1, l)
	if pyc := compile(t, pool, "/x.py", strings.Repeat("x = [1, 2, 3]\n", 200_000)); pyc != nil {
		t.Error("it was let through")
	}
}

func TestCanceledCompile(t *testing.T) {
	pool := newPool(t, pythons(t)[0], 1, DefaultLimits())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := pool.Compile(ctx, "/x.py", []byte(strings.Repeat("x = [1, 2, 3]\n", 1_000_000))); err == nil {
		t.Error("it was not canceled")
	}
}

func TestFindPrefersTheImagesOwnVersion(t *testing.T) {
	for _, p := range pythons(t) {
		home, _ := os.UserHomeDir()
		f := &Finder{Path: filepath.SplitList(os.Getenv("PATH")), Pyenv: filepath.Join(home, ".pyenv", "versions")}
		if got, ok := f.Find(t.Context(), p.Version); ok && got.Version != p.Version {
			t.Errorf("asked for %s, found %s", p.Version, got.Version)
		}
	}
	f := &Finder{Path: []string{t.TempDir(), "relative"}}
	if p, ok := f.Find(t.Context(), "3.11.2"); ok {
		t.Errorf("found %v in an empty directory", p)
	}
	if _, ok := f.Find(t.Context(), "2.7"); ok {
		t.Error("found a Python 2")
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte("\xe3"), 11)
	f.Add([]byte("\xa9\x02\xda\x01ar\x01\x00\x00\x00"), 12)
	f.Add([]byte(">\x02\x00\x00\x00z\x03abcz\x03abd"), 9)
	f.Fuzz(func(t *testing.T, b []byte, minor int) {
		once, err := canonical(nil, b, minor)
		if err != nil {
			return
		}
		twice, err := canonical(nil, once, minor)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x, again %x: %v", once, twice, err)
		}
	})
}

func TestHeader(t *testing.T) {
	h, err := Python{Magic: 3495}.pyc([]byte("N"), 11, 300)
	if err != nil || len(h) != 17 || binary.LittleEndian.Uint32(h[8:]) != 315532800 || binary.LittleEndian.Uint32(h[12:]) != 300 {
		t.Errorf("%x, %v", h, err)
	}
}
