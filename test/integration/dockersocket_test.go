package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/api"
)

// bare is a daemon whose shell points flytekit to the daemon's own second socket, so that it has no engine.
type bare struct {
	*daemon
	python string // the variable that names the environment with flytekit
}

func withoutDocker(t *testing.T, python string, settings ...string) *bare {
	t.Helper()
	d := newDaemon(t, settings...)
	d.env = append(d.env, "DOCKER_HOST="+d.docker())
	seedWheels(t, d.state)
	d.start()
	return &bare{d, python}
}

// docker is the address of the daemon's second socket.
func (d *daemon) docker() string {
	return "unix://" + filepath.Join(filepath.Dir(d.Socket), "docker.sock")
}

// build runs `pyflyte build --fast` on the workflow of newProject with its Docker at the daemon's second socket; its own PATH has no docker command.
func (d *bare) build(ctx context.Context, p *project) (string, error) {
	bin := filepath.Join(filepath.Dir(os.Getenv(d.python)), "pyflyte")
	out, err := command{dir: p.dir, env: []string{
		"DOCKER_HOST=" + d.docker(), "PYTHONDONTWRITEBYTECODE=1", "HOME=" + d.home, "PATH=/nonexistent",
	}}.try(ctx, bin, "build", "--fast", "workflow.py", "wf")
	if err != nil {
		out += err.Error()
	}
	return strings.Join(strings.Fields(out), " "), err // flytekit wraps its lines
}

// finds checks that flytekit finds the image.
func (d *bare) finds(p *project, img api.Image) {
	d.t.Helper()
	out, err := d.build(d.t.Context(), p)
	if err != nil || !strings.Contains(out, "Image "+img.Name+" found. Skip building.") {
		d.t.Errorf("flytekit says of %s: %s\n%v", img.Name, out, err)
	}
}

// lacks checks that flytekit goes on to build the image, which it cannot here.
func (d *bare) lacks(p *project, image string) string {
	d.t.Helper()
	out, err := d.build(d.t.Context(), p)
	if err == nil || !strings.Contains(out, "Image "+image+" not found. building...") {
		d.t.Errorf("flytekit says of %s: %s\n%v", image, out, err)
	}
	return out
}

// The third promise: no plug-in, no Docker, and unchanged flytekit finds what is ready, where it is ready.
func TestPyflyteWithoutDocker(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry)
	d := withoutDocker(t, varFlytekit)

	local := newProject(t, spec{name: "nodocker-" + random(), base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	img := d.ready(d.watch(local.dir).Label, "", "layout")
	d.finds(local, img)

	pushed := newProject(t, spec{name: "nodocker-" + random(), base: os.Getenv(varBase), registry: os.Getenv(varRegistry)}, "certifi==2024.12.14").lock()
	img = d.ready(d.watch(pushed.dir).Label, "", "layout", "registry")
	forgetRemote(t, img.Name)
	d.finds(pushed, img)

	// The registry's answer is the truth, not what imgspecd remembers.
	ref, err := name.ParseReference(img.Name)
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Head(ref)
	if err != nil {
		t.Fatal(err)
	}
	content, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(ref.Context().Digest(there.Digest.String())); err != nil {
		t.Fatal(err)
	}
	d.lacks(pushed, img.Name)
	if err := remote.Write(ref, content); err != nil {
		t.Fatal(err)
	}
	d.finds(pushed, img)

	// Nor does it matter who put it there.
	if err := d.RemoveProject(t.Context(), pushed.dir); err != nil {
		t.Fatal(err)
	}
	d.finds(pushed, img)
}

// An older flytekit asks in the same way.
func TestOlderPyflyteWithoutDocker(t *testing.T) {
	need(t, varUV, varFlytekit, varFlytekit114, varBase, varRegistry)
	version, err := command{}.try(t.Context(), os.Getenv(varFlytekit114), "-c", "import importlib.metadata as m; print(m.version('flytekit'), end='')")
	if err != nil {
		t.Fatal(err)
	}
	d := withoutDocker(t, varFlytekit114, "IMGSPECD_FLYTEKIT_VERSION="+version)
	for _, registry := range []string{"", os.Getenv(varRegistry)} {
		p := newProject(t, spec{name: "older-" + random(), base: os.Getenv(varBase), registry: registry}, "certifi==2024.12.14").lock()
		img := d.ready(d.watch(p.dir).Label, "", "layout")
		if registry != "" {
			forgetRemote(t, img.Name)
		}
		d.finds(p, img)
	}
}

// An image that is being built is waited for; one that failed is flytekit's to build, and it says so.
func TestPyflyteWaitsWithoutDocker(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	h := newHouse(t)
	h.put(t, "slowly", map[string]string{"slowly.py": "x = 1\n"})
	asked, release := make(chan struct{}, 16), make(chan struct{})
	var held atomic.Bool
	files := h.Config.Handler
	h.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if held.Load() && strings.HasPrefix(r.URL.Path, "/files/") {
			asked <- struct{}{}
			<-release
		}
		files.ServeHTTP(w, r)
	})
	d := withoutDocker(t, varFlytekit)
	p := newProject(t, spec{name: "waits-" + random(), base: os.Getenv(varBase)}, "slowly")
	p.write("pyproject.toml", strings.Replace(p.read("pyproject.toml"), "dev = [\"iniconfig\"]", "dev = []", 1)+fmt.Sprintf(
		"\n[[tool.uv.index]]\nname = \"house\"\nurl = %q\ndefault = true\n", h.URL+"/simple"))
	p.lock()
	held.Store(true)
	img := d.watch(p.dir)
	<-asked // the build is under way
	type result struct {
		out string
		err error
	}
	said := make(chan result, 1)
	go func() {
		out, err := d.build(t.Context(), p)
		said <- result{out, err}
	}()
	eventually(t, "flytekit's question waits", time.Minute, func() bool {
		return strings.Contains(d.log(), `msg="an answer waits"`)
	})
	select {
	case r := <-said:
		t.Fatalf("flytekit does not wait: %s\n%v", r.out, r.err)
	default:
	}
	close(release)
	img = d.ready(img.Label, "", "layout")
	if r := <-said; r.err != nil || !strings.Contains(r.out, "Image "+img.Name+" found. Skip building.") {
		t.Errorf("flytekit says %s\n%v", r.out, r.err)
	}

	p.edit("workflow.py", os.Getenv(varBase), "127.0.0.1:9/there/is:none")
	failed := d.settled(img.Label, img.Name)
	if failed.State != api.Failed {
		t.Fatalf("%+v", failed)
	}
	d.lacks(p, failed.Name)
}

// What is not flytekit's question is passed on to the engine, as it is.
func TestSecondSocketPassesOn(t *testing.T) {
	need(t, varDocker29, varBase)
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("there is no docker command")
	}
	real := newDocker(t, varDocker29)
	d := newDaemon(t, "IMGSPECD_DOCKER_HOST="+real.host)
	d.env = append(d.env, "DOCKER_HOST="+d.docker()) // which docker.host wins over
	d.start()
	through := docker{t: t, host: d.docker()}
	if out := through.run("version", "--format", "{{.Server.Version}}"); out != real.run("version", "--format", "{{.Server.Version}}") {
		t.Errorf("the version is %s", out)
	}
	if out := through.run("ps", "--quiet", "--no-trunc"); out != real.run("ps", "--quiet", "--no-trunc") {
		t.Errorf("docker ps: %s", out)
	}
	image, dir := "passed-"+random(), t.TempDir()
	real.forget(image)
	p := project{t: t, dir: dir}
	p.write("Dockerfile", fmt.Sprintf("FROM %s\nCOPY data /data\nRUN sha256sum /data > /sum\n", os.Getenv(varBase)))
	p.write("data", strings.Repeat("0123456789abcdef", 1<<17))
	through.run("build", "--quiet", "--tag", image, dir)
	if out := real.in(image, "sha256sum --check /sum"); !strings.Contains(out, "OK") {
		t.Errorf("the image holds %s", out)
	}
	out, err := command{in: "hello"}.try(t.Context(), "docker", "--host", through.host, "run", "--rm", "--interactive", image, "cat")
	if err != nil || out != "hello" {
		t.Errorf("cat says %q, %v", out, err)
	}
}

// Without an engine the docker command gets an answer that says so.
func TestSecondSocketWithoutAnEngine(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("there is no docker command")
	}
	d := withoutDocker(t, varFlytekit)
	if out := (docker{t: t, host: d.docker()}).run("version"); !strings.Contains(out, "imgspecd, no Docker engine") {
		t.Error(out)
	}
	_, err := command{}.try(t.Context(), "docker", "--host", d.docker(), "ps")
	if err == nil || !strings.Contains(err.Error(), "DOCKER_HOST names imgspecd's own socket, and docker.host names no engine") {
		t.Error(err)
	}
	off := newDaemon(t, "IMGSPECD_DOCKER_SOCKET=off")
	off.start()
	if _, err := os.Lstat(strings.TrimPrefix(off.docker(), "unix://")); err == nil {
		t.Error("docker.socket is off, and there is one")
	}
}
