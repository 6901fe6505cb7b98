package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/daemon"
)

// attempt runs a daemon that is expected not to come up.
func attempt(t *testing.T, socket string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := newDaemon(&fake{}, socket).Run(ctx)
	if err == nil {
		t.Fatal("the daemon came up")
	}
	return err
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error lacks %q: %v", p, err)
		}
	}
}

// dead leaves a socket behind as a killed daemon does.
func dead(t *testing.T, socket string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode().Perm()
}

func TestSocketIsPrivateAndGoesAtTheEnd(t *testing.T) {
	old := syscall.Umask(0) // the widest there is
	defer syscall.Umask(old)
	d := serve(t, &fake{})
	if m := mode(t, d.socket); m != 0o600 {
		t.Errorf("socket %04o", m)
	}
	if m := mode(t, filepath.Dir(d.socket)); m != 0o700 {
		t.Errorf("directory %04o", m)
	}
	if m := mode(t, d.socket+".lock"); m != 0o600 {
		t.Errorf("lock %04o", m)
	}
	if err := d.stop(t); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(d.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	socket := socketPath(t)
	dead(t, socket)
	launch(t, &fake{}, socket).answers(t)
}

// Even a dead socket is not touched while another process holds the lock.
func TestLockIsRespected(t *testing.T) {
	socket := socketPath(t)
	dead(t, socket)
	lock, err := os.OpenFile(socket+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Lstat(socket)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := newDaemon(&fake{}, socket).Run(ctx); err == nil {
		t.Error("the daemon came up")
	} else {
		wantText(t, err, "another imgspecd is starting or stopping there and holds "+socket+".lock")
	}
	if after, err := os.Lstat(socket); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket was touched: %v", err)
	}
}

// A server too busy to accept is not dead: Linux tells the two apart.
func TestBusySocketIsLeftAlone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a full queue refuses connections as a dead socket does")
	}
	socket := socketPath(t)
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.DialTimeout("unix", socket, 100*time.Millisecond)
		if err != nil {
			break // the queue is full
		}
		defer c.Close()
	}
	wantText(t, attempt(t, socket), "a socket is there that neither answers nor is dead")
	if _, err := os.Lstat(socket); err != nil {
		t.Error(err)
	}
}

func TestLiveSocketIsLeftAlone(t *testing.T) {
	d := serve(t, &fake{})
	err := attempt(t, d.socket)
	var live *daemon.LiveError
	if !errors.As(err, &live) || live.PID != os.Getpid() {
		t.Errorf("%v", err)
	}
	wantText(t, err, d.socket, fmt.Sprintf("an imgspecd daemon (pid %d) is serving there already", os.Getpid()))
	d.answers(t)
}

// A socket that answers is somebody's, with a lock or without, imgspecd or not.
func TestForeignServerIsLeftAlone(t *testing.T) {
	socket := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 hello\r\n"))
			c.Close()
		}
	}()
	wantText(t, attempt(t, socket), "another process is serving there already")
	if c, err := net.Dial("unix", socket); err != nil {
		t.Errorf("its socket is gone: %v", err)
	} else {
		c.Close()
	}
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(t *testing.T, socket string) error
		want string
	}{
		"file": {func(_ *testing.T, s string) error { return os.WriteFile(s, []byte("precious"), 0o600) }, "something that is not a socket is there; it was left alone"},
		"dir":  {func(_ *testing.T, s string) error { return os.Mkdir(s, 0o700) }, "something that is not a socket is there"},
		"symlink to a dead socket": {func(t *testing.T, s string) error {
			dead(t, s+"2")
			return os.Symlink(s+"2", s)
		}, "a symbolic link is there"},
		"symlink to nothing": {func(_ *testing.T, s string) error { return os.Symlink("/nowhere", s) }, "a symbolic link is there"},
		"lock is a symlink":  {func(_ *testing.T, s string) error { return os.Symlink("/tmp/elsewhere", s+".lock") }, "open its lock"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := socketPath(t)
			if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(t, socket); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadDir(filepath.Dir(socket))
			wantText(t, attempt(t, socket), tt.want)
			after, _ := os.ReadDir(filepath.Dir(socket))
			if len(after) < len(before) {
				t.Errorf("%v became %v", before, after)
			}
		})
	}
}

func TestSocketDirectoryMustBePrivate(t *testing.T) {
	socket := socketPath(t)
	dir := filepath.Dir(socket)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	wantText(t, attempt(t, socket), "is open to other users (mode 0755)", "chmod 700 "+dir)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, dir+"-link"); err != nil {
		t.Fatal(err)
	}
	wantText(t, attempt(t, filepath.Join(dir+"-link", "d.sock")), "is a symbolic link, which could be turned elsewhere")
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		wantText(t, attempt(t, socket), "belongs to uid 65534, not to you (uid 0)")
	}
}

func TestForeignUsersSocketIsLeftAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's socket")
	}
	socket := socketPath(t)
	dead(t, socket)
	if err := os.Lchown(socket, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	wantText(t, attempt(t, socket), "a socket of uid 65534 is there; it was left alone")
}

// Of daemons that start at once, on a dead socket, exactly one comes up.
func TestRace(t *testing.T) {
	for range 5 {
		socket := socketPath(t)
		dead(t, socket)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		errs := make(chan error, 6)
		for range cap(errs) {
			wg.Go(func() { errs <- newDaemon(&fake{}, socket).Run(ctx) })
		}
		for range cap(errs) - 1 { // the losers
			var live *daemon.LiveError
			if err := <-errs; !errors.As(err, &live) || live.PID != os.Getpid() {
				t.Errorf("a loser says: %v", err)
			}
		}
		cancel()
		wg.Wait()
		if err := <-errs; err != nil {
			t.Errorf("the winner says: %v", err)
		}
	}
}

// At its end a daemon removes its own socket, not the one that took its place.
func TestOnlyTheOwnInodeIsRemoved(t *testing.T) {
	d := serve(t, &fake{})
	if err := os.Rename(d.socket, d.socket+".old"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := d.stop(t); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(d.socket); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
}

func TestRestartOnTheSameSocket(t *testing.T) {
	socket := socketPath(t)
	for range 3 {
		d := launch(t, &fake{}, socket)
		d.answers(t)
		if err := d.stop(t); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPathTooLong(t *testing.T) {
	wantText(t, attempt(t, filepath.Join(socketPath(t), strings.Repeat("x", 120))), "listen on")
}
