package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// daemon is `imgspecd serve` with a state directory and a home of its own.
type daemon struct {
	*client.Client
	t     *testing.T
	bin   string
	home  string // HOME, state directory, socket and log are in it
	state string
	env   []string
	cmd   *exec.Cmd
	ended chan error
}

// newDaemon prepares a daemon; settings are KEY=VALUE environment variables. It is not started.
func newDaemon(t *testing.T, settings ...string) *daemon {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "imgspecd-") // a socket's path has to be short, t.TempDir's is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	d := &daemon{t: t, bin: bin, home: home, state: filepath.Join(home, "state")}
	socket := filepath.Join(home, "s", "imgspecd.sock")
	d.Client = client.New(socket)
	d.env = append(cleanEnv(), "HOME="+home, "IMGSPECD_STATE_DIR="+d.state, "IMGSPECD_SOCKET="+socket, "IMGSPECD_LOG_LEVEL=debug")
	d.env = append(d.env, settings...)
	return d
}

// startDaemon starts a daemon that knows the wheels that other tests have downloaded.
func startDaemon(t *testing.T, settings ...string) *daemon {
	t.Helper()
	d := newDaemon(t, settings...)
	seedWheels(t, d.state)
	d.start()
	return d
}

// cleanEnv is the tests' environment without what would configure imgspecd.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "IMGSPECD_") || strings.HasPrefix(kv, "XDG_") || strings.HasPrefix(kv, "DOCKER_") || strings.HasPrefix(kv, "HOME=")
	})
}

// in returns the daemon for a subtest.
func (d *daemon) in(t *testing.T) *daemon {
	sub := *d
	sub.t = t
	return &sub
}

// spawn starts the process and does not wait for its socket.
func (d *daemon) spawn() {
	d.t.Helper()
	log, err := os.OpenFile(filepath.Join(d.home, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(d.bin, "serve")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = d.env, d.home, log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	first := d.cmd == nil
	d.cmd, d.ended = cmd, ended
	if first {
		d.t.Cleanup(func() {
			d.kill()
			saveWheels(d.t, d.state)
			if d.t.Failed() {
				d.t.Logf("the daemon's log:\n%s", d.log())
			}
		})
	}
}

// start starts the process and returns when it answers.
func (d *daemon) start() {
	d.t.Helper()
	d.spawn()
	eventually(d.t, "the daemon answers", 20*time.Second, func() bool {
		select {
		case err := <-d.ended:
			d.ended <- err
			d.t.Fatalf("the daemon ended at once: %v", err)
		default:
		}
		_, err := d.Info(d.t.Context())
		return err == nil
	})
}

// stop asks the daemon to end, as a service manager does, and checks that it ends well.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			d.t.Errorf("SIGTERM ended the daemon with %v", err)
		}
	case <-time.After(30 * time.Second):
		d.t.Error("SIGTERM does not end the daemon")
	}
	d.ended <- nil
}

// kill ends the process as a crash would.
func (d *daemon) kill() {
	if err := d.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		err := <-d.ended
		d.ended <- err
	}
	d.Client.Close()
}

func (d *daemon) log() string {
	b, err := os.ReadFile(filepath.Join(d.home, "log"))
	if err != nil {
		return err.Error()
	}
	if len(b) > 20_000 {
		b = append([]byte("...\n"), b[len(b)-20_000:]...)
	}
	return string(b)
}

// cli runs a command of imgspecd, as its user would.
func (d *daemon) cli(args ...string) string {
	d.t.Helper()
	return command{dir: d.home, env: d.env}.run(d.t, d.bin, args...)
}

// watch adds a project and returns its only image.
func (d *daemon) watch(dir string) api.Image {
	d.t.Helper()
	p, err := d.AddProject(d.t.Context(), api.AddProject{Dir: dir})
	if err != nil {
		d.t.Fatal(err)
	}
	return d.imageOf(p.Dir)
}

// imageOf returns the only image of a project.
func (d *daemon) imageOf(dir string) api.Image {
	d.t.Helper()
	images, err := d.Images(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	images = slices.DeleteFunc(images, func(i api.Image) bool { return i.Dir != dir })
	if len(images) != 1 {
		d.t.Fatalf("%d images in %s, want one", len(images), dir)
	}
	return images[0]
}

// buildLimit is long enough for a download of everything on a slow day.
const buildLimit = 8 * time.Minute

// settled waits until the image called label has another name than old and nothing more happens to it.
func (d *daemon) settled(label, old string) api.Image {
	d.t.Helper()
	var img api.Image
	eventually(d.t, label+" gets a new name and settles", buildLimit, func() bool {
		var err error
		img, err = d.Image(d.t.Context(), label, 10*time.Second)
		var refusal *api.Error
		if errors.As(err, &refusal) && refusal.Code == api.CodeNotFound {
			return false // a daemon that has just started has not read the project yet
		}
		if err != nil {
			d.t.Fatal(err)
		}
		return img.State.Final() && img.Name != old
	})
	return img
}

// ready is settled, for an image that has to be ready in these targets.
func (d *daemon) ready(label, old string, targets ...string) api.Image {
	d.t.Helper()
	img := d.settled(label, old)
	if img.State != api.Ready {
		d.t.Fatalf("%s is %s: %s (%v)", label, img.State, img.Detail, img.Error)
	}
	for _, name := range targets {
		if tgt, ok := img.InTarget(name); !ok || tgt.State != api.Ready {
			d.t.Fatalf("%s is not ready in %s: %+v", label, name, img.Targets)
		}
	}
	return img
}

// wheelCache holds the wheels that tests have downloaded, so that each comes over the network once a run.
// A wheel is what its name (a hash) says, so this is no cache of anything that is to be proven.
var wheelCache = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "imgspecd-wheels-")
	leftovers = append(leftovers, dir)
	return dir, err
})

func seedWheels(t *testing.T, state string) {
	t.Helper()
	cache, err := wheelCache()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	copyNew(t, cache, filepath.Join(state, "wheels"))
}

func saveWheels(t *testing.T, state string) {
	t.Helper()
	cache, err := wheelCache()
	if err != nil {
		t.Fatal(err)
	}
	copyNew(t, filepath.Join(state, "wheels"), cache)
}

// copyNew links the regular files of from into to, or copies them across file systems.
func copyNew(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if _, err := os.Lstat(dst); err == nil || !e.Type().IsRegular() {
			continue
		}
		if os.Link(src, dst) == nil {
			continue
		}
		b, err := os.ReadFile(src)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dst, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
