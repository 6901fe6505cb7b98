package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// pluginDir is a directory with the Python package as pip leaves it; on PYTHONPATH, flytekit finds the plug-in in it.
var pluginDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "imgspecd-plugin-")
	if err != nil {
		return "", err
	}
	leftovers = append(leftovers, dir)
	target := filepath.Join(dir, "site")
	_, err = command{}.try(context.Background(), os.Getenv(varUV), "pip", "install", "-q", "--python", os.Getenv(varFlytekit),
		"--no-deps", "--target", target, filepath.Join("..", "..", "python"))
	return target, err
})

// run is one call of pyflyte that has the plug-in.
type run struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *shared
	done chan error
}

// shared is output that is read while it is written.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// String is the text without the breaks and frames by which it is laid out for people.
func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(strings.Fields(strings.ReplaceAll(s.buf.String(), "│", " ")), " ")
}

// pluginRun starts `pyflyte build` in the project; the plug-in finds d, and starts none itself.
func (p *project) pluginRun(d *daemon, python string, env []string, args ...string) *run {
	p.t.Helper()
	need(p.t, varUV, varFlytekit)
	dir, err := pluginDir()
	if err != nil {
		p.t.Fatal(err)
	}
	if args == nil {
		args = []string{"--fast", "workflow.py", "wf"}
	}
	r := &run{t: p.t, out: &shared{}, done: make(chan error, 1)}
	r.cmd = exec.CommandContext(p.t.Context(), filepath.Join(filepath.Dir(os.Getenv(python)), "pyflyte"), append([]string{"build"}, args...)...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr, r.cmd.WaitDelay = p.dir, r.out, r.out, 5*time.Second
	r.cmd.Env = append(cleanEnv(), "HOME="+d.home, "IMGSPECD_SOCKET="+d.Socket, "IMGSPECD_AUTOSTART=0", "DOCKER_HOST=unix:///nowhere/docker.sock",
		"PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1", "COLUMNS=200")
	r.cmd.Env = append(r.cmd.Env, env...)
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	return r
}

// says waits for a text in what the run prints.
func (r *run) says(want string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(r.out.String(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("pyflyte does not say %q:\n%s", want, r.out)
		}
	}
}

// ends waits for the run, which has to end with that code and to have printed these texts.
func (r *run) ends(code int, wants ...string) {
	r.t.Helper()
	err := <-r.done
	if got := exitCode(err); (err == nil) != (code == 0) || (err != nil && got != code) {
		r.t.Fatalf("pyflyte ends with %v, not with %d:\n%s", err, code, r.out)
	}
	for _, want := range wants {
		if !strings.Contains(r.out.String(), want) {
			r.t.Errorf("pyflyte does not say %q:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out.String(), "Traceback") {
		r.t.Errorf("pyflyte shows a traceback:\n%s", r.out)
	}
}

// varFlytekit114 is an older release, in an environment of its own.
const varFlytekit114 = "IMGSPECD_TEST_FLYTEKIT114_PYTHON"

// flytekits are the releases that the plug-in is tried with.
var flytekits = []string{varFlytekit, varFlytekit114}

// An unchanged workflow, in a project that nobody watches: it is built by the daemon, found by the next run, and kept ahead of the next lock.
func TestPluginServesAnUnchangedWorkflow(t *testing.T) {
	for _, python := range flytekits {
		for builder, env := range map[string][]string{"": nil, "imgspecd": nil, "envd": {"IMGSPECD_TAKE_OVER=envd"}, "default": nil} {
			t.Run(python+"/"+builder, func(t *testing.T) {
				need(t, varUV, python, varBase, varDocker)
				engine := newDocker(t, varDocker)
				d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always", "IMGSPECD_PLUGIN_TAKE_OVER=default")
				p := newProject(t, spec{name: "plugin-" + random(), base: os.Getenv(varBase)}, small...)
				field := ""
				if builder != "" {
					field = fmt.Sprintf("    builder=%q,\n", builder)
				}
				p.edit("workflow.py", "    requirements=", field+"    requirements=")
				p.lock()
				p.pluginRun(d, python, env).ends(0, "not found. building...", " is ready.")
				img := d.imageOf(p.dir)
				engine.forget(img.Name)
				if img.State != api.Ready || img.Mismatch != nil {
					t.Fatalf("%+v", img)
				}
				engine.in(img.Name, "python -c 'import six'")
				p.pluginRun(d, python, env).ends(0, "Image "+img.Name+" found. Skip building.")
				if builder != "" {
					return
				}
				p.pluginRun(d, python, []string{"FLYTE_FORCE_PUSH_IMAGE_SPEC=true"}).ends(0, "Overwriting existing image "+img.Name)

				p.require("six==1.16.0")
				p.uv("lock")
				next := d.ready(img.Label, img.Name, "docker")
				engine.forget(next.Name)
				p.pluginRun(d, python, env).ends(0, "Image "+next.Name+" found. Skip building.")

				p.pluginRun(d, python, env, "workflow.py", "wf").ends(0, "not found. building...", " is ready.") // with the loaded modules
				engine.forget(d.besides(p.dir, next.Name))
				p.pluginRun(d, python, env, "workflow.py", "wf").ends(0, "found. Skip building.")
			})
		}
	}
}

// besides is the project's image that is not called name.
func (d *daemon) besides(dir, name string) string {
	d.t.Helper()
	images, err := d.Images(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	images = slices.DeleteFunc(images, func(i api.Image) bool { return i.Dir != dir || i.Name == name })
	if len(images) != 1 {
		d.t.Fatalf("%d more images in %s, want one", len(images), dir)
	}
	return images[0].Name
}

// A base that is an image spec, one that two tasks share, and one whose name the environment gives.
func TestPluginBuildsAPipeline(t *testing.T) {
	for _, python := range flytekits {
		t.Run(python, func(t *testing.T) {
			need(t, varUV, python, varBase)
			d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
			name := "plugin-" + random()
			p := newPipeline(t, name)
			env := []string{"REPORTER_IMAGE=" + name + "-reporter", "REPORT_LEVEL=brief"}
			p.pluginRun(d, python, env, "--fast", "train.py", "pipeline").ends(0, name+"-trainer", " is ready.")
			images, err := d.Images(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, img := range images {
				if img.Dir == p.dir && (img.State != api.Ready || img.Mismatch != nil) {
					t.Errorf("%s is %s: %s", img.Name, img.State, img.Detail)
				}
			}
			second := p.pluginRun(d, python, env, "--fast", "train.py", "pipeline")
			second.ends(0, "found. Skip building.")
			if strings.Contains(second.out.String(), "building...") {
				t.Errorf("the second run builds:\n%s", second.out)
			}
		})
	}
}

// gated is a project one of whose packages does not come before the gate is opened.
func gated(t *testing.T) (p *project, open func()) {
	t.Helper()
	h := newHouse(t)
	h.put(t, "late", map[string]string{"late.py": ""})
	gate := make(chan struct{})
	var shut sync.Once
	var locked bool
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		wait := locked
		mu.Unlock()
		if wait && strings.HasPrefix(r.URL.Path, "/files/") {
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	open = func() { shut.Do(func() { close(gate) }) }
	t.Cleanup(func() { open(); srv.CloseClientConnections(); srv.Close() })
	p = newProject(t, spec{name: "plugin-" + random(), base: os.Getenv(varBase)}, "late")
	p.edit("pyproject.toml", "[dependency-groups]\ndev = [\"iniconfig\"]\n", "[[tool.uv.index]]\nurl = \""+srv.URL+"/simple\"\ndefault = true\n")
	p.lock()
	mu.Lock()
	locked = true
	mu.Unlock()
	return p, open
}

// A run that comes while its image is being built waits for that build, and starts none.
func TestPluginJoinsARunningBuild(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p, open := gated(t)
	img := d.watch(p.dir)
	eventually(t, "the build runs", time.Minute, func() bool { return d.imageOf(p.dir).State == api.Building })
	r := p.pluginRun(d, varFlytekit, nil)
	r.says("imgspecd: " + img.Label + ": building")
	open()
	r.ends(0, "Image "+img.Name+" found. Skip building.")
	if builds, err := d.Builds(t.Context(), "", 0); err != nil || len(builds) != 1 {
		t.Errorf("%d builds (%v)", len(builds), err)
	}
}

// The daemon dies while it builds: flytekit's own builder is asked, or nobody, as it is configured. If it comes back, the run goes on.
func TestPluginOutlivesTheDaemon(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	for name, tt := range map[string]struct {
		env   []string
		code  int
		wants []string
		back  bool
	}{
		"falls back": {nil, 0, []string{"flytekit's builder default is used", "Flytekit assumes the image"}, false},
		"fails":      {[]string{"IMGSPECD_FALLBACK=error"}, 1, []string{"went away while it built", "nobody else is asked"}, false},
		"fast fail":  {[]string{"FLYTE_IMG_FAST_FAIL=1"}, 1, []string{"flytekit's builder default is used", "FLYTE_IMG_FAST_FAIL"}, false},
		"comes back": {[]string{"IMGSPECD_FALLBACK=error"}, 0, []string{" is ready."}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
			p, open := gated(t)
			r := p.pluginRun(d, varFlytekit, tt.env)
			r.says(": building")
			d.kill()
			if tt.back {
				open()
				d.start()
			}
			if slices.Contains(tt.env, "FLYTE_IMG_FAST_FAIL=1") { // flytekit raises a RuntimeError of its own, with a traceback
				if err := <-r.done; err == nil || !strings.Contains(r.out.String(), "FLYTE_IMG_FAST_FAIL") {
					t.Errorf("%v\n%s", err, r.out)
				}
				return
			}
			r.ends(tt.code, tt.wants...)
		})
	}
}

// Without a daemon, a workflow with the plug-in is one without it; and who wants none of that is told.
func TestPluginWithoutADaemon(t *testing.T) {
	for _, python := range flytekits {
		need(t, varUV, python, varBase)
		d := newDaemon(t)
		p := newProject(t, spec{name: "plugin-" + random(), base: os.Getenv(varBase)}, small...).lock()
		p.pluginRun(d, python, nil).ends(0, "imgspecd: no daemon at "+d.Socket, "flytekit's builder default is used", "Flytekit assumes the image")
		p.pluginRun(d, python, []string{"IMGSPECD_FALLBACK=error"}).ends(1, "nobody else is asked")
	}
}

// A build that fails is told with its reason and with what to do.
func TestPluginTellsWhyABuildFailed(t *testing.T) {
	for _, python := range flytekits {
		need(t, varUV, python, varRegistry)
		d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
		p := newProject(t, spec{name: "plugin-" + random(), base: os.Getenv(varRegistry) + "/base/none:1"}, small...).lock()
		r := p.pluginRun(d, python, nil)
		r.ends(1, "imgspecd could not build", "/base/none", "imgspecd logs ")
	}
}

// What a spec's registry does not have is pushed, also where that waits for a request; unless the run wants no push.
func TestPluginAsksForAPush(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_REGISTRY_PUSH=on-request")
	p := newProject(t, spec{name: "plugin", registry: "localhost:" + port(os.Getenv(varRegistry)) + "/t-" + random(), base: os.Getenv(varBase)}, small...).lock()
	p.pluginRun(d, varFlytekit, []string{"FLYTE_PUSH_IMAGE_SPEC=false"}).ends(0, "not found. building...")
	img := d.imageOf(p.dir)
	if tgt, ok := img.InTarget("registry"); !ok || tgt.State != api.Waiting {
		t.Errorf("it is pushed: %+v", img.Targets)
	}
	p.pluginRun(d, varFlytekit, nil).ends(0, "not found. building...", " is ready.")
	forgetRemote(t, img.Name)
	if _, err := pull(t, img.Name).Digest(); err != nil {
		t.Error(err)
	}
	p.pluginRun(d, varFlytekit, nil).ends(0, "found. Skip building.")
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
