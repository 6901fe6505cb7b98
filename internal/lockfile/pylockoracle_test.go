package lockfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

func pylockFixtures(t testing.TB) []string { return directories(t, "testdata/pylock") }

func parsePylockFixture(t testing.TB, name string) *Pylock {
	t.Helper()
	l, err := ParsePylock("pylock.toml", readFile(t, filepath.Join("testdata/pylock", name, "pylock.toml")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSelectAsPackaging compares Select with the selection of packaging.pylock. IMGSPECD_TEST_PACKAGING names a Python that has packaging 26.3
// or newer; any that has poetry 2.5 does.
func TestSelectAsPackaging(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_PACKAGING")
	if python == "" {
		python = os.Getenv("IMGSPECD_TEST_POETRY")
	}
	if python == "" {
		t.Skip("IMGSPECD_TEST_PACKAGING does not name a Python that has packaging")
	}
	if out, err := exec.Command(python, "-c", "import packaging.pylock").CombinedOutput(); err != nil {
		t.Skipf("%s has no packaging.pylock: %s", python, out)
	}
	for _, name := range pylockFixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsePylockFixture(t, name)
			answers := askPython(t, python, environments(), "testdata/pylock_oracle.py", filepath.Join("testdata/pylock", name, "pylock.toml"))
			compareAnswers(t, l, answers, func(a Artifact) string {
				if kind := sourceKind(a); kind != "url" && kind != "file" {
					return kind
				}
				return "archive"
			})
		})
	}
}

// TestPylockAsUV has the real uv install the fixtures that uv wrote, as TestSelectAsUV does, and compares what it asks for.
func TestPylockAsUV(t *testing.T) {
	uv := findUV(t)
	for n, name := range pylockFixtures(t) {
		if name == "kinds" { // nothing of it is anywhere
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsePylockFixture(t, name)
			for i, env := range environments() {
				if os.Getenv("IMGSPECD_TEST_FULL") == "" && (i+n)%4 != 0 {
					continue
				}
				t.Run(env.String(), func(t *testing.T) { comparePylockWithUV(t, uv, name, l, env) })
			}
		})
	}
}

func comparePylockWithUV(t *testing.T, uv, fixture string, l *Pylock, env pypa.Environment) {
	o := newOracleOf(t, uv, filepath.Join("testdata/pylock", fixture), "pylock.toml", env)
	if out, err := o.run("venv", "--python", o.python); err != nil {
		t.Fatalf("uv venv: %v\n%s", err, out)
	}
	install := func(more ...string) (string, error) {
		python := filepath.Join(o.dir, ".venv/bin/python")
		return o.run(append([]string{"pip", "install", "--python", python, "-r", "pylock.toml"}, more...)...)
	}
	artifacts, err := l.Select(env, Choice{})
	if err != nil {
		if out, uvErr := install("--dry-run"); uvErr == nil {
			t.Errorf("Select fails with %v, uv does not:\n%s", err, out)
		}
		return
	}
	var want, names []string
	sdist := false
	for _, a := range artifacts {
		names = append(names, a.Name)
		want = append(want, strings.ToLower(a.Filename)) // uv's export writes names so, the URLs as they are
		sdist = sdist || a.Sdist
	}
	if sdist {
		out, err := install("--dry-run")
		if err != nil || !slices.Equal(installed(out), names) {
			t.Errorf("Select has %v, uv has %v (error %v)", names, installed(out), err)
		}
		if out, err := install("--dry-run", "--no-build"); err == nil {
			t.Errorf("Select has to build something, uv has not:\n%s", out)
		}
		return
	}
	if out, err := install(); err != nil {
		t.Fatalf("uv pip install: %v\n%s", err, out)
	}
	slices.Sort(want)
	got := o.requests()
	for i, name := range got {
		got[i] = strings.ToLower(name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("Select chooses\n %s\nuv chooses\n %s", strings.Join(want, "\n "), strings.Join(got, "\n "))
	}
}
