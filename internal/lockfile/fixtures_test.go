package lockfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// environments are the ones that the fixtures of testdata/uv are selected for.
func environments() []pypa.Environment {
	glibc, musl := pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}, pypa.Libc{Kind: "musl", Major: 1, Minor: 2}
	out := []pypa.Environment{
		{Python: "3.11.2", OS: "linux", Arch: "amd64", Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 17}},
		{Python: "3.14.0rc2", OS: "linux", Arch: "amd64", Libc: glibc},
	}
	for _, python := range []string{"3.10.19", "3.11.11", "3.12.12", "3.13.9", "3.14.1"} {
		out = append(out,
			pypa.Environment{Python: python, OS: "linux", Arch: "amd64", Libc: glibc},
			pypa.Environment{Python: python, OS: "linux", Arch: "arm64", Libc: glibc},
			pypa.Environment{Python: python, OS: "linux", Arch: "amd64", Libc: musl})
	}
	return out
}

// fixtures returns the directories of testdata/uv: projects locked by real uv, by name.
func fixtures(t testing.TB) []string { return directories(t, "testdata/uv") }

// poetryFixtures returns those of testdata/poetry, called by the version of poetry that locked them: v11 by 1.1, v23 by 2.3.
func poetryFixtures(t testing.TB) []string { return directories(t, "testdata/poetry") }

func directories(t testing.TB, of string) []string {
	t.Helper()
	entries, err := os.ReadDir(of)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func readFixture(t testing.TB, name string) (lock, pyproject []byte) {
	t.Helper()
	dir := filepath.Join("testdata/uv", name)
	return readFile(t, filepath.Join(dir, "uv.lock")), readFile(t, filepath.Join(dir, "pyproject.toml"))
}

func readPoetryFixture(t testing.TB, name string) (lock, pyproject []byte) {
	t.Helper()
	dir := filepath.Join("testdata/poetry", name)
	return readFile(t, filepath.Join(dir, "poetry.lock")), readFile(t, filepath.Join(dir, "pyproject.toml"))
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsePoetryFixture(t testing.TB, name string) *Poetry {
	t.Helper()
	l, err := ParsePoetry(readPoetryFixture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func parseFixture(t testing.TB, name string) *UV {
	t.Helper()
	u, err := ParseUV(readFixture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}
