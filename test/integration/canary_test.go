package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// canary is a login that shall be seen by the index and by nobody else.
type canary struct{ user, password string }

func newCanary() canary { return canary{"user" + random(), "secret" + random()} }

// forms are what would give a canary away, however it is written.
func (c canary) forms() []string {
	pair := c.user + ":" + c.password
	return []string{c.password, base64.StdEncoding.EncodeToString([]byte(pair)), base64.URLEncoding.EncodeToString([]byte(c.password)), url.QueryEscape(c.password)}
}

// Credentials of an index reach that index and nothing else: no file of the state directory, no log, no answer, no image.
func TestCredentialsLeaveNoTrace(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	tests := map[string]struct {
		lock   bool // uv.lock; else packages
		direct bool // needle is named by its address
		how    func(t *testing.T, d *daemon, h *house, c canary) (index string)
	}{
		"uv.lock, netrc":  {lock: true, how: netrc},
		"packages, netrc": {how: netrc},
		"packages, pip_index with a login": {how: func(_ *testing.T, _ *daemon, h *house, c canary) string {
			return strings.Replace(h.URL, "://", "://"+c.user+":"+c.password+"@", 1) + "/simple"
		}},
		"uv.lock, UV_INDEX_HOUSE": {lock: true, how: func(_ *testing.T, d *daemon, h *house, c canary) string {
			d.env = append(d.env, "UV_INDEX_HOUSE_USERNAME="+c.user, "UV_INDEX_HOUSE_PASSWORD="+c.password)
			return h.URL + "/simple"
		}},
		"uv.lock, an address with a login": {lock: true, direct: true, how: func(_ *testing.T, _ *daemon, h *house, c canary) string {
			return strings.Replace(h.URL, "://", "://"+c.user+":"+c.password+"@", 1) + "/files/needle-1.0-py3-none-any.whl"
		}},
		"packages, an address with a login": {direct: true, how: func(t *testing.T, d *daemon, h *house, c canary) string {
			netrc(t, d, h, c)
			return strings.Replace(h.URL, "://", "://"+c.user+":"+c.password+"@", 1) + "/files/needle-1.0-py3-none-any.whl"
		}},
		"uv.lock, keyring":  {lock: true, how: keyring},
		"packages, keyring": {how: keyring},
		"packages, UV_INDEX_HOUSE": {how: func(_ *testing.T, d *daemon, h *house, c canary) string {
			d.env = append(d.env, "UV_DEFAULT_INDEX=house="+h.URL+"/simple", "UV_INDEX_HOUSE_USERNAME="+c.user, "UV_INDEX_HOUSE_PASSWORD="+c.password)
			return ""
		}},
		"packages, UV_INDEX with a login": {how: func(_ *testing.T, d *daemon, h *house, c canary) string {
			d.env = append(d.env, "UV_DEFAULT_INDEX="+strings.Replace(h.URL, "://", "://"+c.user+":"+c.password+"@", 1)+"/simple")
			return ""
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHouse(t), newCanary()
			h.put(t, "needle", map[string]string{"needle.py": "x = 1\n"})
			h.put(t, "pip", map[string]string{"pip.py": "x = 1\n"})
			h.put(t, "flytekit", map[string]string{"flytekit.py": "x = 1\n"})
			h.login.Store(c)
			d := newDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_UV_PATH="+os.Getenv(varUV))
			index := tt.how(t, d, h, c)
			p := newProject(t, spec{name: "canary", base: os.Getenv(varBase)})
			needle := "needle==1.0"
			switch {
			case tt.lock && tt.direct:
				p.direct(index, d.env)
			case tt.lock:
				p.private(index, d.env)
			case tt.direct:
				needle = "needle @ " + index
				index = h.URL + "/simple"
				fallthrough
			default:
				if index != "" {
					index = fmt.Sprintf(", pip_index=%q", index)
				}
				p.write("workflow.py", fmt.Sprintf("from flytekit import ImageSpec\n\nimage = ImageSpec(name=\"canary\", base_image=%q, packages=[%q, \"flytekit==1.0\"]%s)\n", os.Getenv(varBase), needle, index))
			}
			h.login.Store(newCanary()) // a failure tells more than a success
			d.start()
			heard := d.hear(t)
			img := d.settled(d.watch(p.dir).Label, "")
			if img.State != api.Failed {
				t.Fatalf("without its login the index serves: %s", img.State)
			}
			said := map[string]string{"status after a failure": d.cli("status", "--json"), "log of the failure": d.cli("logs", img.Label)}
			h.login.Store(c)
			d.cli("build", img.Label)
			img = d.ready(img.Label, "")
			said["events"] = heard()
			d.ask(t, said, p, img)
			d.stop()
			said["the daemon's log"] = d.log()
			for what, text := range said {
				for _, form := range c.forms() {
					if i := strings.Index(text, form); i >= 0 {
						t.Errorf("%s holds %q: ...%s...", what, form, text[max(0, i-120):min(len(text), i+80)])
					}
				}
			}
			searchFiles(t, d.state, c)
		})
	}
}

func netrc(t *testing.T, d *daemon, h *house, c canary) string {
	t.Helper()
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("machine %s\nlogin %s\npassword %s\n", u.Hostname(), c.user, c.password)
	if err := os.WriteFile(filepath.Join(d.home, ".netrc"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return h.URL + "/simple"
}

// keyring puts a keyring's command line on the daemon's PATH. It knows the password of one user of the index, whom the address names.
func keyring(t *testing.T, d *daemon, h *house, c canary) string {
	t.Helper()
	bin := filepath.Join(d.home, "bin")
	script := fmt.Sprintf("#!/bin/sh\ncase \"$1 $3 $2\" in\n\"get %s %s\"*|\"get %s %s\") echo %s;;\n*) exit 1;;\nesac\n", c.user, h.URL, c.user, strings.TrimPrefix(h.URL, "http://"), c.password)
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "keyring"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "PATH="+bin+":"+os.Getenv("PATH"), "UV_KEYRING_PROVIDER=subprocess")
	return strings.Replace(h.URL, "://", "://"+c.user+"@", 1) + "/simple"
}

// private writes a project with one index only, and its lock.
func (p *project) private(index string, env []string) {
	p.t.Helper()
	p.write("pyproject.toml", fmt.Sprintf("[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"needle\"]\n\n"+
		"[tool.uv]\npackage = false\n\n[[tool.uv.index]]\nname = \"house\"\nurl = %q\ndefault = true\n", index))
	command{dir: p.dir, env: append(env, "UV_PYTHON="+os.Getenv(varFlytekit), "UV_PYTHON_DOWNLOADS=never")}.run(p.t, os.Getenv(varUV), "lock")
}

// direct writes a project with one package, by its address, and its lock.
func (p *project) direct(address string, env []string) {
	p.t.Helper()
	p.write("pyproject.toml", fmt.Sprintf("[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"needle\"]\n\n"+
		"[tool.uv]\npackage = false\n\n[tool.uv.sources]\nneedle = { url = %q }\n", address))
	command{dir: p.dir, env: append(env, "UV_PYTHON="+os.Getenv(varFlytekit), "UV_PYTHON_DOWNLOADS=never")}.run(p.t, os.Getenv(varUV), "lock")
}

// hear listens to the events until the returned function is called, which returns them as they came.
func (d *daemon) hear(t *testing.T) func() string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var b strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range d.Events(ctx, client.EventsOptions{}) {
			if err != nil {
				return
			}
			text, _ := json.Marshal(ev)
			b.Write(text)
		}
	}()
	return func() string {
		time.Sleep(200 * time.Millisecond) // what is on its way may come
		cancel()
		<-done
		if b.Len() == 0 {
			t.Error("no event was heard")
		}
		return b.String()
	}
}

// ask asks all that can be asked about an image.
func (d *daemon) ask(t *testing.T, said map[string]string, p *project, img api.Image) {
	t.Helper()
	for _, args := range [][]string{
		{"status", "--json"}, {"status", "--wide"}, {"image", "--json", p.dir}, {"explain", "--json", img.Label}, {"explain", img.Label},
		{"logs", img.Label}, {"config", "--json"}, {"config"}, {"build", "--json", img.Label, "--force"},
	} {
		said["imgspecd "+strings.Join(args, " ")] = d.cli(args...)
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}} { // which may find something wrong with this machine
		out, err := command{dir: d.home, env: d.env}.try(t.Context(), d.bin, args...)
		if !strings.Contains(out, "index") {
			t.Errorf("imgspecd doctor: %v\n%s", err, out)
		}
		said["imgspecd "+strings.Join(args, " ")] = fmt.Sprint(out, err)
	}
	builds, err := d.Builds(t.Context(), "", 0)
	if err != nil || len(builds) == 0 {
		t.Fatal(builds, err)
	}
	text, err := json.Marshal(builds)
	if err != nil {
		t.Fatal(err)
	}
	said["builds"] = string(text)
}

// searchFiles looks for a canary in every file below dir, and in what is compressed there.
func searchFiles(t *testing.T, dir string, c canary) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		all := [][]byte{b}
		if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
			plain, err := io.ReadAll(z)
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			all = append(all, plain)
		}
		for _, text := range all {
			for _, form := range c.forms() {
				if i := bytes.Index(text, []byte(form)); i >= 0 {
					t.Errorf("%s holds %q: ...%q...", strings.TrimPrefix(path, dir), form, text[max(0, i-120):min(len(text), i+80)])
				}
			}
		}
		return nil
	})
	if err != nil || n < 5 {
		t.Errorf("searched %d files: %v", n, err)
	}
}
