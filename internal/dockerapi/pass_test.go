package dockerapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
)

// An engine that echoes: uploads while they go on, streams, and connections that leave HTTP.
func TestPassesOnAsItIs(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			_ = rw.Flush()
			all, _ := io.ReadAll(rw) // ends when the client closes its half
			_, _ = conn.Write(append([]byte("echo "), all...))
			return
		}
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		w.Header().Set("X-Asked", r.Method+" "+r.RequestURI)
		w.WriteHeader(http.StatusAccepted)
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = c.Flush()
			if err != nil {
				return
			}
		}
	}))
	defer engine.Close()
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", engine.Listener.Addr().String())
	}
	srv := newServer(t, Deps{Images: newShelf(), Describe: registry(), Dial: dial}, time.Hour)

	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	resp, err := http.Post(srv.URL+"/v1.44/images/load?quiet=0&x=%2F;y", "application/x-tar", bytes.NewReader(data)) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, data) || resp.StatusCode != http.StatusAccepted || resp.Header.Get("X-Asked") != "POST /v1.44/images/load?quiet=0&x=%2F;y" {
		t.Errorf("%d bytes of %d, %d, %q, %v", len(got), len(data), resp.StatusCode, resp.Header.Get("X-Asked"), err)
	}

	conn, err := net.Dial("tcp", srv.Listener.Addr().String()) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "POST /v1.44/containers/x/attach HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n")
	from := bufio.NewReader(conn)
	switched, err := http.ReadResponse(from, nil)
	if err != nil || switched.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", switched, err)
	}
	defer switched.Body.Close()
	_, _ = io.WriteString(conn, "hello")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(from); err != nil || string(all) != "echo hello" {
		t.Errorf("%q, %v", all, err)
	}
}

// The engine decides about a local name, also where imgspecd thinks that it is ready.
func TestTheEngineKnowsItsImages(t *testing.T) {
	host := os.Getenv("IMGSPECD_TEST_DOCKER29")
	if host == "" {
		t.Skip("IMGSPECD_TEST_DOCKER29 is not set: see test/run")
	}
	eng, err := docker.New(docker.Deps{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	ready := api.Image{Name: "imgspecd-nowhere:t", Tag: "t", State: api.Ready}
	srv := newServer(t, Deps{Images: newShelf(ready), Describe: registry(), Dial: eng.Dial}, time.Hour)
	if status, message, _ := get(t, srv, "/v1.44/images/imgspecd-nowhere:t/json"); status != http.StatusNotFound || !strings.Contains(message, "No such image") {
		t.Errorf("%d %s", status, message)
	}
	if _, _, v := get(t, srv, "/version"); v["ApiVersion"] == newestAPI {
		t.Errorf("the version is not the engine's: %v", v)
	}
	buildKitThrough(t, srv)
}

// buildKitThrough asks the engine's BuildKit, whose gRPC runs on a connection that has left HTTP.
func buildKitThrough(t *testing.T, srv *httptest.Server) {
	t.Helper()
	through, err := docker.New(docker.Deps{Host: "tcp://" + srv.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := client.New(ctx, "", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return through.DialBuildKit(ctx, "/grpc", "h2c", nil)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	workers, err := c.ListWorkers(ctx)
	if err != nil || len(workers) == 0 {
		t.Errorf("%d workers, %v", len(workers), err)
	}
}

// Docker's own Python SDK, as flytekit uses it, waits for longer than its limit between two bytes.
func TestDockersSDKWaits(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON")
	if python == "" {
		t.Skip("IMGSPECD_TEST_FLYTEKIT_PYTHON is not set: see test/run")
	}
	shelf := newShelf(api.Image{Name: "x:t", Tag: "t", State: api.Building})
	srv := newServer(t, Deps{Images: shelf, Describe: registry("x:t")}, 100*time.Millisecond)
	for _, ask := range []string{"images.get", "images.get_registry_data"} {
		shelf.put(api.Image{Name: "x:t", Tag: "t", State: api.Building})
		cmd := exec.CommandContext(t.Context(), python, "-c",
			"import docker, sys; print(docker.DockerClient(base_url=sys.argv[1], timeout=1, version='auto')."+ask+"('x:t').id)", "tcp://"+srv.Listener.Addr().String())
		go func() {
			until(t, "the SDK asks", func() bool { return shelf.waits.Load() > 0 })
			time.Sleep(2500 * time.Millisecond) // past its limit
			shelf.put(api.Image{Name: "x:t", Tag: "t", State: api.Ready, Digest: "sha256:abc"})
		}()
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "sha256:abc\n" {
			t.Errorf("%s: %v\n%s", ask, err, out)
		}
	}
}
