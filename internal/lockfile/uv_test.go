package lockfile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

var update = flag.Bool("update", false, "write the golden files anew")

var bookworm = pypa.Environment{Python: "3.11.11", OS: "linux", Arch: "amd64", Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}}

// TestSelectGolden keeps what TestSelectAsUV proved, so that it is checked where there is no uv as well.
func TestSelectGolden(t *testing.T) {
	for _, name := range fixtures(t) {
		u := parseFixture(t, name)
		var b strings.Builder
		for _, env := range environments() {
			fmt.Fprintln(&b, env)
			artifacts, err := u.Select(env, Choice{})
			if err != nil {
				fmt.Fprintf(&b, "\terror: %v\n", err)
			}
			for _, a := range artifacts {
				switch {
				case a.Sdist:
					fmt.Fprintf(&b, "\tbuild %s: %s\n", a.Name, a.Reason)
				default:
					fmt.Fprintf(&b, "\t%s\n", a.Filename)
				}
				if a.Sdist == (a.Reason == "") || a.Sdist == (a.Source == nil) {
					t.Errorf("%s: Sdist, Source and Reason do not agree: %+v", name, a)
				}
			}
		}
		golden := filepath.Join("testdata/uv", name, "want.txt")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

func TestArtifact(t *testing.T) {
	u := parseFixture(t, "groups")
	artifacts, err := u.Select(bookworm, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	want := Artifact{
		Name: "pluggy", Version: "1.7.0", Filename: "pluggy-1.7.0-py3-none-any.whl",
		URL:  "https://files.pythonhosted.org/packages/40/9e/2b38731e0fc536806f16490e1a12d7f0dc2a1235aa8cc07bcc75416a7daa/pluggy-1.7.0-py3-none-any.whl",
		Hash: "sha256:7dd7b0d8832ba3cb632c306926ded123429211b83641b35dc5c41ad2d34f9bec", Size: 27082,
	}
	i := slices.IndexFunc(artifacts, func(a Artifact) bool { return a.Name == "pluggy" })
	if i < 0 {
		t.Fatalf("pluggy is not in %v", artifacts)
	}
	if diff := cmp.Diff(want, artifacts[i]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAccessors(t *testing.T) {
	u := parseFixture(t, "forks")
	if got := u.RequiresPython(); got != ">=3.10" {
		t.Errorf("RequiresPython is %q", got)
	}
	if got := u.Version("Jinja2"); got != "3.1.6" {
		t.Errorf("Version(Jinja2) is %q", got)
	}
	if low, high := "8.1.8", u.Version("click"); high == low || high == "" {
		t.Errorf("Version(click) is %q, not the highest of the forks", high)
	}
	if got := u.Version("nope"); got != "" {
		t.Errorf("Version(nope) is %q", got)
	}
}

// A lock without its pyproject.toml selects the same: the project is found by its source, its default groups in the lock.
func TestWithoutPyproject(t *testing.T) {
	for _, name := range []string{"groups", "allgroups", "extras", "conflicts", "nonproject"} {
		lock, pyproject := readFixture(t, name)
		with, err := ParseUV(lock, pyproject)
		if err != nil {
			t.Fatal(err)
		}
		without, err := ParseUV(lock, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := with.Select(bookworm, Choice{})
		b, errB := without.Select(bookworm, Choice{})
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: with and without pyproject.toml\n%s", name, diff)
		}
	}
}

// lockOf makes a lock around some packages; the project is called "proj".
func lockOf(packages ...string) []byte {
	return []byte("version = 1\nrevision = 3\nrequires-python = \">=3.10\"\n\n" + strings.Join(packages, "\n"))
}

const projPyproject = "[project]\nname = \"proj\"\n"

func proj(deps ...string) string {
	return "[[package]]\nname = \"proj\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\ndependencies = [" + strings.Join(deps, ", ") + "]\n"
}

func TestSources(t *testing.T) {
	const wheel = `wheels = [{ url = "https://example.org/a/odd%2Bname-1.0%2Bcpu-py3-none-any.whl", hash = "sha256:00", size = 7 }]`
	for _, c := range []struct {
		name, pkg string
		want      Artifact
	}{
		{"registry with an escaped URL", `version = "1.0+cpu"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "https://example.org/a/odd-1.0%2Bcpu-py3-none-any.whl#egg=1", hash = "sha256:00", size = 7 }]`,
			Artifact{Version: "1.0+cpu", Filename: "odd-1.0+cpu-py3-none-any.whl", URL: "https://example.org/a/odd-1.0%2Bcpu-py3-none-any.whl#egg=1",
				Hash: "sha256:00", Size: 7}},
		{"flat index on disk", `version = "1.0"
source = { registry = "../wheels" }
wheels = [{ path = "odd-1.0-py3-none-any.whl" }]`,
			Artifact{Version: "1.0", Filename: "odd-1.0-py3-none-any.whl", Path: "../wheels/odd-1.0-py3-none-any.whl"}},
		{"file URL", `version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "file:///srv/my%20wheels/odd-1.0-py3-none-any.whl" }]`,
			Artifact{Version: "1.0", Filename: "odd-1.0-py3-none-any.whl", Path: "/srv/my wheels/odd-1.0-py3-none-any.whl"}},
		{"wheel by URL", `version = "1.0"
source = { url = "https://example.org/odd-1.0-py3-none-any.whl" }
wheels = [{ url = "https://example.org/odd-1.0-py3-none-any.whl", hash = "sha256:00" }]`,
			Artifact{Version: "1.0", Filename: "odd-1.0-py3-none-any.whl", URL: "https://example.org/odd-1.0-py3-none-any.whl", Hash: "sha256:00",
				Direct: &Direct{URL: "https://example.org/odd-1.0-py3-none-any.whl"}}},
		{"wheel by path", `version = "1.0"
source = { path = "dist/odd-1.0-py3-none-any.whl" }
wheels = [{ filename = "odd-1.0-py3-none-any.whl", hash = "sha256:00" }]`,
			Artifact{Version: "1.0", Filename: "odd-1.0-py3-none-any.whl", Path: "dist/odd-1.0-py3-none-any.whl", Hash: "sha256:00",
				Direct: &Direct{URL: "file:///root/dist/odd-1.0-py3-none-any.whl"}}},
		{"archive by URL", `version = "1.0"
source = { url = "https://example.org/odd-1.0.tar.gz", subdirectory = "sub" }
sdist = { hash = "sha256:00" }`,
			Artifact{Version: "1.0", Filename: "odd-1.0.tar.gz", URL: "https://example.org/odd-1.0.tar.gz", Hash: "sha256:00", Sdist: true,
				Direct: &Direct{URL: "https://example.org/odd-1.0.tar.gz#subdirectory=sub"},
				Source: &Source{Kind: FromArchive, Cause: NotAWheel, Subdirectory: "sub"},
				Reason: "odd 1.0 is locked as a source archive and has to be built; build a wheel of it and depend on that instead"}},
		{"git", `version = "1.0"
source = { git = "https://example.org/odd?rev=main#0123456789012345678901234567890123456789" }`,
			Artifact{Version: "1.0", URL: "https://example.org/odd?rev=main#0123456789012345678901234567890123456789", Sdist: true,
				Direct: &Direct{URL: "https://example.org/odd", Commit: "0123456789012345678901234567890123456789", Requested: "main"},
				Source: &Source{Kind: FromGit, Cause: NotAWheel, Repository: "https://example.org/odd", Commit: "0123456789012345678901234567890123456789", Requested: "main"},
				Reason: "odd 1.0 is locked from git and has to be built from source; build a wheel of it and depend on that instead"}},
		{"directory without a version", `source = { directory = "odd" }`,
			Artifact{Path: "odd", Sdist: true, Direct: &Direct{URL: "file:///root/odd"}, Source: &Source{Kind: FromDirectory, Cause: NotAWheel, Dir: "odd"},
				Reason: "odd is the local directory odd and has to be built from source; build a wheel of it and depend on that instead"}},
		{"editable", `version = "1.0"
source = { editable = "../odd" }`,
			Artifact{Version: "1.0", Path: "../odd", Sdist: true, Direct: &Direct{URL: "file:///odd", Editable: true},
				Source: &Source{Kind: FromDirectory, Cause: NotAWheel, Dir: "../odd", Editable: true},
				Reason: "odd 1.0 is the local directory ../odd and has to be built from source; build a wheel of it and depend on that instead"}},
		{"higher build tag", `version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [
    { url = "https://example.org/odd-1.0-py3-none-any.whl" },
    { url = "https://example.org/odd-1.0-10-py3-none-any.whl" },
    { url = "https://example.org/odd-1.0-9-py3-none-any.whl" },
    { url = "https://example.org/odd-1.0-99-py2-none-any.whl" },
]`,
			Artifact{Version: "1.0", Filename: "odd-1.0-10-py3-none-any.whl", URL: "https://example.org/odd-1.0-10-py3-none-any.whl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := ParseUV(lockOf("[[package]]\nname = \"odd\"\n"+c.pkg+"\n", proj(`{ name = "odd" }`)), []byte(projPyproject))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Name = "odd"
			got, err := u.Select(bookworm, Choice{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Artifact{c.want}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	_, err := ParseUV(lockOf("[[package]]\nname = \"odd\"\nversion = \"1.0\"\nsource = { registry = \"https://example.org/simple\" }\n"+wheel+"\n",
		proj(`{ name = "odd" }`)), []byte(projPyproject))
	if err != nil {
		t.Fatal(err) // a wrong wheel is found when it is chosen from, so that it does not hinder where it is not needed
	}
}

func TestSelectErrors(t *testing.T) {
	registry := func(files string) string {
		return "[[package]]\nname = \"odd\"\nversion = \"1.0\"\nsource = { registry = \"https://example.org/simple\" }\n" + files + "\n"
	}
	for _, c := range []struct {
		name, pkg, pyproject string
		python, want         string
	}{
		{"old Python", registry(""), "", "3.9.1", `uv.lock: the lock requires Python >=3.10, but the base image has Python 3.9.1; choose`},
		{"unreadable Python", registry(""), "", "banana", `select from uv.lock: read the version of Python`},
		{"no file at all", registry(""), "", "3.11.11", `no wheel of odd 1.0 fits CPython 3.11.11 on linux/amd64 (glibc 2.36), and the lock has no source distribution of it`},
		{"only for others", registry(`wheels = [{ url = "https://example.org/odd-1.0-cp311-cp311-win_amd64.whl" }]`), "", "3.11.11",
			`uv.lock:5: no wheel of odd 1.0 fits CPython 3.11.11 on linux/amd64 (glibc 2.36), and the lock has no source distribution of it (it has wheels for cp311-cp311-win_amd64)`},
		{"may not build", registry(`sdist = { url = "https://example.org/odd-1.0.tar.gz" }`), "[tool.uv]\nno-build = true\n", "3.11.11",
			`no-build does not allow to build it`},
		{"may do nothing", registry(`sdist = { url = "https://example.org/odd-1.0.tar.gz" }`), "[tool.uv]\nno-build = true\nno-binary = true\n", "3.11.11",
			`no-binary and no-build allow neither a wheel of odd 1.0 nor a build of it`},
		{"may not use the wheel", registry(`wheels = [{ url = "https://example.org/odd-1.0-py3-none-any.whl" }]`), "[tool.uv]\nno-binary-package = [\"Odd\"]\n",
			"3.11.11", `no-binary does not allow a wheel of odd 1.0`},
		{"wheel of another", registry(`wheels = [{ url = "https://example.org/even-1.0-py3-none-any.whl" }]`), "", "3.11.11", `has a wheel of another package`},
		{"wheel of another version", registry(`wheels = [{ url = "https://example.org/odd-1.1-py3-none-any.whl" }]`), "", "3.11.11", `has a wheel of another version`},
		{"wheel with a bad name", registry(`wheels = [{ url = "https://example.org/odd.whl" }]`), "", "3.11.11", `not a wheel's name`},
		{"group with another Python", registry(`wheels = [{ url = "https://example.org/odd-1.0-py3-none-any.whl" }]`),
			"[dependency-groups]\nnew = []\n[tool.uv]\ndefault-groups = [\"new\"]\n[tool.uv.dependency-groups]\nnew = { requires-python = \">=3.13\" }\n",
			"3.11.11", `the group new requires Python >=3.13`},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := ParseUV(lockOf(c.pkg, proj(`{ name = "odd" }`)), []byte(projPyproject+c.pyproject))
			if err != nil {
				t.Fatal(err)
			}
			env := bookworm
			env.Python = c.python
			if _, err := u.Select(env, Choice{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is\n %v, not\n %s", err, c.want)
			}
		})
	}
}

func TestConflictingDefaultGroups(t *testing.T) {
	lock, pyproject := readFixture(t, "groupconflicts")
	pyproject = []byte(strings.Replace(string(pyproject), `default-groups = ["old"]`, `default-groups = ["old", "new"]`, 1))
	u, err := ParseUV(lock, pyproject)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Select(bookworm, Choice{}); err == nil || !strings.Contains(err.Error(), "group new of groupconflicts and group old of groupconflicts") {
		t.Errorf("error is %v", err)
	}
}

func TestKernelMarker(t *testing.T) {
	u, err := ParseUV(lockOf("[[package]]\nname = \"odd\"\nversion = \"1.0\"\nsource = { registry = \"https://example.org/simple\" }\n",
		proj(`{ name = "odd", marker = "platform_release >= '6'" }`)), []byte(projPyproject))
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := u.Select(bookworm, Choice{}); !errors.As(err, &e) || !strings.Contains(err.Error(), "platform_release is known only where the image runs") {
		t.Errorf("error is %v", err)
	}
}
