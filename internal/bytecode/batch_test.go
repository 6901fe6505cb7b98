package bytecode

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// runBatch executes what a container would, with its directories where they are here.
func runBatch(t *testing.T, p Python, in, out string, l Limits) {
	t.Helper()
	args, env := Command(p.Path, l)
	for i := range args {
		args[i] = strings.NewReplacer(BatchIn, in, BatchOut, out).Replace(args[i])
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env, cmd.Dir = env, "/"
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, b)
	}
}

// A batch gives the bytes that workers give, whatever is among its sources.
func TestBatchIsWhatWorkersMake(t *testing.T) {
	for _, p := range pythons(t) {
		t.Run(p.Version, func(t *testing.T) {
			l := DefaultLimits()
			l.Memory, l.Time = 512<<20, 2*time.Second
			sources := map[string]string{
				"/a.py": strings.ReplaceAll(sample, "except* ValueError if False else ValueError", "except ValueError"),
				"/b.py": "def f(:\n", "/c.py": "", "/d.py": "x = 'é'\n", "/e/é\xff.py": "y = __file__\n",
				"/nested.py": strings.Repeat("(", 1<<20), "/power.py": "x = ((1 << 63) ** 60) ** 60\n", "/attributes.py": "x = a" + strings.Repeat(".b", 500_000),
				"/z.py": "import os; os._exit(3)\n",
			}
			in, out := t.TempDir(), t.TempDir()
			batch, err := NewSources(in, l)
			if err != nil {
				t.Fatal(err)
			}
			for path, source := range sources {
				if err := batch.Add(path, []byte(source)); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Close(); err != nil {
				t.Fatal(err)
			}
			runBatch(t, p, in, out, l)
			of, ok := Of(p.Version)
			if !ok {
				t.Fatal("its version is not known")
			}
			made, err := OpenBatch(of, in, out, l)
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			pool := newPool(t, p, 1, l)
			for path, source := range sources {
				got, err := made.Compile(t.Context(), path, []byte(source))
				if err != nil {
					t.Fatal(err)
				}
				if want := compile(t, pool, path, source); !bytes.Equal(got, want) {
					t.Errorf("%q: %d bytes, of a worker %d", path, len(got), len(want))
				}
			}
			if pyc, err := made.Compile(t.Context(), "/d.py", []byte("another")); pyc != nil || err != nil {
				t.Errorf("%x, %v of what was not in the batch", pyc, err)
			}
		})
	}
}

// An answer that does not fit its question is an error, never another source's code.
func TestBrokenBatch(t *testing.T) {
	in, l := t.TempDir(), DefaultLimits()
	batch, err := NewSources(in, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.Add("/a.py", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := batch.Close(); err != nil {
		t.Fatal(err)
	}
	p, _ := Of("3.11.2")
	for _, code := range []string{"", "\x00\x00\x00", "\x00\x00\x00\x02N", "\xff\xff\xff\xff", "\x00\x00\x00\x01N\x00\x00\x00\x00"} {
		out := t.TempDir()
		if err := os.WriteFile(out+"/"+codeFile, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := OpenBatch(p, in, out, l); err == nil {
			b.Close()
			t.Errorf("%q was taken", code)
		}
	}
}
