package imagespec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzDockerIgnore(f *testing.F) {
	f.Add("*.pyc\n!keep/**/x?[a-z]\n# note\n/../a//b\n[!]\\\n**", "keep/a/x1b")
	f.Add("[]-\n[z-a]\n[^\\]]\r\n[\\d-x]", "a")
	f.Fuzz(func(t *testing.T, text, path string) {
		file := filepath.Join(t.TempDir(), ".dockerignore")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var ig ignore
		if err := ig.readDockerIgnore(file); err != nil {
			return
		}
		matchDocker(ig.docker, path)
		if matchDocker(ig.docker, ".dockerignore") {
			t.Error(".dockerignore is left out, which docker never does")
		}
	})
}

func FuzzTagFormat(f *testing.F) {
	f.Add("v1-{spec_hash}", "abc")
	f.Add("{spec_hash!r:>{spec_hash}}{{}}", "7")
	f.Add("{spec_hash[0].x:*^.3}", "")
	f.Fuzz(func(t *testing.T, format, hash string) {
		got, err := formatHash(format, hash)
		if err == nil && !strings.ContainsAny(format, "{}") && got != format {
			t.Errorf("%q became %q", format, got)
		}
	})
}
