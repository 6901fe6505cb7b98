package lockfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// manyLock has the real uv lock testdata/many, a project of more than 600 packages. It takes a minute where uv knows none of them.
func manyLock(t testing.TB, uv string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), readFile(t, "testdata/many/pyproject.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	python := os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON")
	if python == "" {
		python = "python3"
	}
	cmd := exec.Command(uv, "lock", "-q", "--no-build", "--python", python)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never", "VIRTUAL_ENV=", "UV_NO_CONFIG=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("uv lock: %v\n%s", err, out)
	}
	return dir
}

// TestManyAsUV compares the file that is chosen of each of more than 600 packages with the one that the real uv asks for, as
// TestSelectAsUV does, for three Pythons, two architectures and two C libraries. What fits nowhere is left out of the rest.
func TestManyAsUV(t *testing.T) {
	if os.Getenv("IMGSPECD_TEST_FULL") == "" {
		t.Skip("IMGSPECD_TEST_FULL is not set")
	}
	uv := findUV(t)
	dir := manyLock(t, uv)
	u, err := ParseUV(readFile(t, filepath.Join(dir, "uv.lock")), readFile(t, filepath.Join(dir, "pyproject.toml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, python := range []string{"3.11.11", "3.12.12", "3.13.9"} {
		for _, arch := range []string{"amd64", "arm64"} {
			for _, minor := range []int{17, 36} {
				env := pypa.Environment{Python: python, OS: "linux", Arch: arch, Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: minor}}
				t.Run(env.String(), func(t *testing.T) { compareEach(t, uv, dir, u, env) })
			}
		}
	}
}

func compareEach(t *testing.T, uv, dir string, u *UV, env pypa.Environment) {
	chosen, err := u.choose(env, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	c := newChooser(env)
	var want, leaveOut, nowhere, builds []string
	for _, i := range chosen {
		p := &u.packages[i]
		a, err := p.artifact(c, &u.project.buildPolicy)
		switch {
		case err != nil:
			nowhere = append(nowhere, p.name)
		case a.Sdist:
			builds = append(builds, p.name)
		default:
			want = append(want, a.Filename)
			continue
		}
		leaveOut = append(leaveOut, "--no-install-package", p.name)
	}
	t.Logf("%d wheels; to be built: %v; nothing fits: %v", len(want), builds, nowhere)
	if len(want) < 400 {
		t.Errorf("only %d wheels are compared", len(want))
	}
	o := newOracleOf(t, uv, dir, "uv.lock", env)
	for _, name := range append(builds, nowhere...) {
		args := append([]string{"--dry-run", "--no-build"}, leaveOut...)
		at := slices.Index(args, name)
		if out, err := o.sync(slices.Delete(args, at-1, at+1)...); err == nil {
			t.Errorf("no wheel of %s is found to fit, but uv has one:\n%s", name, out)
		}
	}
	if out, err := o.sync(leaveOut...); err != nil {
		t.Fatalf("uv sync: %v\n%s", err, out)
	}
	slices.Sort(want)
	if diff := cmp.Diff(o.requests(), want); diff != "" {
		t.Errorf("-uv +Select\n%s", diff)
	}
}

// BenchmarkMany is a save of a lock of more than 600 real packages: it is read, and the files for an image are chosen. See bench/run.
func BenchmarkMany(b *testing.B) {
	dir := manyLock(b, findUV(b))
	lock, project := readFile(b, filepath.Join(dir, "uv.lock")), readFile(b, filepath.Join(dir, "pyproject.toml"))
	env := pypa.Environment{Python: "3.12.12", OS: "linux", Arch: "amd64", Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}}
	u, err := ParseUV(lock, project)
	if err != nil {
		b.Fatal(err)
	}
	if len(u.packages) < 500 {
		b.Fatalf("the lock has %d packages", len(u.packages))
	}
	for b.Loop() {
		u, err := ParseUV(lock, project)
		if err != nil {
			b.Fatal(err)
		}
		if artifacts, err := u.Select(env, Choice{}); err != nil || len(artifacts) < 500 {
			b.Fatal(len(artifacts), err)
		}
	}
	b.ReportMetric(float64(len(u.packages)), "packages")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/lock")
}
