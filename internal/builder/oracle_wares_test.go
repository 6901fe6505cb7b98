package builder

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wares are what projects name besides PyPI: an index with packages of its own, a git repository, a file.
type wares struct {
	names *strings.Replacer // $INDEX, $REPO, $WHEEL
}

// newWares makes them: flytekit 1.0, which is small here, and house 1.0 in the index, odd in the repository.
func newWares(t *testing.T) *wares {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"flytekit", "house"} {
		filename, data := makeWheel(t, name, "1.0", map[string]string{
			name + "/__init__.py": "x = 1\n", name + "-1.0.dist-info/entry_points.txt": "[console_scripts]\n" + name + " = " + name + ":main\n",
		})
		files[filename] = data
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if data, ok := files[strings.TrimPrefix(r.URL.Path, "/files/")]; ok {
			_, _ = w.Write(data) // the client sees a short answer
			return
		}
		project := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/")
		page := ""
		for filename, data := range files {
			if strings.HasPrefix(filename, project+"-") {
				page += fmt.Sprintf("<a href=\"/files/%s#sha256=%x\">%s</a>\n", filename, sha256.Sum256(data), filename)
			}
		}
		if page == "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	for name, text := range map[string]string{
		"py/pyproject.toml": "[project]\nname = \"odd\"\nversion = \"1\"\ndependencies = [\"idna==3.10\"]\n", "py/odd.py": "x = 1\n",
	} {
		path := filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x"}, {"tag", "v1"}} {
		if out, err := exec.Command("git", append([]string{"-C", repo}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	at := filepath.Join(dir, "house-1.0-py3-none-any.whl")
	if err := os.WriteFile(at, files[filepath.Base(at)], 0o644); err != nil {
		t.Fatal(err)
	}
	return &wares{names: strings.NewReplacer("$INDEX", server.URL+"/simple", "$REPO", "file://"+repo, "$WHEEL", at)}
}
