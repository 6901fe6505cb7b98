package resolve

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/index"
)

// realUV returns a Resolver with the machine's uv, and a cache of its own.
func realUV(t *testing.T, change func(*Deps)) *Resolver {
	t.Helper()
	uv := os.Getenv("IMGSPECD_TEST_UV")
	if uv == "" {
		uv, _ = exec.LookPath("uv")
	}
	if uv == "" {
		t.Skip("uv is not on PATH and IMGSPECD_TEST_UV does not name it")
	}
	d := Deps{
		UV: uv, Env: append(os.Environ(), "UV_CACHE_DIR="+t.TempDir(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "UV_HTTP_RETRIES=0"),
		Tmp: t.TempDir(), Cache: &memory{m: map[string][]byte{}}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&d)
	}
	return New(d)
}

// private is an index behind a password, with small wheels.
type private struct {
	*httptest.Server
	password string
	html     bool
	wheels   map[string][]byte // by file name
	ran      string            // the path of a file that building would make

	mu    sync.Mutex
	asked map[string]int // by status
}

func newPrivate(t *testing.T) *private {
	t.Helper()
	p := &private{password: "c4nary", asked: map[string]int{}, ran: filepath.Join(t.TempDir(), "ran"), wheels: map[string][]byte{}}
	p.wheel(t, "flytekit", "1.16.31", "py3-none-any", "demo<3")
	p.wheel(t, "demo", "1.0", "py3-none-any")
	p.wheel(t, "demo", "2.0", "cp312-cp312-manylinux_2_28_x86_64", "leaf; python_version>'3.8'", "no; sys_platform=='win32'")
	p.wheel(t, "demo", "3.0", "py3-none-any")
	p.wheel(t, "leaf", "1.0", "py3-none-any")
	p.wheel(t, "leaf", "1.1", "cp312-cp312-manylinux_2_39_x86_64") // for a newer C library than the image's
	p.wheels["source-1.0.tar.gz"] = sdist(t, "source-1.0", "open("+fmt.Sprintf("%q", p.ran)+", 'w')")
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *private) wheel(t *testing.T, name, version, tag string, requires ...string) {
	t.Helper()
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	info := name + "-" + version + ".dist-info/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{{"METADATA", meta}, {"WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: " + tag + "\n"}, {"RECORD", ""}} {
		w, err := z.Create(info + f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	p.wheels[name+"-"+version+"-"+tag+".whl"] = b.Bytes()
}

// sdist is a source distribution whose setup.py runs code.
func sdist(t *testing.T, name, code string) []byte {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{name + "/setup.py": code + "\nimport setuptools\nsetuptools.setup(name='source', version='1.0')\n"})
	b, err := exec.Command("tar", "-C", dir, "-cz", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *private) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	user, pw, _ := r.BasicAuth()
	project := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/")
	switch {
	case p.password != "" && (user != "alice" || pw != p.password):
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(status)
	case strings.HasPrefix(r.URL.Path, "/files/"):
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.wheels[strings.TrimPrefix(r.URL.Path, "/files/")]))
	default:
		p.page(w, project)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[fmt.Sprint(status)]++
}

func (p *private) page(w http.ResponseWriter, project string) {
	files := []map[string]any{}
	html := ""
	for name, b := range p.wheels {
		if !strings.HasPrefix(name, project+"-") {
			continue
		}
		sum := sha256.Sum256(b)
		hash := hex.EncodeToString(sum[:])
		files = append(files, map[string]any{"filename": name, "url": "/files/" + name, "size": len(b), "hashes": map[string]string{"sha256": hash}})
		html += fmt.Sprintf("<a href=\"/files/%s#sha256=%s\">%s</a>\n", name, hash, name)
	}
	switch {
	case len(files) == 0:
		w.WriteHeader(http.StatusNotFound)
	case p.html:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, html)
	default:
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": project, "files": files})
	}
}

// at is the index's address with a login.
func (p *private) at(login string) string {
	return strings.Replace(p.URL, "//", "//"+login, 1) + "/simple"
}

var wheelURL = regexp.MustCompile(`url = "([^"]+/([^"/]+))".*sha256 = "([0-9a-f]{64})"`)

func TestPrivateIndex(t *testing.T) {
	for _, html := range []bool{false, true} {
		p := newPrivate(t)
		p.html = html
		cache := "UV_CACHE_DIR=" + t.TempDir()
		for name, tt := range map[string]struct {
			deps func(*Deps)
			req  func(*Request)
		}{
			"of the spec": {req: func(r *Request) { r.PipIndex = p.at("alice:c4nary@") }},
			"extra of the spec": {
				deps: func(d *Deps) { d.Env = append(d.Env, "UV_DEFAULT_INDEX="+p.URL+"/nothing") },
				req:  func(r *Request) { r.PipExtraIndexURL = []string{p.at("alice:c4nary@")} },
			},
			"of the requirements": {req: func(r *Request) { r.Requirements = []byte("--index-url " + p.at("alice:c4nary@")) }},
			"by name": {deps: func(d *Deps) {
				d.Env = append(d.Env, "UV_DEFAULT_INDEX=corp="+p.at(""), "UV_INDEX_CORP_USERNAME=alice", "UV_INDEX_CORP_PASSWORD=c4nary")
			}},
			"of the settings": {deps: func(d *Deps) { d.Default = p.at("alice:c4nary@") }},
		} {
			t.Run(fmt.Sprintf("%s, html %v", name, html), func(t *testing.T) {
				r := realUV(t, tt.deps)
				r.deps.Env = append(r.deps.Env, cache)
				req := packages("demo")
				if tt.req != nil {
					tt.req(&req)
				}
				lock, _, err := r.Resolve(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				found := wheelURL.FindAllStringSubmatch(string(lock), -1)
				var names []string
				for _, m := range found {
					names = append(names, m[2])
				}
				want := "demo-2.0-cp312-cp312-manylinux_2_28_x86_64.whl flytekit-1.16.31-py3-none-any.whl leaf-1.0-py3-none-any.whl"
				if got := strings.Join(names, " "); got != want {
					t.Errorf("resolved to %s, want %s\n%s", got, want, lock)
				}
				if strings.Contains(string(lock), "c4nary") || strings.Contains(string(lock), "alice") {
					t.Errorf("the lock holds a credential:\n%s", lock)
				}
				if len(r.Logins(req)) == 0 {
					return
				}
				// What the lock names can be fetched by who knows the request's logins.
				dir := t.TempDir()
				c := index.NewClient(index.Deps{HTTP: &http.Client{}, Dir: dir, Tmp: dir, Log: slog.New(slog.DiscardHandler), Retries: -1})
				for _, u := range r.Logins(req) {
					c.Learn(index.Index{URL: u})
				}
				for _, m := range found {
					if _, err := c.Fetch(t.Context(), index.File{URL: m[1], Filename: m[2], Hash: "sha256:" + m[3]}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestNothingRuns(t *testing.T) {
	p := newPrivate(t)
	r := realUV(t, func(d *Deps) { d.Default = p.at("alice:c4nary@") })
	_, _, err := r.Resolve(t.Context(), packages("source"))
	var e *Error
	if !errors.As(err, &e) || e.Kind != NeedsBuild || len(e.Packages) != 1 || e.Packages[0] != "source" {
		t.Errorf("error %v", err)
	}

	// Nor what a virtual environment beside the requirements would run, or the project's own build.
	dir := t.TempDir()
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", filepath.Join(dir, ".venv")).CombinedOutput(); err != nil {
		t.Skipf("python3 makes no virtual environment: %s", out)
	}
	site, err := filepath.Glob(filepath.Join(dir, ".venv/lib/python*/site-packages"))
	if err != nil || len(site) != 1 {
		t.Fatal(site, err)
	}
	run := fmt.Sprintf("import os; open(%q, 'w')\n", p.ran)
	put(t, site[0], map[string]string{"x.pth": run})
	put(t, dir, map[string]string{"pyproject.toml": "[project]\nname='p'\nversion='1'\ndependencies=['demo']\n[tool.uv.pip]\npython='" + dir + "/evil'\n", "setup.py": run, "evil": "#!/bin/sh\n>" + p.ran + "\n"})
	if err := os.Chmod(filepath.Join(dir, "evil"), 0o700); err != nil {
		t.Fatal(err)
	}
	r = realUV(t, func(d *Deps) {
		d.Default = p.at("alice:c4nary@")
		d.Env = append(d.Env, "VIRTUAL_ENV="+dir+"/.venv", "PATH="+dir+"/.venv/bin:"+os.Getenv("PATH"))
	})
	req := Request{Environment: bookworm, Pyproject: filepath.Join(dir, "pyproject.toml"), Flytekit: "1.16.31"}
	if lock, _, err := r.Resolve(t.Context(), req); err != nil || !strings.Contains(string(lock), "demo-2.0") || !strings.Contains(string(lock), "flytekit-1.16.31") {
		t.Errorf("%s, error %v", lock, err)
	}
	// uv builds what is editable, whatever it is told (setuptools need not be had: the attempt is enough).
	put(t, dir, map[string]string{"more.txt": "# \\\n-e .\r", "web.txt": "-r " + p.URL + "/x.txt", "pyproject.toml": "[project]\nname='p'\nversion='1'\ndynamic=['dependencies']\n"})
	for _, line := range []string{"-e .", "-e" + dir, "--editable=.", "--no-index -e .", "x\r-e .", "x \u2028-e .", "-r more.txt", "-r web.txt", ".", "p @ file://" + dir, "p @ " + dir} {
		req := Request{Environment: bookworm, Packages: []string{line}, Dir: dir}
		if lock, _, err := r.Resolve(t.Context(), req); err == nil {
			t.Errorf("%q was resolved: %s", line, lock)
		}
	}
	if _, _, err := r.Resolve(t.Context(), req); !errors.As(err, &e) || e.Kind != NeedsBuild || !strings.Contains(e.Reason, "dynamic") {
		t.Errorf("dependencies that only a build tells: %v", err)
	}
	if _, err := os.Stat(p.ran); err == nil {
		t.Error("code was run on the host")
	}
}

// A project's own index and limits count.
func TestProjectSettings(t *testing.T) {
	p := newPrivate(t)
	dir := t.TempDir()
	put(t, dir, map[string]string{"pyproject.toml": "[project]\nname='p'\ndynamic=['version']\nrequires-python='>=3.9'\ndependencies=['demo', 'p[x]']\noptional-dependencies={x=['leaf']}\n" +
		"[tool.uv]\nconstraint-dependencies=['demo<2']\n[[tool.uv.index]]\nname='corp'\nurl='" + p.at("") + "'\ndefault=true\n"})
	r := realUV(t, func(d *Deps) {
		d.Env = append(d.Env, "UV_INDEX_CORP_USERNAME=alice", "UV_INDEX_CORP_PASSWORD=c4nary")
	})
	lock, _, err := r.Resolve(t.Context(), Request{Environment: bookworm, Pyproject: filepath.Join(dir, "pyproject.toml"), Flytekit: "1.16.31"})
	if err != nil || !strings.Contains(string(lock), "demo-1.0-py3") || !strings.Contains(string(lock), "leaf-1.0") || strings.Contains(string(lock), "c4nary") {
		t.Errorf("%s, error %v", lock, err)
	}
}

func TestRequirementFiles(t *testing.T) {
	p := newPrivate(t)
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"deep/more.txt": "--constraint ../c.txt\ndemo>=1 ; python_version >= '3.8'\n", "c.txt": "demo<2\n",
		"uv.toml": "index-url = \"https://no.invalid\"\n", "pyproject.toml": "[tool.uv]\nindex-url = \"https://no.invalid\"\n",
	})
	r := realUV(t, func(d *Deps) {
		d.Env = append(d.Env, "PORT="+p.URL[strings.LastIndex(p.URL, ":")+1:])
		d.Passed = []string{"PORT"}
	})
	req := Request{Environment: bookworm, Dir: dir, Flytekit: "1.16.31", Requirements: []byte("# ours\r\n  -r deep/more.txt\r\n--index-url http://alice:c4nary@127.0.0.1:${PORT}/simple\n")}
	lock, _, err := r.Resolve(t.Context(), req)
	if err != nil || !strings.Contains(string(lock), "demo-1.0-py3") {
		t.Errorf("%s, error %v", lock, err)
	}
	r.deps.Passed = nil
	if _, _, err = r.Resolve(t.Context(), req); err == nil || !strings.Contains(err.Error(), "PORT, which uv gets only if resolve.env names it") || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("error %v", err)
	}
	p.password = "another"
	var e *Error
	_, _, err = r.Resolve(t.Context(), Request{Environment: bookworm, Packages: []string{"demo"}, PipIndex: p.at("alice:c4nary@")})
	if !errors.As(err, &e) || e.Kind != Unauthorized || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("error %v", err)
	}
}

// TestPyPI resolves what people ask for, from PyPI.
func TestPyPI(t *testing.T) {
	if os.Getenv("IMGSPECD_TEST_FULL") == "" {
		t.Skip("IMGSPECD_TEST_FULL is not set: PyPI is not asked")
	}
	r := realUV(t, nil)
	req := packages("pandas<3", "scikit-learn", "httpx[http2]>=0.27")
	lock, at, err := r.Resolve(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	found := wheelURL.FindAllStringSubmatch(string(lock), -1)
	if len(found) < 80 || !strings.Contains(string(lock), "flytekit-1.16.31-") || !strings.Contains(string(lock), `name = "h2"`) {
		t.Errorf("%d wheels:\n%s", len(found), lock)
	}
	again, when, err := r.Resolve(t.Context(), req)
	if err != nil || !bytes.Equal(again, lock) || !when.Equal(at) {
		t.Errorf("another answer the second time, error %v", err)
	}
	// The index client finds the same files by name and hash alone.
	c := index.NewClient(index.Deps{HTTP: &http.Client{}, Dir: t.TempDir(), Tmp: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	for _, m := range found[:min(len(found), 25)] {
		project, _, _ := strings.Cut(m[2], "-")
		f, err := c.Locate(t.Context(), index.File{Project: project, Filename: m[2], Hash: "sha256:" + m[3]})
		if err != nil || f.URL != m[1] || f.Size == 0 {
			t.Errorf("%s: found %+v, error %v", m[1], f, err)
		}
	}
}
