package builder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
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

// sharing is a base that leaves room for few layers of packages, so that small ones share them.
func sharing(info base.Info) base.Info {
	info.Layers = plan.MaxImageLayers - 10
	return info
}

// A package that shares a layer with one that changed is not compiled again: what it was compiled to is kept.
func TestNeighboursAreNotCompiledAgain(t *testing.T) {
	py := python(t)
	h := newWheelhouse(t)
	img, info := testBase(t)
	s := newStore(t, t.TempDir())
	some := h.some(t, 15)
	build := func(s *store.Store, py bytecode.Python, all []lockfile.Artifact) (string, error) {
		p := makePlanOf(t, plan.Input{Base: sharing(info), Artifacts: all, Bytecode: &plan.Bytecode{Python: py}})
		made, _, err := newBuilder(s).Build(t.Context(), p, img, progress.Discard)
		if err != nil {
			return "", err
		}
		digest, err := made.Digest()
		return digest.String(), err
	}
	if _, err := build(s, py, some); err != nil {
		t.Fatal(err)
	}
	more := append(some, h.add(t, "zdata", "1.0", map[string]string{"zdata/x.txt": strings.Repeat("nothing to compile ", 1000)}))
	gone := py
	gone.Path = "/no/such/python"
	got, err := build(s, gone, more)
	if err != nil {
		t.Fatal(err)
	}
	want, err := build(newStore(t, t.TempDir()), py, more)
	if err != nil || got != want {
		t.Errorf("%s of kept bytecode, %s anew (%v)", got, want, err)
	}
}

// A batch in a container makes the very image that an interpreter of this host makes.
func TestBatchMakesTheSameImage(t *testing.T) {
	py := python(t)
	h := newWheelhouse(t)
	img, info := testBase(t)
	all := append(h.some(t, 15), h.add(t, "odd", "1.0", map[string]string{"odd/__init__.py": "x = 1\n", "odd/broken.py": "def f(:\n", "odd/tests/a.py": ""}))
	of, ok := bytecode.Of(py.Version)
	if !ok {
		t.Fatalf("%s is not known", py.Version)
	}
	var digests []string
	for _, python := range []bytecode.Python{py, of} {
		b := newBuilder(newStore(t, t.TempDir()))
		times := 0
		b.deps.Batch = func(ctx context.Context, on v1.Image, batch Batch) error {
			times++
			args := batch.Args
			for i := range args {
				args[i] = strings.NewReplacer(bytecode.BatchIn, batch.In, bytecode.BatchOut, batch.Out).Replace(args[i])
			}
			if on != img || args[0] != info.Python.Path {
				t.Errorf("%s is executed on another image, or %v is not its Python", batch.Platform, args)
			}
			cmd := exec.CommandContext(ctx, py.Path, args[1:]...)
			cmd.Env = batch.Env
			return cmd.Run()
		}
		p := makePlanOf(t, plan.Input{Base: sharing(info), Artifacts: all, Bytecode: &plan.Bytecode{Python: python}})
		made, _, err := b.Build(t.Context(), p, img, progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := made.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		if batches := map[bool]int{true: 1}[python.Path == ""]; times != batches {
			t.Errorf("%d batches with the Python %q, not %d", times, python.Path, batches)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("%s by this host, %s by a batch", digests[0], digests[1])
	}
}

// The compressor's streams are part of digests. When this fails after it was upgraded,
// plan's bytecodeFormat must grow, and what is wanted here be what it makes now.
func TestCodeIsCompressedAsEver(t *testing.T) {
	var pyc []byte
	r := rand.New(rand.NewPCG(1, 2))
	for len(pyc) < 300_000 { // words that come again, near and far, among some that do not
		pyc = fmt.Appendf(pyc, "%d%s\x00%c", r.IntN(1<<(1+r.IntN(30))), strings.Repeat("co_name", r.IntN(3)), rune(r.IntN(256)))
	}
	c, err := newCode(pyc)
	if err != nil {
		t.Fatal(err)
	}
	const want = "113913 afbbd3851bdc620342d29c6b2f160b6983198f489453ede466dbb2acc9acd4f7"
	if got := fmt.Sprintf("%d %x", len(c.raw), sha256.Sum256(c.raw)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
