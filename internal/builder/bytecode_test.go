package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// python is a CPython 3.11 of this machine, as the base of the tests has one.
func python(t *testing.T) bytecode.Python {
	t.Helper()
	home, _ := os.UserHomeDir()
	f := &bytecode.Finder{Path: filepath.SplitList(os.Getenv("PATH")), Pyenv: filepath.Join(home, ".pyenv", "versions"), UV: filepath.Join(home, ".local/share/uv/python")}
	p, ok := f.Find(t.Context(), "3.11.2")
	if !ok {
		t.Skip("needs a CPython 3.11 on PATH, of uv or of pyenv")
	}
	return p
}

// Packages get the .pyc files that installers would make, the same ones each time and
// with any number of workers; without bytecode nothing changes.
func TestPackagesAreCompiled(t *testing.T) {
	py := python(t)
	h := newWheelhouse(t)
	all := append(h.some(t, 5), h.add(t, "odd", "1.0", map[string]string{
		"odd/__init__.py": "x = 1\n", "odd/broken.py": "def f(:\n", "odd/tests/test_odd.py": "x = 1\n", "odd/data.txt": "x",
		"odd/a.b.py": "", "odd/.py": "x = 1\n", "odd/__pycache__/__init__.cpython-311.pyc": "stale", "odd/__pycache__/z.py": "",
	}))
	img, info := testBase(t)
	const dir = "/root/.venv/lib/python3.11/site-packages/odd/"
	digests := map[string]bool{}
	for _, c := range []struct {
		code     *plan.Bytecode
		parallel int
		want     string
	}{
		{nil, 2, "__init__.cpython-311.pyc"},
		{&plan.Bytecode{Python: py}, 1, "__init__.cpython-311.pyc a.b.cpython-311.pyc"},
		{&plan.Bytecode{Python: py}, 4, "__init__.cpython-311.pyc a.b.cpython-311.pyc"},
		{&plan.Bytecode{Python: py, All: true}, 2, "__init__.cpython-311.pyc a.b.cpython-311.pyc tests/test_odd.cpython-311.pyc"},
	} {
		p := makePlan(t, info, all)
		if c.code != nil {
			p = makePlanOf(t, plan.Input{Base: info, Artifacts: all, Bytecode: c.code})
		}
		b := newBuilder(newStore(t, t.TempDir()))
		b.deps.Parallel = c.parallel
		made, _, err := b.Build(t.Context(), p, img, progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := made.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[digest.String()] = true
		layers, err := made.Layers()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range layers[1:] {
			for path, e := range readLayer(t, l) {
				below, ok := strings.CutPrefix(path, dir)
				if !ok || !strings.HasSuffix(path, ".pyc") {
					continue
				}
				got = append(got, strings.Replace(below, "__pycache__/", "", 1))
				if stale := e.data == "stale"; stale != (c.code == nil) || e.Mode != 0o644 {
					t.Errorf("%s: mode %o, %d bytes", path, e.Mode, len(e.data))
				}
			}
		}
		for _, w := range strings.Fields(c.want) {
			if !strings.Contains(strings.Join(got, " "), w) {
				t.Errorf("no %s in %q", w, got)
			}
		}
		if len(got) != len(strings.Fields(c.want)) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if len(digests) != 3 {
		t.Errorf("%d digests of three kinds of bytecode", len(digests))
	}
}

// A Python that is gone between plan and build fails the build: its key promises bytecode.
func TestPythonIsGone(t *testing.T) {
	h := newWheelhouse(t)
	img, info := testBase(t)
	gone := bytecode.Python{Path: "/no/such/python3.11", Version: "3.11.2", Tag: "cpython-311", Magic: 3495}
	p := makePlanOf(t, plan.Input{Base: info, Artifacts: h.some(t, 2), Bytecode: &plan.Bytecode{Python: gone}})
	_, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, img, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), gone.Path) {
		t.Errorf("error %v", err)
	}
}

func makePlanOf(t *testing.T, in plan.Input) *plan.Plan {
	t.Helper()
	spec, err := imagespec.ParseKwargs([]byte(`{"requirements": "uv.lock"}`))
	if err != nil {
		t.Fatal(err)
	}
	in.Spec, in.Name, in.Tag, in.ID = spec, "app:tag", "tag", "id"
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
