package lockfile

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	const pkg = "[[package]]\nname = \"odd\"\nversion = \"1.0\"\nsource = { registry = \"https://example.org/simple\" }\n"
	whole := string(lockOf(pkg, proj(`{ name = "odd" }`)))
	for _, c := range []struct {
		name, lock, pyproject string
		file                  string
		line                  int
		want                  string
	}{
		{"empty", "", projPyproject, "uv.lock", 0, "the file is empty"},
		{"white space", " \n\n", projPyproject, "uv.lock", 0, "the file is empty"},
		{"conflict", strings.Replace(whole, "[[package]]\nname = \"odd\"", "<<<<<<< HEAD\n[[package]]\nname = \"odd\"", 1), projPyproject, "uv.lock", 5, "a merge conflict"},
		{"end of a conflict", whole + ">>>>>>> main\n", projPyproject, "uv.lock", 15, "a merge conflict"},
		{"not TOML", "version = 1\nrequires-python = \">=3.10\"\n[[package\n\n\nname = 1\n", projPyproject, "uv.lock", 3, "not valid TOML"},
		{"new version", strings.Replace(whole, "version = 1", "version = 2", 1), projPyproject, "uv.lock", 1, "version 2 of uv.lock is not known here"},
		{"new version of another form", "version = 2\npackage = \"elsewhere\"\n", projPyproject, "uv.lock", 1, "version 2 of uv.lock is not known here"},
		{"no version", "requires-python = \">=3.10\"\n", projPyproject, "uv.lock", 0, "it has no version"},
		{"no requires-python", "version = 1\n", projPyproject, "uv.lock", 0, "requires-python is missing"},
		{"bad requires-python", "version = 1\nrequires-python = \"3\"\n", projPyproject, "uv.lock", 0, "requires-python: "},
		{"missing dependency", string(lockOf(pkg, proj(`{ name = "odd" }`, `{ name = "gone" }`))), projPyproject, "uv.lock", 10, "package proj: its dependency gone is not in the lock"},
		{"missing version", string(lockOf(pkg, proj(`{ name = "odd", version = "2.0" }`))), projPyproject, "uv.lock", 10, "its dependency odd 2.0 is not in the lock"},
		{"ambiguous", string(lockOf(pkg, strings.Replace(pkg, "1.0", "2.0", 1), proj(`{ name = "odd" }`))), projPyproject, "uv.lock", 15, "its dependency odd can be 1.0 or 2.0"},
		{"bad marker", string(lockOf(pkg, proj(`{ name = "odd", marker = "banana == 'x'" }`))), projPyproject, "uv.lock", 10, `"banana" is no variable of markers`},
		{"no source", string(lockOf("[[package]]\nname = \"odd\"\nversion = \"1.0\"\n", proj(`{ name = "odd" }`))), projPyproject, "uv.lock", 5, "no source that is known here"},
		{"no name", string(lockOf("[[package]]\nversion = \"1.0\"\nsource = { virtual = \".\" }\n")), projPyproject, "uv.lock", 5, "a package has no name"},
		{"other project", whole, "[project]\nname = \"other\"\n", "uv.lock", 0, "the project other of pyproject.toml is not in the lock"},
		{"bad pyproject", whole, "[project\nname = 1\nx = 2\n", "pyproject.toml", 1, "not valid TOML"},
		{"nameless project", whole, "[project]\nversion = \"1\"\n", "pyproject.toml", 0, "[project] has no name"},
		{"unknown group", whole, projPyproject + "[tool.uv]\ndefault-groups = [\"gone\"]\n", "pyproject.toml", 0, "names a group that [dependency-groups] does not have: gone"},
		{"odd groups", whole, projPyproject + "[tool.uv]\ndefault-groups = 1\n", "pyproject.toml", 0, "default-groups is neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseUV([]byte(c.lock), []byte(c.pyproject))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if e.File != c.file || e.Line != c.line || !strings.Contains(e.Reason, c.want) {
				t.Errorf("error is %q (line %d), want %s:%d: %s", e, e.Line, c.file, c.line, c.want)
			}
		})
	}
}

// A lock that is cut anywhere is refused, unless only what does not decide anything is missing: then it selects the same.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"conflicts", "groups", "workspace", "forks", "nonproject"} {
		lock, pyproject := readFixture(t, name)
		whole, err := parseFixture(t, name).Select(bookworm, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for n := 0; n < len(lock)-1; n++ {
			// Between two lines is where a cut file can be valid; elsewhere a sample will do.
			if lock[n] != '\n' && n%97 != 0 {
				continue
			}
			u, err := ParseUV(lock[:n], pyproject)
			if err != nil {
				continue
			}
			accepted++
			got, err := u.Select(bookworm, Choice{})
			if err != nil {
				continue
			}
			if len(got) != len(whole) {
				t.Errorf("%s cut at %d of %d bytes is accepted, and selects %d packages instead of %d", name, n, len(lock), len(got), len(whole))
			}
		}
		t.Logf("%s: %d cuts accepted", name, accepted)
	}
}

// The lock belongs to the caller again once it is parsed.
func TestParseKeepsNothing(t *testing.T) {
	lock, pyproject := readFixture(t, "groups")
	u, err := ParseUV(lock, pyproject)
	if err != nil {
		t.Fatal(err)
	}
	before, err := u.Select(bookworm, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	copy(lock, bytes.Repeat([]byte("x"), len(lock)))
	after, err := u.Select(bookworm, Choice{})
	if err != nil || len(after) != len(before) || after[0].URL != before[0].URL {
		t.Errorf("after the lock's bytes changed: %v, %v", after, err)
	}
}

func FuzzParseUV(f *testing.F) {
	for _, name := range []string{"groups", "nonproject", "workspace"} {
		lock, pyproject := readFixture(f, name)
		f.Add(lock, pyproject)
	}
	f.Add(lockOf(proj()), []byte(projPyproject))
	f.Add([]byte("version = 1\nrequires-python = \">=3.10\"\nconflicts = [[{ package = \"a\", extra = \"b\" }, { package = \"a\" }]]\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, lock, pyproject []byte) {
		u, err := ParseUV(lock, pyproject)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T is not an *Error: %v", err, err)
			}
			return
		}
		for _, env := range environments()[:3] {
			artifacts, err := u.Select(env, Choice{})
			if err != nil {
				continue
			}
			for _, a := range artifacts {
				if a.Name == "" || !a.Sdist && (a.Filename == "" || a.URL == "" && a.Path == "") {
					t.Errorf("incomplete artifact %+v", a)
				}
			}
		}
	})
}

func BenchmarkParseUV(b *testing.B) {
	lock, pyproject := benchmarkLock(b)
	b.SetBytes(int64(len(lock)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseUV(lock, pyproject); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	u, err := ParseUV(benchmarkLock(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.Select(bookworm, Choice{}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkLock is the lock that IMGSPECD_BENCH_LOCK names, else the largest of the fixtures.
func benchmarkLock(b *testing.B) (lock, pyproject []byte) {
	b.Helper()
	path := os.Getenv("IMGSPECD_BENCH_LOCK")
	if path == "" {
		return readFixture(b, "markers")
	}
	lock, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return lock, nil
}
