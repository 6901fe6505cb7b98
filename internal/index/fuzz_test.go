package index

import (
	"strings"
	"testing"
)

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-99/100")
	f.Add("bytes */5")
	f.Add("bytes 18446744073709551616-1/-1")
	f.Fuzz(func(t *testing.T, s string) {
		if start, total, ok := parseContentRange(s); ok && (start < 0 || total <= start && total != -1) {
			t.Errorf("%q starts at %d of %d", s, start, total)
		}
	})
}

// FuzzEnvironment is for what variables and a pyproject.toml say of indexes.
func FuzzEnvironment(f *testing.F) {
	f.Add("UV_INDEX=a=https://u:p@h/x https://h2\nUV_INDEX_A_PASSWORD=x\nPIP_INDEX_URL=y", "[[tool.uv.index]]\nname = \"a\"\nurl = \"https://h\"\n")
	f.Add("UV_INDEX_=\n=\nUV_INDEX__USERNAME=", "[tool.poetry]\nsource = [{ name = \"x\" }]\n")
	f.Fuzz(func(t *testing.T, environ, pyproject string) {
		s := FromEnvironment(strings.Split(environ, "\n"))
		if all := s.Indexes(); len(all) == 0 || all[len(all)-1].URL == "" {
			t.Errorf("indexes %q", all)
		}
		named, err := FromPyproject([]byte(pyproject))
		if err != nil {
			return
		}
		l := &logins{named: s.Named, asked: map[string]answer{}}
		for _, i := range append(named, s.Extra...) {
			l.learn(i)
		}
	})
}
