package lockfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someCommit = "0123456789012345678901234567890123456789"

func TestGitSource(t *testing.T) {
	for address, want := range map[string]Source{
		"https://example.org/a/b.git#" + someCommit:                         {Repository: "https://example.org/a/b.git", Commit: someCommit},
		"ssh://git@example.org/a/b?tag=v1%2B1#" + someCommit:                {Repository: "ssh://git@example.org/a/b", Commit: someCommit, Requested: "v1+1"},
		"https://example.org/b?subdirectory=x%2Fy&branch=a/b#" + someCommit: {Repository: "https://example.org/b", Commit: someCommit, Subdirectory: "x/y", Requested: "a/b"},
		"https://example.org/b?lfs=true&rev=main#" + someCommit:             {Repository: "https://example.org/b", Commit: someCommit, Requested: "main", LFS: true},
		"git@example.org:a/b.git?rev=main#" + someCommit:                    {Repository: "git@example.org:a/b.git", Commit: someCommit, Requested: "main"},
		"file:///srv/b%20c#" + someCommit:                                   {Repository: "file:///srv/b%20c", Commit: someCommit},
	} {
		want.Kind, want.Cause = FromGit, NotAWheel
		if diff := cmp.Diff(want, gitSource(address)); diff != "" {
			t.Errorf("%s: -want +got\n%s", address, diff)
		}
	}
}

// What the BuildKit step is told, by each kind of lock.
func TestSourcesOfLocks(t *testing.T) {
	odd := func(rest string) string { return "[[package]]\nname = \"odd\"\nversion = \"1.0\"\n" + rest + "\n" }
	registry := "source = { registry = \"https://example.org/simple\" }\nsdist = { url = \"https://example.org/odd-1.0.tar.gz\", hash = \"sha256:00\" }\n"
	windows := "wheels = [{ url = \"https://example.org/odd-1.0-cp311-cp311-win_amd64.whl\" }]\n"
	pylock := func(rest string) string {
		return "lock-version = \"1.0\"\ncreated-by = \"t\"\n[[packages]]\nname = \"odd\"\nversion = \"1.0\"\n" + rest + "\n"
	}
	for _, c := range []struct {
		name, file, lock, project string
		want                      Source
	}{
		{"no wheel", "uv.lock", odd(registry), "", Source{Kind: FromArchive, Cause: NoWheel}},
		{"no wheel that fits", "uv.lock", odd(registry + windows), "", Source{Kind: FromArchive, Cause: NoWheelFits}},
		{"no-binary", "uv.lock", odd(registry + windows), "[tool.uv]\nno-binary = true\n", Source{Kind: FromArchive, Cause: WheelsRefused}},
		{"no-binary-package", "uv.lock", odd(registry + windows), "[tool.uv]\nno-binary-package = [\"ODD\"]\n", Source{Kind: FromArchive, Cause: WheelsRefused}},
		{"member", "uv.lock", odd("source = { editable = \"libs/odd\" }"), "", Source{Kind: FromDirectory, Cause: NotAWheel, Dir: "libs/odd", Editable: true}},
		{"archive on disk", "uv.lock", odd("source = { path = \"../odd-1.0.zip\" }\nsdist = { hash = \"sha256:00\" }"), "", Source{Kind: FromArchive, Cause: NotAWheel}},
		{"git in a subdirectory", "uv.lock", odd("source = { git = \"https://example.org/odd?subdirectory=py&tag=v1#" + someCommit + "\" }"), "",
			Source{Kind: FromGit, Cause: NotAWheel, Repository: "https://example.org/odd", Commit: someCommit, Requested: "v1", Subdirectory: "py"}},
		{"vcs", "pylock.toml", pylock("vcs = { type = \"git\", url = \"https://example.org/odd\", requested-revision = \"main\", commit-id = \"" + someCommit + "\", subdirectory = \"a b\" }"), "",
			Source{Kind: FromGit, Cause: NotAWheel, Repository: "https://example.org/odd", Commit: someCommit, Requested: "main", Subdirectory: "a b"}},
		{"vcs on disk", "pylock.toml", pylock("vcs = { type = \"git\", path = \"/srv/odd\", commit-id = \"" + someCommit + "\" }"), "",
			Source{Kind: FromGit, Cause: NotAWheel, Repository: "file:///srv/odd", Commit: someCommit}},
		{"directory", "pylock.toml", pylock("directory = { path = \"../odd\", editable = true, subdirectory = \"py\" }"), "",
			Source{Kind: FromDirectory, Cause: NotAWheel, Dir: "../odd/py", Editable: true}},
		{"archive", "pylock.toml", pylock("archive = { url = \"https://example.org/odd-1.0.tar.gz\", subdirectory = \"py\", hashes = { sha256 = \"00\" } }"), "",
			Source{Kind: FromArchive, Cause: NotAWheel, Subdirectory: "py"}},
		{"sdist", "pylock.toml", pylock("sdist = { url = \"https://example.org/odd-1.0.tar.gz\", hashes = { sha256 = \"00\" } }"), "", Source{Kind: FromArchive, Cause: NoWheel}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lock := []byte(c.lock)
			if c.file == "uv.lock" {
				lock = lockOf(c.lock, proj(`{ name = "odd" }`))
			}
			l, err := Parse(c.file, lock, []byte(projPyproject+c.project))
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Select(bookworm, Choice{})
			if err != nil || len(got) != 1 || !got[0].Sdist {
				t.Fatal(got, err)
			}
			if diff := cmp.Diff(&c.want, got[0].Source); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if c.want.Kind == FromArchive && (got[0].Filename == "" || got[0].Hash != "sha256:00" || got[0].URL == "" && got[0].Path == "") {
				t.Errorf("the archive cannot be found: %+v", got[0])
			}
			if !strings.Contains(got[0].Reason, "built") {
				t.Errorf("reason %q", got[0].Reason)
			}
		})
	}
}

// A lock keeps the logins of its addresses; what is installed does not.
func TestDirectHasNoLogin(t *testing.T) {
	for address, want := range map[string]string{
		"https://u:p%40@example.org/odd-1.0-py3-none-any.whl":    "https://example.org/odd-1.0-py3-none-any.whl",
		"https://token@example.org/odd-1.0-py3-none-any.whl":     "https://example.org/odd-1.0-py3-none-any.whl",
		"https://example.org/a@b/odd-1.0-py3-none-any.whl?x=y@z": "https://example.org/a@b/odd-1.0-py3-none-any.whl?x=y@z",
	} {
		uv := string(lockOf("[[package]]\nname = \"odd\"\nversion = \"1.0\"\nsource = { url = \""+address+"\" }\nwheels = [{ url = \""+address+"\", hash = \"sha256:00\" }]\n", proj(`{ name = "odd" }`)))
		pylock := "lock-version = \"1.0\"\ncreated-by = \"t\"\n[[packages]]\nname = \"odd\"\narchive = { url = \"" + address + "\", hashes = { sha256 = \"00\" } }\n"
		poetry, project := poetryOf(t, "2.1", "[tool.poetry]\n", poetryPackageHead+"files = [{file = \"odd-1.0-py3-none-any.whl\", hash = \"sha256:00\"}]\n[package.source]\ntype = \"url\"\nurl = \""+address+"\"\n")
		for file, lock := range map[string]string{"uv.lock": uv, "pylock.toml": pylock, "poetry.lock": string(poetry)} {
			beside := []byte(projPyproject)
			if file == "poetry.lock" {
				beside = project
			}
			l, err := Parse(file, []byte(lock), beside)
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Select(bookworm, Choice{})
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			if got[0].URL != address || got[0].Direct == nil || got[0].Direct.URL != want {
				t.Errorf("%s: %s is noted as %+v, want %s", file, got[0].URL, got[0].Direct, want)
			}
		}
	}
	a := Artifact{URL: "https://u:p@h/x", Index: "https://u@h/simple", Source: &Source{Repository: "https://u:p@h/x.git"}}
	want := Artifact{URL: "https://h/x", Index: "https://h/simple", Source: &Source{Repository: "https://h/x.git"}}
	if diff := cmp.Diff(want, a.WithoutLogin()); diff != "" || a.Source.Repository != "https://u:p@h/x.git" {
		t.Errorf("-want +got\n%s\nand what it was is %+v", diff, a)
	}
	for address, want := range map[string]string{
		"ssh://git@example.org/a.git": "ssh://git@example.org/a.git", "git@example.org:a.git": "git@example.org:a.git",
		"https://u:p@example.org/a.git?rev=x#" + someCommit: "https://example.org/a.git?rev=x#" + someCommit,
	} {
		if got := withoutLogin(address); got != want {
			t.Errorf("%s without a login is %s, not %s", address, got, want)
		}
	}
}
