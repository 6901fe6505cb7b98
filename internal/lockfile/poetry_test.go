package lockfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// TestLocksGolden keeps what TestSelectAsPoetry and TestSelectAsPackaging proved, so that it is checked without Python as well.
func TestLocksGolden(t *testing.T) {
	locks := map[string]Lock{}
	for _, name := range poetryFixtures(t) {
		locks["testdata/poetry/"+name] = parsePoetryFixture(t, name)
	}
	for _, name := range pylockFixtures(t) {
		locks["testdata/pylock/"+name] = parsePylockFixture(t, name)
	}
	for dir, l := range locks {
		got := describeSelections(t, l)
		golden := filepath.Join(dir, "want.txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(readFile(t, golden)), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", dir, diff)
		}
	}
}

func describeSelections(t *testing.T, l Lock) string {
	t.Helper()
	var b strings.Builder
	for _, env := range environments() {
		fmt.Fprintln(&b, env)
		artifacts, err := l.Select(env, Choice{})
		if err != nil {
			fmt.Fprintf(&b, "\terror: %v\n", err)
		}
		for _, a := range artifacts {
			if a.Sdist == (a.Reason == "") || a.Sdist == (a.Source == nil) {
				t.Errorf("Sdist, Source and Reason do not agree: %+v", a)
			}
			if a.Sdist {
				fmt.Fprintf(&b, "\tbuild %s %s%s: %s\n", a.Name, a.URL, a.Path, a.Reason)
				continue
			}
			fmt.Fprintf(&b, "\t%s %s%s%s\n", a.Filename, a.Index, a.URL, a.Path)
		}
	}
	return b.String()
}

func TestConstraint(t *testing.T) {
	for _, c := range []struct{ text, in, out string }{
		{"*", "0.0.1 9.9 1.0a1", ""},
		{"^1.2.3", "1.2.3 1.9 1.2.3.post1", "1.2.2 2.0 2.0a1 1.2.3rc1"},
		{"^1.2.3a1", "1.2.3a1 1.2.3 1.9", "1.2.2 2.0"},
		{"^0.3", "0.3 0.3.9", "0.4 0.2 1.0"},
		{"^0.0.3", "0.0.3 0.0.3.1", "0.0.4 0.1"},
		{"^0.0", "0.0 0.0.9", "0.1"},
		{"^0", "0.0 0.9", "1.0"},
		{"^ 1.0", "1.5", "2.0"},
		{"~1.2.3", "1.2.3 1.2.9", "1.3 1.2.2"},
		{"~1.2", "1.2 1.2.9", "1.3 1.1"},
		{"~1", "1.0 1.9", "2.0"},
		{"~=1.2", "1.2 1.9", "2.0 1.1"},
		{"~=2", "2 2.9", "3 1.9"},
		{"1.2.*", "1.2 1.2.9", "1.3"},
		{"1.*.*", "1.2", "2.0"},
		{"!=1.2.*", "1.3", "1.2.1"},
		{"1.2", "1.2 1.2.0 1.2+local", "1.2.1"},
		{"=1.2", "1.2", "1.3"},
		{">=1.0,<2.0", "1.5", "2.0 0.9"},
		{">= 1.0, < 2.0", "1.5", "2.0"},
		{">=1.0 <2.0,!=1.5", "1.4", "2.0 1.5"},
		{"<1.0 || >=2.0", "0.9 2.0", "1.5"},
		{"^1.0|^3.0", "1.1 3.1", "2.0"},
		{">=3.9.*", "3.9", "3.8"},
		{">1.0", "1.1", "1.0 1.0.post1"},
		{">=1.0,", "1.0", "0.9"},
	} {
		got, err := parseConstraint(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for _, list := range []string{c.in, c.out} {
			for v := range strings.FieldsSeq(list) {
				version, err := pypa.ParseVersion(v)
				if err != nil {
					t.Fatal(err)
				}
				if got.allows(version) != (list == c.in) {
					t.Errorf("%s allows %s: %v", c.text, v, got.allows(version))
				}
			}
		}
	}
	for _, text := range []string{"", "banana", "^", ">=1.0,banana", "^1.x.y", "1.0 || "} {
		if _, err := parseConstraint(text); err == nil {
			t.Errorf("%q is a constraint", text)
		}
	}
}

// poetryOf makes a lock of format 2.1 and its project.
func poetryOf(t testing.TB, version, project string, packages ...string) (lock, pyproject []byte) {
	t.Helper()
	doc, err := decodeDocument(pyprojectFile, []byte(project))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := contentHash(doc, true)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "# by Poetry 2.5.1 and\n%s\n[metadata]\nlock-version = %q\npython-versions = \">=3.10\"\ncontent-hash = %q\n",
		strings.Join(packages, "\n"), version, hash), []byte(project)
}

const poetryPackageHead = "[[package]]\nname = \"odd\"\nversion = \"1.0\"\noptional = false\npython-versions = \">=3.8\"\ngroups = [\"main\"]\n"

func TestPoetrySources(t *testing.T) {
	const file = `files = [{file = "odd-1.0-py3-none-any.whl", hash = "sha256:00"}, {file = "odd-1.0-1-py3-none-any.whl", hash = "sha256:02"}, {file = "odd-1.0.tar.gz", hash = "sha256:01"}]` + "\n"
	const git = "https://example.org/odd.git?subdirectory=py&rev=main#0123456789012345678901234567890123456789"
	for _, c := range []struct {
		name, rest string
		want       Artifact
	}{
		{"PyPI, higher build tag", file, Artifact{Filename: "odd-1.0-1-py3-none-any.whl", Hash: "sha256:02"}},
		{"private index", file + "[package.source]\ntype = \"legacy\"\nurl = \"https://example.org/simple\"\nreference = \"mine\"\n",
			Artifact{Filename: "odd-1.0-1-py3-none-any.whl", Hash: "sha256:02", Index: "https://example.org/simple"}},
		{"a build tag wins over a better tag", `files = [{file = "odd-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", hash = "sha256:00"}, {file = "odd-1.0-1-py3-none-any.whl", hash = "sha256:01"}]` + "\n",
			Artifact{Filename: "odd-1.0-1-py3-none-any.whl", Hash: "sha256:01"}},
		{"sdist", `files = [{file = "odd-1.0.exe", hash = "sha256:00"}, {file = "odd-1.0.tar.gz", hash = "sha256:01"}]` + "\n",
			Artifact{Filename: "odd-1.0.tar.gz", Hash: "sha256:01", Sdist: true, Reason: ident{"odd", "1.0"}.fromSdist(nil, bookworm),
				Source: &Source{Kind: FromArchive, Cause: NoWheel}}},
		{"git", "files = []\ndevelop = true\n[package.source]\ntype = \"git\"\nurl = \"https://example.org/odd.git\"\nreference = \"main\"\nresolved_reference = \"0123456789012345678901234567890123456789\"\nsubdirectory = \"py\"\n",
			Artifact{URL: git, Sdist: true, Reason: ident{"odd", "1.0"}.fromGit(), Direct: &Direct{URL: "https://example.org/odd.git", Commit: "0123456789012345678901234567890123456789", Requested: "main", Subdirectory: "py"},
				Source: &Source{Kind: FromGit, Cause: NotAWheel, Repository: "https://example.org/odd.git", Requested: "main", Subdirectory: "py", Editable: true,
					Commit: "0123456789012345678901234567890123456789"}}},
		{"directory", "files = []\ndevelop = true\n[package.source]\ntype = \"directory\"\nurl = \"../odd\"\n",
			Artifact{Path: "../odd", Sdist: true, Reason: ident{"odd", "1.0"}.fromDirectory("../odd"), Direct: &Direct{URL: "file:///odd", Editable: true},
				Source: &Source{Kind: FromDirectory, Cause: NotAWheel, Dir: "../odd", Editable: true}}},
		{"file", file + "[package.source]\ntype = \"file\"\nurl = \"dist/odd-1.0-py3-none-any.whl\"\n",
			Artifact{Path: "dist/odd-1.0-py3-none-any.whl", Filename: "odd-1.0-py3-none-any.whl", Hash: "sha256:00", Direct: &Direct{URL: "file:///root/dist/odd-1.0-py3-none-any.whl"}}},
		{"URL", file + "[package.source]\ntype = \"url\"\nurl = \"https://example.org/odd-1.0.tar.gz\"\nsubdirectory = \"py\"\n",
			Artifact{URL: "https://example.org/odd-1.0.tar.gz", Filename: "odd-1.0.tar.gz", Hash: "sha256:01", Sdist: true, Reason: ident{"odd", "1.0"}.fromArchive(),
				Direct: &Direct{URL: "https://example.org/odd-1.0.tar.gz#subdirectory=py"}, Source: &Source{Kind: FromArchive, Cause: NotAWheel, Subdirectory: "py"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := ParsePoetry(poetryOf(t, "2.1", "[tool.poetry]\n", poetryPackageHead+c.rest))
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Select(bookworm, Choice{})
			if err != nil {
				t.Fatal(err)
			}
			c.want.Name, c.want.Version = "odd", "1.0"
			if diff := cmp.Diff([]Artifact{c.want}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestPoetryErrors(t *testing.T) {
	whole := poetryPackageHead + "files = [{file = \"odd-1.0-py3-none-any.whl\", hash = \"sha256:00\"}]\n"
	const project = "[tool.poetry.dependencies]\nodd = \"*\"\n"
	for _, c := range []struct {
		name, version, pkg string
		edit               func(lock string) string
		line               int
		want               string
	}{
		{"empty", "2.1", whole, func(string) string { return "\n" }, 0, "the file is empty"},
		{"cut short", "2.1", whole, func(s string) string { return s[:strings.Index(s, "[metadata]")] }, 0, "the file ends too early"},
		{"conflict", "2.1", whole, func(s string) string { return "<<<<<<< x\n" + s }, 1, "a merge conflict"},
		{"behind", "2.1", whole, func(s string) string { return strings.Replace(s, "content-hash = \"", "content-hash = \"0", 1) }, 0, "pyproject.toml changed"},
		{"new version", "3.0", whole, nil, 0, "lock-version 3.0 is not known"},
		{"no groups", "2.1", strings.Replace(whole, "groups = ", "group = ", 1), nil, 2, "it has no groups"},
		{"odd marker", "2.1", strings.Replace(whole, "files", "markers = \"banana == 'x'\"\nfiles", 1), nil, 2, `"banana" is no variable`},
		{"odd source", "2.1", whole + "[package.source]\ntype = \"svn\"\nurl = \"x\"\n", nil, 2, `of type "svn"`},
		{"a way out", "2.1", strings.Replace(whole, "odd-1.0-py3", "../odd-1.0-py3", 1), nil, 2, "is not a file's name"},
		{"another's wheel", "2.1", strings.Replace(whole, "odd-1.0-py3", "evil-1.0-py3", 1), nil, 2, "has a wheel of another package"},
		{"nothing fits", "2.1", strings.Replace(whole, "none-any", "none-win32", 1), nil, 2, "no wheel of odd 1.0 fits"},
		{"twice", "2.1", whole + whole, nil, 0, "two versions of odd"},
		{"files missing", "1.1", strings.Replace(whole, "files", "filed", 1), nil, 2, "does not list its files"},
		{"not in the lock", "2.0", strings.Replace(whole, "\"odd\"", "\"other\"", 1), nil, 0, "odd is needed, but not in the lock"},
		{"no version serves", "2.0", strings.Replace(whole, ">=3.8", ">=3.12", 1), nil, 2, "no locked version of odd does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lock, pyproject := poetryOf(t, c.version, project, c.pkg)
			if c.edit != nil {
				lock = []byte(c.edit(string(lock)))
			}
			l, err := ParsePoetry(lock, pyproject)
			if err == nil {
				_, err = l.Select(bookworm, Choice{})
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if e.Line != c.line || !strings.Contains(e.Reason, c.want) {
				t.Errorf("error is %q (line %d), want line %d: %s", e, e.Line, c.line, c.want)
			}
		})
	}
}

// A lock that is cut at the end of any line is refused.
func TestPoetryTruncated(t *testing.T) {
	for _, name := range poetryFixtures(t) {
		lock, pyproject := readPoetryFixture(t, name)
		lines := strings.SplitAfter(strings.TrimRight(string(lock), "\n"), "\n")
		if name == "v11" { // its list of files comes last
			lines = lines[:400]
		}
		for i := 1; i < len(lines); i += 7 {
			if _, err := ParsePoetry([]byte(strings.Join(lines[:i], "")), pyproject); err == nil {
				t.Errorf("%s: cut after line %d it is a lock", name, i)
			}
		}
	}
}

var contentHashLine = regexp.MustCompile(`content-hash = "[^"]*"`)

func FuzzParsePoetry(f *testing.F) {
	// Small ones: with the fixtures, a try takes seconds.
	const files = "files = [{file = \"odd-1.0-py3-none-any.whl\", hash = \"sha256:00\"}]\n"
	add := func(lock, pyproject []byte) { f.Add(lock, pyproject) }
	add(poetryOf(f, "2.1", "[dependency-groups]\na = [\"odd\", {include-group = \"b\"}]\nb = []\n", strings.Replace(poetryPackageHead, "main", "a", 1)+
		"markers = {a = \"python_version > '3'\"}\n"+files))
	add(poetryOf(f, "2.0", "[tool.poetry.dependencies]\nodd = [{version = \"^1.0\", extras = [\"x\"], python = \">3\"}, {version = \"<1 || ~2\", platform = \"!=linux\"}]\n", poetryPackageHead+files+
		"[package.dependencies]\nodd = {version = \"*\", optional = true, markers = \"extra == 'x'\"}\n[package.extras]\nx = [\"odd[y] (>=1.0)\"]\n"))
	f.Fuzz(func(t *testing.T, lock, pyproject []byte) {
		// The digest would keep changed projects out.
		if doc, err := decodeDocument(pyprojectFile, pyproject); err == nil {
			if hash, err := contentHash(doc, true); err == nil {
				lock = contentHashLine.ReplaceAll(lock, []byte(`content-hash = "`+hash+`"`))
			}
		}
		l, err := ParsePoetry(lock, pyproject)
		checkFuzzed(t, l, err)
	})
}

func FuzzParsePylock(f *testing.F) {
	f.Add(readFile(f, "testdata/pylock/kinds/pylock.toml"))
	f.Fuzz(func(t *testing.T, lock []byte) {
		l, err := ParsePylock("pylock.toml", lock)
		checkFuzzed(t, l, err)
	})
}

func checkFuzzed(t *testing.T, l Lock, err error) {
	t.Helper()
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%T is not an *Error: %v", err, err)
		}
		return
	}
	for _, env := range environments()[:3] {
		artifacts, err := l.Select(env, Choice{})
		if err != nil {
			continue
		}
		for _, a := range artifacts {
			if a.Name == "" || !a.Sdist && a.Filename == "" || a.Sdist && a.Filename+a.URL+a.Path == "" {
				t.Errorf("incomplete artifact %+v", a)
			}
		}
	}
}
