package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// The client against the real server is tested in package daemon; here are the
// servers that a real one is not.

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "imgspecd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "d.sock")
}

func serve(t *testing.T, socket string, h http.HandlerFunc) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
}

func as(t *testing.T, err error) *api.Error {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *api.Error", err)
	}
	return e
}

func TestZeroValueFindsTheSocket(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	t.Setenv("IMGSPECD_SOCKET", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if err := os.Mkdir(filepath.Join(dir, "imgspecd"), 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, filepath.Join(dir, "imgspecd", "imgspecd.sock"), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"version":"1"}`)
	})
	var c client.Client
	defer c.Close()
	if i, err := c.Info(t.Context()); err != nil || i.Version != "1" {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestNoHome(t *testing.T) {
	for _, name := range []string{"IMGSPECD_SOCKET", "IMGSPECD_STATE_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	var c client.Client
	_, err := c.Info(t.Context())
	if e := as(t, err); e.Code != api.CodeNoDaemon || e.Hint != "set IMGSPECD_SOCKET" {
		t.Errorf("%+v", e)
	}
}

func TestNoDaemon(t *testing.T) {
	nothing := socketPath(t)
	dead := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, socket := range []string{nothing, dead, nothing + "/below"} {
		_, err := client.New(socket).Images(t.Context())
		e := as(t, err)
		if e.Code != api.CodeNoDaemon || e.Hint != "start it with: imgspecd serve --detach" || !strings.Contains(e.Message, socket) {
			t.Errorf("%s: %+v", socket, e)
		}
	}
	_, err = client.New(nothing + strings.Repeat("x", 120)).Images(t.Context())
	if e := as(t, err); e.Code != api.CodeNoDaemon || !strings.Contains(e.Message, "too long") {
		t.Errorf("%+v", e)
	}
}

func TestNotPermitted(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open every socket; package daemon tests it with another user")
	}
	socket := socketPath(t)
	serve(t, socket, func(http.ResponseWriter, *http.Request) {})
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	_, err := client.New(socket).Info(t.Context())
	if e := as(t, err); e.Code != api.CodeNotPermitted {
		t.Errorf("%+v", e)
	}
}

func TestAnswersThatAreNotTheDaemons(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		code    api.Code
		message string
	}{
		"not JSON":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, api.CodeUnavailable, "read answer to GET /v1/info"},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"version":`) }, api.CodeUnavailable, "read answer"},
		"plain 502": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad", http.StatusBadGateway) }, api.CodeInternal, "the socket answered 502 Bad Gateway"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere/", http.StatusFound)
		}, api.CodeInternal, "302"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, api.CodeUnavailable, "talk to the daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := socketPath(t)
			serve(t, socket, tt.handler)
			_, err := client.New(socket).Info(t.Context())
			if e := as(t, err); e.Code != tt.code || !strings.Contains(e.Message, tt.message) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestContext(t *testing.T) {
	socket := socketPath(t)
	serve(t, socket, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := client.New(socket)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Image(ctx, "x", -1)
	if e := as(t, err); e.Code != api.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = c.Builds(ctx, "", 0)
	if e := as(t, err); e.Code != api.CodeCanceled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A long wait is many long polls, each asked at once when the one before has
// given up, until the time is over.
func TestWaitIsLongPolls(t *testing.T) {
	var polls atomic.Int32
	socket := socketPath(t)
	serve(t, socket, func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil || d < 0 {
			t.Errorf("wait=%s", r.URL.Query().Get("wait"))
		}
		state := `"building"`
		if polls.Add(1) == 4 {
			state = `"ready"`
		}
		time.Sleep(10 * time.Millisecond) // a server that gives up sooner than asked
		io.WriteString(w, `{"state":`+state+`}`)
	})
	c := client.New(socket)
	if img, err := c.Image(t.Context(), "x", -1); err != nil || img.State != api.Ready || polls.Load() != 4 {
		t.Errorf("%+v, %v after %d polls", img, err, polls.Load())
	}
	start := time.Now()
	if img, err := c.Image(t.Context(), "x", 60*time.Millisecond); err != nil || img.State != api.Building {
		t.Errorf("%+v, %v", img, err)
	}
	if took := time.Since(start); took < 60*time.Millisecond || took > 5*time.Second {
		t.Errorf("waited %s", took)
	}
}
