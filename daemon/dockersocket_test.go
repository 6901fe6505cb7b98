package daemon_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/daemon"
)

// twoDoors is a daemon with a second socket beside its own.
func twoDoors(e daemon.Engine, socket string, docker http.Handler) *daemon.Daemon {
	return daemon.New(daemon.Deps{
		Engine: e, Log: slog.New(slog.DiscardHandler), Version: "9.9.9", Docker: docker,
		Config: &config.Config{Socket: socket, StateDir: "/state", Docker: config.Docker{Socket: beside(socket)}},
		Doctor: func(context.Context) (api.Doctor, error) { return api.Doctor{}, nil },
	})
}

func beside(socket string) string { return filepath.Join(filepath.Dir(socket), "docker.sock") }

// dockers is a plain HTTP client of the second socket.
func dockers(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", beside(socket))
		},
	}}
}

func TestSecondSocket(t *testing.T) {
	socket := socketPath(t)
	began, ended := make(chan struct{}), make(chan struct{})
	d := twoDoors(&fake{}, socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			close(began)
			<-r.Context().Done() // a wait, or what is passed on to an engine, ends when the stop begins
			close(ended)
			return
		}
		time.Sleep(300 * time.Millisecond) // longer than the limits of this daemon
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != 1<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	d.Hurry(200 * time.Millisecond)
	r := run(t, d, socket)
	r.answers(t)
	if m := mode(t, beside(socket)); m != 0o600 {
		t.Errorf("its mode is %v", m)
	}
	resp, err := dockers(socket).Post("http://docker/images/load", "application/x-tar", strings.NewReader(strings.Repeat("x", 1<<20))) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("answered with %s", resp.Status)
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		if resp, err := dockers(socket).Get("http://docker/wait"); err == nil { //nolint:noctx // a test's
			resp.Body.Close()
		}
	}()
	<-began
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
	<-ended
	<-waiting
	for _, s := range []string{socket, beside(socket)} {
		if _, err := os.Lstat(s); err == nil {
			t.Errorf("%s is left", s)
		}
	}
}

// Whose socket it is, the second tells as the first does; and neither is opened without the other.
func TestSecondSocketIsNotTaken(t *testing.T) {
	socket := socketPath(t)
	dead(t, beside(socket)) // of a daemon that was killed
	r := run(t, twoDoors(&fake{}, socket, http.NotFoundHandler()), socket)
	r.answers(t)
	other := filepath.Join(filepath.Dir(socket), "other.sock")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := twoDoors(&fake{}, other, http.NotFoundHandler()).Run(ctx)
	if err == nil {
		t.Fatal("two daemons have one docker.sock")
	}
	wantText(t, err, "open docker.socket: listen on "+beside(socket), "is serving there already")
	if _, err := os.Lstat(other); err == nil {
		t.Error("the daemon that did not start left its socket")
	}
	if _, err := r.client.Info(t.Context()); err != nil {
		t.Error(err)
	}
}

// systemd may hold both sockets; it hands them over in the order of the unit, and they stay.
func TestSystemdHoldsBothSockets(t *testing.T) {
	for name, tt := range map[string]struct {
		order  []string
		docker bool
		status int
	}{
		"own first":    {[]string{"d.sock", "docker.sock"}, true, http.StatusTeapot},
		"docker first": {[]string{"docker.sock", "d.sock"}, true, http.StatusTeapot},
		"one of two":   {[]string{"d.sock"}, true, http.StatusTeapot},
		"it is off":    {[]string{"d.sock", "docker.sock"}, false, http.StatusNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			socket := socketPath(t)
			if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
				t.Fatal(err)
			}
			// The shell puts its own pid, which exec keeps, where systemd puts the daemon's.
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), "TEST_AS=two doors", "TEST_SOCKET="+socket, "LISTEN_FDS="+strconv.Itoa(len(tt.order)))
			cmd.Stderr = os.Stderr
			if !tt.docker {
				cmd.Env = append(cmd.Env, "TEST_DOCKER=off")
			}
			for _, n := range tt.order {
				l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(filepath.Dir(socket), n)})
				if err != nil {
					t.Fatal(err)
				}
				l.SetUnlinkOnClose(false)
				f, err := l.File()
				if err != nil {
					t.Fatal(err)
				}
				cmd.ExtraFiles = append(cmd.ExtraFiles, f)
				defer f.Close()
				l.Close()
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, client.New(socket))
			resp, err := dockers(socket).Get("http://docker/x") //nolint:noctx // a test's
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var said struct {
				Message string `json:"message"`
			}
			if tt.status == http.StatusNotImplemented {
				if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || !strings.Contains(said.Message, "docker.socket is off") {
					t.Errorf("%q, %v", said.Message, err)
				}
			}
			if resp.StatusCode != tt.status {
				t.Errorf("answered with %s, %s", resp.Status, said.Message)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			for _, n := range tt.order {
				if _, err := os.Lstat(filepath.Join(filepath.Dir(socket), n)); err != nil {
					t.Errorf("systemd's socket was removed: %v", err)
				}
			}
		})
	}
}
