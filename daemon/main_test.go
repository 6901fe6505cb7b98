package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// TestMain lets the test binary be other processes: a daemon of its own, a client of another user.
func TestMain(m *testing.M) {
	switch socket := os.Getenv("TEST_SOCKET"); os.Getenv("TEST_AS") {
	case "daemon":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		if err := newDaemon(&fake{}, socket).Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "two doors":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		var docker http.Handler
		if os.Getenv("TEST_DOCKER") != "off" {
			docker = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		}
		if err := twoDoors(&fake{}, socket, docker).Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "client":
		_, err := client.New(socket).Info(context.Background())
		var e *api.Error
		if errors.As(err, &e) {
			_ = json.NewEncoder(os.Stdout).Encode(e)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// self starts the test binary as another process.
func self(t *testing.T, as, socket string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, "TEST_AS="+as, "TEST_SOCKET="+socket)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// waitFor waits for a daemon that is another process.
func waitFor(t *testing.T, c *client.Client) api.Info {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		info, err := c.Info(t.Context())
		if err == nil {
			return info
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestSIGTERM(t *testing.T) {
	socket := socketPath(t)
	cmd := self(t, "daemon", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if info := waitFor(t, client.New(socket)); info.PID != cmd.Process.Pid {
		t.Errorf("pid %d, want %d", info.PID, cmd.Process.Pid)
	}
	wantText(t, attempt(t, socket), fmt.Sprintf("pid %d", cmd.Process.Pid))
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestSIGKILLLeavesASocketThatIsTakenOver(t *testing.T) {
	socket := socketPath(t)
	cmd := self(t, "daemon", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := client.New(socket)
	waitFor(t, c)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("a killed daemon cannot tidy up, yet: %v", err)
	}
	wantCode(t, second(c.Info(t.Context())), api.CodeNoDaemon)
	launch(t, &fake{}, socket).answers(t)
}

// Another user is kept out by the socket's mode, and when that is opened up, by
// the daemon itself.
func TestOtherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	d := serve(t, &fake{})
	top, err := os.MkdirTemp("", "imgspecd-uid")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(top, "test") // where the other user can run it
	if err := errors.Join(os.Chmod(top, 0o755), os.WriteFile(binary, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	ask := func() *api.Error {
		cmd := exec.Command(binary)
		cmd.Env = []string{"TEST_AS=client", "TEST_SOCKET=" + d.socket}
		cmd.Dir = "/"
		// In root's group: groups do not count.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 0, Groups: []uint32{0}}}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var e *api.Error
		if len(out) > 0 {
			if err := json.Unmarshal(out, &e); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	if e := ask(); e == nil || e.Code != api.CodeNotPermitted {
		t.Errorf("by mode: %+v", e)
	}
	dir := filepath.Dir(d.socket)
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, d.socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if e := ask(); e == nil || e.Code != api.CodeForbidden || !strings.Contains(e.Message, "this daemon serves uid 0, and you are uid 65534") {
		t.Errorf("by peer: %+v", e)
	}
	d.answers(t)
}

// Under systemd the socket comes from outside, stays there at the end, and the
// manager is told what happens.
func TestActivationAndNotify(t *testing.T) {
	socket := socketPath(t)
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	notify := filepath.Join(filepath.Dir(socket), "notify")
	n, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	// The shell puts its own pid, which exec keeps, where systemd puts the daemon's.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_AS=daemon", "TEST_SOCKET=/nowhere/d.sock", "LISTEN_FDS=1",
		"NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=200000")
	cmd.ExtraFiles = []*os.File{f} // becomes 3
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	told := func() string {
		buf := make([]byte, 512)
		_ = n.SetReadDeadline(time.Now().Add(10 * time.Second))
		k, err := n.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:k])
	}
	if s := told(); !strings.HasPrefix(s, "READY=1") || !strings.Contains(s, socket) {
		t.Errorf("told %q", s)
	}
	if s := told(); s != "WATCHDOG=1" {
		t.Errorf("told %q", s)
	}
	if info := waitFor(t, client.New(socket)); info.Socket != socket || info.PID != cmd.Process.Pid {
		t.Errorf("%+v", info)
	}
	// A daemon started by hand beside it sees that the place is taken.
	wantText(t, attempt(t, socket), fmt.Sprintf("pid %d", cmd.Process.Pid))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s := told()
	for s == "WATCHDOG=1" {
		s = told()
	}
	if s != "STOPPING=1" {
		t.Errorf("told %q", s)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
}
