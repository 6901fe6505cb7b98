package lockfile

import (
	"errors"
	"testing"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

func FuzzConstraint(f *testing.F) {
	for _, s := range []string{"^1.2", "~1.2.3 || >=3,<4", "1.2.*", "*", "!= 1.0 | ==2", "~= 1", "^0.0.0.dev1", "== 1.0.0+x"} {
		f.Add(s, "1.2.3")
	}
	f.Fuzz(func(t *testing.T, s, version string) {
		c, err := parseConstraint(s)
		if err != nil {
			return
		}
		if v, err := pypa.ParseVersion(version); err == nil {
			c.allows(v)
		}
	})
}

func FuzzPyproject(f *testing.F) {
	f.Add([]byte("[project]\nname = \"a\"\n[dependency-groups]\na = [\"b\", {include-group = \"c\"}]\nc = []\n[tool.uv]\ndefault-groups = [\"a\"]\n" +
		"no-binary-package = [\"B\"]\n[tool.uv.dependency-groups]\na = { requires-python = \">3\" }\n"))
	f.Add([]byte("[tool.poetry]\nname = \"a\"\n[tool.poetry.dependencies]\nx = [{ version = \"^1\", python = \"<3\" }, { git = \"y\" }]\n[tool.poetry.group.b]\noptional = true\n" +
		"[tool.poetry.extras]\nz = [\"x\"]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePyproject(text)
		var e *Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("%T is not an *Error: %v", err, err)
		case err == nil:
			for _, g := range append(p.defaultGroups, p.groups...) {
				if pypa.NormalizeName(g) != g {
					t.Errorf("group %q", g)
				}
			}
		}
		doc, err := decodeDocument(pyprojectFile, text)
		if err != nil {
			return
		}
		if _, err := parsePoetryProject(doc); err != nil {
			return
		}
		_, _ = contentHash(doc, true)
		_, _ = contentHash(doc, false)
	})
}

func FuzzGitSource(f *testing.F) {
	f.Add("https://example.org/a?rev=x&subdirectory=y%2Fz&lfs=true#" + someCommit)
	f.Add("git@example.org:a/b?%zz#")
	f.Fuzz(func(t *testing.T, address string) {
		s := gitSource(address)
		if s.Kind != FromGit || len(s.Repository)+len(s.Commit) > len(address) {
			t.Errorf("%q is %+v", address, s)
		}
	})
}
