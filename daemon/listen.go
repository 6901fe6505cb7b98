package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// door is the listening socket and what is needed to remove it again.
type door struct {
	*net.UnixListener
	path      string
	activated bool        // systemd's: not ours to remove
	made      fs.FileInfo // the inode that we made
	lock      *os.File    // held as long as the socket is ours
}

// Close stops listening and removes the socket if it still is the one we made.
func (l *door) Close() error {
	err := l.UnixListener.Close()
	if l.made != nil {
		if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.made) {
			err = errors.Join(err, os.Remove(l.path))
		}
		l.made = nil
	}
	if l.lock != nil {
		l.lock.Close() // unlocks; the file stays, for removing it would let two hold "the" lock
		l.lock = nil
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// LiveError says that another daemon serves the socket.
type LiveError struct {
	Socket string
	PID    int // 0: it did not say
}

func (e *LiveError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("an imgspecd daemon (pid %d)", e.PID)
	}
	return fmt.Sprintf("listen on %s: %s is serving there already", e.Socket, who)
}

// lockWait is how long a daemon that is about to stop or to start is waited for.
const lockWait = 3 * time.Second

// listen makes the socket at path. Who else wants it is kept out by a lock file
// beside it, held while the socket is ours. What stands at path goes only if it
// is a socket of this user that refuses connections: that alone proves that no
// process has it open.
func listen(ctx context.Context, path string) (*door, error) {
	if err := socketDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	lock, err := lockSocket(ctx, path)
	if err != nil {
		return nil, err
	}
	l, err := bind(ctx, path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	l.lock = lock
	return l, nil
}

// socketDir makes the socket's directory, or checks that nobody else can get into it.
func socketDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch uid := owner(fi); {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("its directory %s is a symbolic link, which could be turned elsewhere", dir)
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case uid != os.Geteuid():
		return fmt.Errorf("its directory %s belongs to uid %d, not to you (uid %d)", dir, uid, os.Geteuid())
	case fi.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("its directory %s is open to other users (mode %04o); make it yours alone with: chmod 700 %s", dir, fi.Mode().Perm(), dir)
	}
	return nil
}

func owner(fi fs.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// lockSocket takes the lock beside the socket, waiting a little for a daemon that
// is on its way in or out; one that serves is reported at once.
func lockSocket(ctx context.Context, path string) (*os.File, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: open its lock: %w", path, err)
	}
	for deadline := time.Now().Add(lockWait); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("listen on %s: lock %s: %w", path, name, err)
		}
		if pid, ok := whoServes(ctx, path); ok {
			f.Close()
			return nil, &LiveError{Socket: path, PID: pid}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			f.Close()
			return nil, fmt.Errorf("listen on %s: another imgspecd is starting or stopping there and holds %s", path, name)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// bind makes the socket; the caller holds the lock.
func bind(ctx context.Context, path string) (*door, error) {
	if err := clearStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, withoutAddr(err))
	}
	l.SetUnlinkOnClose(false)
	d := &door{UnixListener: l, path: path}
	// Until here the umask decided on the socket's mode, and the directory (0700)
	// kept others out; the process's umask is everybody's and stays as it is.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // of no use, and the first failure is the one to tell
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if d.made, err = os.Lstat(path); err != nil {
		_ = l.Close() // of no use, and the first failure is the one to tell
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return d, nil
}

// clearStale removes a dead daemon's socket.
func clearStale(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("listen on %s: a symbolic link is there; remove it if it is yours", path)
	case fi.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: something that is not a socket is there; it was left alone", path)
	case owner(fi) != os.Geteuid():
		return fmt.Errorf("listen on %s: a socket of uid %d is there; it was left alone", path, owner(fi))
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		pid, _ := whoServes(ctx, path)
		return &LiveError{Socket: path, PID: pid}
	case errors.Is(err, syscall.ECONNREFUSED):
	default: // busy, not permitted, timed out: somebody may be there
		return fmt.Errorf("listen on %s: a socket is there that neither answers nor is dead: %w", path, withoutAddr(err))
	}
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(now, fi) {
		return fmt.Errorf("listen on %s: the socket there was exchanged meanwhile", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("listen on %s: remove the dead socket: %w", path, err)
	}
	return nil
}

// whoServes asks the socket for its daemon's pid; ok: somebody accepted. The pid
// is 0 if what serves there is not a daemon that answers.
func whoServes(ctx context.Context, path string) (pid int, ok bool) {
	const patience = 2 * time.Second
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "unix", path)
	if err != nil {
		return 0, false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	// By hand, for an http.Transport would comment on what is no HTTP.
	_, err = io.WriteString(conn, "GET /v1/info HTTP/1.1\r\nHost: imgspecd\r\nConnection: close\r\n\r\n")
	if err != nil {
		return 0, true
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, true
	}
	defer resp.Body.Close()
	var info api.Info
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&info) != nil {
		return 0, true
	}
	return info.PID, true
}

// withoutAddr takes the address out of a network error, where it stands twice.
func withoutAddr(err error) error {
	var oe *net.OpError
	if errors.As(err, &oe) {
		return oe.Err
	}
	return err
}
