package integration

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// varFlyte is a Python with Flyte 2, flytekit, and what judges Python code.
const varFlyte = "IMGSPECD_TEST_FLYTE_PYTHON"

// The Python package by its own tests and tools.
func TestPythonPackage(t *testing.T) {
	need(t, varFlyte)
	python := command{dir: filepath.Join("..", "..", "python"), env: []string{"PYTHONPATH=src", "PYTHONDONTWRITEBYTECODE=1"}}
	for _, tool := range [][]string{
		{"ruff", "check", "--no-cache", "."},
		{"ruff", "format", "--no-cache", "--check", "."},
		{"mypy", "--cache-dir", t.TempDir()},
		{"pytest", "-q", "-p", "no:cacheprovider", "tests"},
	} {
		t.Run(tool[0]+" "+tool[1], func(t *testing.T) {
			python.run(t, os.Getenv(varFlyte), append([]string{"-m"}, tool...)...)
		})
	}
}

// buildFlyte2 builds an image as a run of Flyte does.
const buildFlyte2 = `
import os, pathlib, flyte
image = flyte.Image.from_base(os.environ["BASE"]).clone(name=os.environ["NAME"], registry=os.environ.get("REGISTRY"), extendable=True)
image = image.with_env_vars({"STAGE": "two"}).with_requirements(pathlib.Path("requirements.txt")).with_pip_packages("idna==3.10")
if os.environ.get("COPY"):
    image = image.with_source_file(pathlib.Path("requirements.txt"))
flyte.init(image_builder="imgspecd")
print("uri", image.uri)
print("built", flyte.build(image).uri)
`

// Flyte 2 has its images built under its own names, and finds them the next time.
func TestPluginOfFlyte2(t *testing.T) {
	need(t, varUV, varFlytekit, varFlyte, varBase, varDocker, varRegistry)
	dir, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "requirements.txt"), []byte("six==1.17.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	name := "flyte-" + random()
	build := func(env ...string) (string, error) {
		return command{dir: work, in: buildFlyte2, env: append([]string{
			"HOME=" + t.TempDir(), "PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1", "IMGSPECD_SOCKET=" + d.Socket, "IMGSPECD_AUTOSTART=0",
			"IMGSPECD_FALLBACK=error", "DOCKER_HOST=unix:///nowhere/docker.sock", "BASE=" + os.Getenv(varBase), "NAME=" + name,
		}, env...)}.try(t.Context(), os.Getenv(varFlyte), "-")
	}
	built := func(env ...string) string {
		t.Helper()
		out, err := build(env...)
		if err != nil {
			t.Fatal(err)
		}
		_, uri, _ := strings.Cut(out, "uri ")
		uri, _, _ = strings.Cut(uri, "\n")
		if !strings.Contains(out, "built "+uri) {
			t.Errorf("it prints %q", out)
		}
		return uri
	}
	uri := built()
	engine.forget(uri)
	if out := engine.in(uri, `python -c "import six, idna; print(six.__version__, idna.__version__)" && echo $STAGE`); out != "1.17.0 3.10\ntwo\n" {
		t.Errorf("the image says %q", out)
	}
	before, err := d.Builds(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if again := built(); again != uri {
		t.Errorf("%s, and then %s", uri, again)
	}
	after, err := d.Builds(t.Context(), "", 0)
	if err != nil || len(after) != len(before) {
		t.Errorf("the second run builds: %d builds became %d (%v)", len(before), len(after), err)
	}
	pushed := built("REGISTRY=localhost:" + port(os.Getenv(varRegistry)) + "/t-" + random())
	forgetRemote(t, pushed)
	if _, err := pull(t, pushed).Digest(); err != nil {
		t.Error(err)
	}
	if _, err := build("COPY=1"); err == nil || !strings.Contains(err.Error(), "CopyConfig is no layer that imgspecd can make") {
		t.Errorf("a layer that does not fit: %v", err)
	}
	d.stop()
	if _, err := build("NAME=" + name + "-x"); err == nil || !strings.Contains(err.Error(), "nobody else is asked") {
		t.Errorf("without a daemon: %v", err)
	}
}

// `pip install imgspecd` brings daemon, command and plug-in at once: the README's quick start, in a clean environment.
func TestWheelBringsAll(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	dir := t.TempDir()
	dist := wheels(t, dir)
	var wheel string
	for name, sum := range wheels(t, t.TempDir()) {
		if dist[name] != sum {
			t.Errorf("%s is another the second time", name)
		}
		if strings.Contains(name, "linux") || strings.Contains(name, "macosx") {
			wheel = name
		}
	}
	home, err := os.MkdirTemp("", "imgspecd-") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	venv := filepath.Join(home, "venv")
	uv := command{env: []string{"UV_NO_PROGRESS=1"}}
	uv.run(t, os.Getenv(varUV), "venv", "-q", "--python", os.Getenv(varFlytekit), venv)
	uv.run(t, os.Getenv(varUV), "pip", "install", "-q", "--python", venv+"/bin/python", "flytekit==1.16.31", filepath.Join(dir, wheel))
	user := command{dir: home, env: []string{"HOME=" + home, "XDG_RUNTIME_DIR=", "XDG_STATE_HOME=", "DOCKER_HOST=unix:///nowhere/docker.sock", "PATH=" + venv + "/bin:/usr/bin:/bin"}}
	if out := user.run(t, venv+"/bin/imgspecd", "version"); !strings.Contains(out, strings.Split(wheel, "-")[1]) {
		t.Errorf("the binary says %q, and its wheel is %s", out, wheel)
	}
	p := newProject(t, spec{name: "wheel-" + random(), base: os.Getenv(varBase)}, small...).lock()
	user.dir = p.dir
	socket := filepath.Join(home, ".local", "state", "imgspecd", "run", "imgspecd.sock")
	t.Cleanup(func() { endDaemon(t, socket) })
	if out := user.run(t, venv+"/bin/pyflyte", "build", "--fast", "workflow.py", "wf"); !strings.Contains(strings.Join(strings.Fields(out), " "), "is ready.") {
		t.Errorf("the first run prints %q", out)
	}
	if out := user.run(t, venv+"/bin/pyflyte", "build", "--fast", "workflow.py", "wf"); !strings.Contains(strings.Join(strings.Fields(out), " "), "found. Skip building.") {
		t.Errorf("the second run prints %q", out)
	}
	if out := user.run(t, venv+"/bin/imgspecd", "status"); !strings.Contains(out, string(api.Ready)) {
		t.Errorf("status prints %q", out)
	}
}

// wheels makes what goes to PyPI, with the binary for this platform only, and returns the files' hashes by their names.
func wheels(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	env := []string{"PATH=" + filepath.Dir(os.Getenv(varUV)) + ":" + os.Getenv("PATH"), "UV_PYTHON=" + os.Getenv(varFlytekit)}
	command{env: env}.run(t, filepath.Join("..", "..", "python", "wheels"), dir, runtime.GOOS+"/"+runtime.GOARCH)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	sums := map[string][sha256.Size]byte{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums[f.Name()] = sha256.Sum256(b)
	}
	return sums
}

// endDaemon ends the daemon that a run has started, by the pid that it tells.
func endDaemon(t *testing.T, socket string) {
	t.Helper()
	c := client.New(socket)
	defer c.Close()
	ctx := context.WithoutCancel(t.Context())
	info, err := c.Info(ctx)
	if err != nil {
		t.Errorf("no daemon was left running: %v", err)
		return
	}
	if err := syscall.Kill(info.PID, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	eventually(t, "the daemon ends", 30*time.Second, func() bool {
		_, err := c.Info(ctx)
		return err != nil
	})
}
