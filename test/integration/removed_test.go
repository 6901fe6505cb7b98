package integration

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// noticed is long enough for an event to be followed on a busy machine, and shorter than any interval of looking again.
const noticed = 20 * time.Second

// An image that somebody removes from Docker is there again at once, in each kind of engine, and was made of what was kept.
func TestRemovedFromDocker(t *testing.T) {
	for _, variable := range []string{varDocker, varDocker29, varDockerGD} {
		t.Run(strings.TrimPrefix(variable, "IMGSPECD_TEST_"), func(t *testing.T) {
			need(t, varUV, varFlytekit, varBase)
			engine := newDocker(t, variable)
			d := startDaemon(t, "DOCKER_HOST="+engine.host)
			p := newProject(t, spec{name: "removed-" + random(), base: os.Getenv(varBase)}, small...).lock()
			label := d.watch(p.dir).Label
			img := d.ready(label, "", "docker", "layout")
			engine.forget(img.Name)
			engine.run("rmi", "-f", img.Name)
			again := d.builtAgain(label, 2)
			if again.Cause != "docker: it was removed there" || again.Stats.LayersMade != 0 || again.Stats.Fetched != 0 {
				t.Errorf("the build is %+v", again)
			}
			engine.in(img.Name, `python -c "import six"`)
			// The name given to something else is as good as gone.
			engine.run("tag", os.Getenv(varBase), img.Name)
			if b := d.builtAgain(label, 3); !strings.HasPrefix(b.Cause, "docker: ") {
				t.Errorf("the cause is %q", b.Cause)
			}
		})
	}
}

// With docker.restore = never it is shown as gone, until it is asked for.
func TestRemovedAndNotRestored(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_RESTORE=never")
	p := newProject(t, spec{name: "gone-" + random(), base: os.Getenv(varBase)}, small...).lock()
	label := d.watch(p.dir).Label
	img := d.ready(label, "", "docker")
	engine.forget(img.Name)
	engine.run("rmi", "-f", img.Name)
	eventually(t, label+" is shown as gone", noticed, func() bool {
		img = d.imageOf(p.dir)
		return img.State == api.Failed
	})
	if img.Detail != "docker: it was removed there" || !strings.Contains(img.Error.Hint, "imgspecd build "+label) {
		t.Errorf("it is shown as %q (%+v)", img.Detail, img.Error)
	}
	d.cli("build", p.dir)
	d.ready(label, "", "docker")
	engine.in(img.Name, `python -c "import six"`)
}

// An engine that ends is waited for, and what comes up in its place is filled: here another engine, which has nothing.
func TestDockerComesBackEmpty(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	first, second := newDocker(t, varDocker), newDocker(t, varDocker29)
	at := newSwitch(t)
	at.to(first.host)
	d := startDaemon(t, "DOCKER_HOST=unix://"+at.path)
	p := newProject(t, spec{name: "back-" + random(), base: os.Getenv(varBase)}, small...).lock()
	label := d.watch(p.dir).Label
	img := d.ready(label, "", "docker")
	first.forget(img.Name)
	second.forget(img.Name)
	at.off()
	time.Sleep(2 * time.Second) // an engine's restart takes as long
	at.to(second.host)
	eventually(t, "the second engine has "+img.Name, 2*noticed, func() bool {
		_, err := command{}.try(t.Context(), "docker", "--host", second.host, "image", "inspect", img.Name)
		return err == nil
	})
	d.ready(label, "", "docker")
	// And it is followed as the first one was.
	second.run("rmi", "-f", img.Name)
	eventually(t, img.Name+" is there again", noticed, func() bool {
		_, err := command{}.try(t.Context(), "docker", "--host", second.host, "image", "inspect", img.Name)
		return err == nil
	})
}

// builtAgain waits for the n-th build of an image, which makes it ready, and returns that.
func (d *daemon) builtAgain(label string, n int) api.Build {
	d.t.Helper()
	var last api.Build
	eventually(d.t, label+" is made ready again", noticed, func() bool {
		all, err := d.Builds(d.t.Context(), "", 0)
		if err != nil {
			d.t.Fatal(err)
		}
		mine := slices.DeleteFunc(all, func(b api.Build) bool { return b.Label != label })
		if len(mine) < n {
			return false
		}
		last = mine[0]
		return last.State == api.Ready
	})
	return last
}

// socketSwitch is a socket that leads to one engine or another, or to none.
type socketSwitch struct {
	t     *testing.T
	path  string
	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newSwitch(t *testing.T) *socketSwitch {
	t.Helper()
	dir, err := os.MkdirTemp("", "switch-")
	if err != nil {
		t.Fatal(err)
	}
	s := &socketSwitch{t: t, path: filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() {
		s.off()
		os.RemoveAll(dir)
	})
	return s
}

func (s *socketSwitch) to(host string) {
	s.t.Helper()
	l, err := net.Listen("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.l = l
	s.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", strings.TrimPrefix(host, "unix://"))
			if err != nil {
				c.Close()
				continue
			}
			s.mu.Lock()
			s.conns = append(s.conns, c, far)
			s.mu.Unlock()
			go join(c, far)
			go join(far, c)
		}
	}()
}

// off ends the engine, as its clients see it.
func (s *socketSwitch) off() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.l != nil {
		s.l.Close()
		s.l = nil
	}
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func join(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
