package integration

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A registry that refuses does not stop the others: the image is in the layout, and the reason stands beside the registry.
func TestRegistryRefuses(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"pushing is for members"}]}`)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "refused", registry: host + "/team", base: os.Getenv(varBase)}, small...).lock()
	img := d.settled(d.watch(p.dir).Label, "")
	layout, _ := img.InTarget("layout")
	registry, ok := img.InTarget("registry")
	if layout.State != api.Ready {
		t.Errorf("the layout is %s (%v)", layout.State, layout.Error)
	}
	if !ok || registry.State != api.Failed || registry.Error == nil {
		t.Fatalf("the registry is %+v", registry)
	}
	t.Logf("%v", registry.Error)
	for _, want := range []string{host, "team/refused", "denied"} {
		if !strings.Contains(registry.Error.Message, want) {
			t.Errorf("the message is %q, without %q", registry.Error.Message, want)
		}
	}
}

// Docker goes away while it is being sent the image: the target fails with the reason, and gets it once Docker is back.
func TestDockerGoesAway(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	engine := newDocker(t, varDocker)
	proxy := newFrailDocker(t, strings.TrimPrefix(engine.host, "unix://"))
	d := startDaemon(t, "DOCKER_HOST=unix://"+proxy.path)
	p := newProject(t, spec{name: "frail-" + random(), base: os.Getenv(varBase)}, small...).lock()
	label := d.watch(p.dir).Label
	img := d.settled(label, "")
	tgt, ok := img.InTarget("docker")
	if !ok || tgt.State != api.Failed || tgt.Error == nil {
		t.Fatalf("docker is %+v", tgt)
	}
	t.Logf("%v", tgt.Error)
	if !strings.Contains(strings.ToLower(tgt.Error.Message), "docker") {
		t.Errorf("the message is %q, without Docker", tgt.Error.Message)
	}
	if layout, _ := img.InTarget("layout"); layout.State != api.Ready {
		t.Errorf("the layout is %s (%v)", layout.State, layout.Error)
	}

	proxy.heal()
	engine.forget(img.Name)
	d.cli("build", p.dir)
	d.ready(label, "", "docker")
	engine.in(img.Name, `python -c "import six"`)
}

// frailDocker is a socket in front of Docker's that breaks every connection on which an image is loaded, until it is healed.
type frailDocker struct {
	path string
	mu   sync.Mutex
	well bool
}

func newFrailDocker(t *testing.T, to string) *frailDocker {
	t.Helper()
	dir, err := os.MkdirTemp("", "frail-")
	if err != nil {
		t.Fatal(err)
	}
	f := &frailDocker{path: filepath.Join(dir, "docker.sock")}
	l, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.carry(c, to)
		}
	}()
	return f
}

func (f *frailDocker) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.well = true
}

func (f *frailDocker) healthy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.well
}

// carry passes bytes both ways; a load breaks off after its first piece.
func (f *frailDocker) carry(c net.Conn, to string) {
	defer c.Close()
	up, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(c, up)
		c.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 && !f.healthy() && strings.Contains(string(buf[:n]), "/images/load") {
			return
		}
		if n > 0 {
			if _, err := up.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
