package integration

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A package from a private repository is fetched with the login that git has for it, built, and installed as uv does.
func TestPackageFromPrivateGit(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase, varDocker)
	backend := gitBackend(t)
	c := newCanary()
	root := t.TempDir()
	commit := repository(t, filepath.Join(root, "pkg"))
	cgi := &cgi.Handler{Path: backend, Env: []string{
		"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != c.user || password != c.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="house"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		cgi.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	engine := newDocker(t, varDocker)
	d := newDaemon(t, "DOCKER_HOST="+engine.host)
	seedWheels(t, d.state)
	name, _, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	if err := os.WriteFile(filepath.Join(d.home, ".netrc"), []byte("machine "+name+" login "+c.user+" password "+c.password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", d.home) // uv's git looks there too
	d.start()
	p := newProject(t, spec{name: "git-" + random(), base: os.Getenv(varBase)}, "fromgit @ git+"+srv.URL+"/pkg@main#subdirectory=sub").lock()
	img := d.ready(d.watch(p.dir).Label, "", "docker")
	t.Cleanup(func() { engine.forget(img.Name) })
	got := engine.in(img.Name, "python -c 'import fromgit; print(fromgit.x)'; cat /root/.venv/lib/python3.11/site-packages/fromgit-1.2.dist-info/direct_url.json")
	want := "1\n" + `{"url":"` + srv.URL + `/pkg","vcs_info":{"vcs":"git","commit_id":"` + commit + `","requested_revision":"main"},"subdirectory":"sub"}`
	if strings.TrimSpace(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	d.stop()
	searchFiles(t, d.state, c)
}

// repository makes one with a package in its directory sub, and returns the commit.
func repository(t *testing.T, dir string) string {
	t.Helper()
	for name, text := range map[string]string{
		"sub/pyproject.toml":      "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n[project]\nname = \"fromgit\"\nversion = \"1.2\"\n",
		"sub/fromgit/__init__.py": "x = 1\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "one")
	return git("rev-parse", "HEAD")
}

// gitBackend is git's own HTTP server.
func gitBackend(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("git is not installed")
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(path); err != nil {
		t.Skip("git-http-backend is not installed")
	}
	return path
}
