package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
)

// detached is what `serve --detach` prints: the daemon that answers now.
type detached struct {
	Started bool   `json:"started"` // false: it was running already
	PID     int    `json:"pid"`
	Socket  string `json:"socket"`
	Log     string `json:"log,omitempty"` // empty: it was started in another way, and its log is whoever's that started it
}

func (d detached) text() string {
	out := fmt.Sprintf("imgspecd runs now, process %d", d.PID)
	if !d.Started {
		out = fmt.Sprintf("imgspecd is running already, process %d", d.PID)
	}
	if d.Log != "" {
		out += "; its log is " + d.Log
	}
	return clean(out) + "\n"
}

// detachTime is how long a daemon may take to be ready; opening a large store on a slow disk takes seconds.
const detachTime = time.Minute

// logLimit is the size from which a new daemon begins a new log, in bytes.
const logLimit = 8 << 20

// detach starts the daemon in the background unless one answers. It holds a lock meanwhile, so that of
// many that want one at once the first starts it and the others find it.
func (a *app) detach(ctx context.Context, cfg *config.Config) (detached, error) {
	ctx, cancel := context.WithTimeout(ctx, detachTime)
	defer cancel()
	at := place{lock: filepath.Join(cfg.StateDir, "detach.lock"), log: filepath.Join(cfg.StateDir, "daemon.log"), socket: cfg.Socket}
	if d, err := a.running(ctx, at); err == nil || !noDaemonRuns(err) {
		return d, err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return detached{}, fmt.Errorf("make the state directory: %w", err)
	}
	lock, err := lockFile(ctx, at.lock)
	if err != nil {
		return detached{}, err
	}
	defer lock.Close() // unlocks
	if d, err := a.running(ctx, at); err == nil || !noDaemonRuns(err) {
		return d, err
	}
	return a.startDetached(ctx, at, lock)
}

// place is where a detached daemon is found.
type place struct {
	lock   string // holds the process that was last started in this way
	log    string
	socket string
}

func noDaemonRuns(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == api.CodeNoDaemon
}

// running asks the daemon that there may be.
func (a *app) running(ctx context.Context, at place) (detached, error) {
	d, err := a.daemon()
	if err != nil {
		return detached{}, err
	}
	info, err := d.Info(ctx)
	if err != nil {
		return detached{}, err
	}
	out := detached{PID: info.PID, Socket: at.socket}
	if last, err := os.ReadFile(at.lock); err == nil && info.PID != 0 && strings.TrimSpace(string(last)) == strconv.Itoa(info.PID) {
		out.Log = at.log
	}
	return out, nil
}

// startDetached runs this program again as a daemon, in a session of its own, and returns when it answers.
func (a *app) startDetached(ctx context.Context, at place, lock *os.File) (detached, error) {
	log, err := openLog(at.log)
	if err != nil {
		return detached{}, err
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return detached{}, fmt.Errorf("open the daemon's log: %w", err)
	}
	ready, err := listenReady()
	if err != nil {
		return detached{}, err
	}
	defer ready.close()
	bin, err := os.Executable()
	if err != nil {
		return detached{}, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(bin, withoutDetach(a.Args)...) //nolint:gosec,noctx // this very program; it outlives the command
	cmd.Env = append(withoutManager(a.Environ()), "NOTIFY_SOCKET="+ready.path)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return detached{}, fmt.Errorf("start the daemon: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ready.said:
	case err := <-ended:
		if d, asked := a.running(ctx, at); asked == nil { // somebody's `serve` was faster
			return d, nil
		}
		return detached{}, failedStart(at.log, begin, err)
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return detached{}, errTimeout("see "+at.log, "the daemon was not ready in %s, and was stopped", detachTime)
		}
		return detached{}, ctx.Err()
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(cmd.Process.Pid)+"\n")); err != nil {
		return detached{}, fmt.Errorf("record the daemon's process: %w", err)
	}
	d, err := a.running(ctx, at)
	d.Started = true
	return d, err
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// failedStart tells why a daemon ended at once, in the words of its log.
func failedStart(log string, begin int64, err error) error {
	e := &api.Error{Code: api.CodeInternal, Message: "the daemon ended at once", Hint: "its log is " + log}
	if err != nil {
		e.Message += ": " + err.Error()
	}
	f, err := os.Open(log)
	if err != nil {
		return e
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, begin, 64<<10))
	if err == nil {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		e.Output = lines[max(0, len(lines)-10):]
	}
	return e
}

// openLog opens the log to add to; what grew large is put aside, once.
func openLog(path string) (*os.File, error) {
	if st, err := os.Stat(path); err == nil && st.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("put the daemon's old log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the daemon's log: %w", err)
	}
	return f, nil
}

// lockFile waits for a lock: the kernel's, so that it ends with its holder.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	locked := make(chan error, 1)
	go func() { locked <- syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return f, nil
	case <-ctx.Done():
		go func() { // the kernel's call cannot be ended
			if <-locked == nil {
				_ = f.Close()
			}
		}()
		return nil, fmt.Errorf("another imgspecd is starting a daemon and holds %s: %w", path, ctx.Err())
	}
}

// readiness is a socket on which a service says READY=1, as to systemd (sd_notify(3)).
type readiness struct {
	path string
	said <-chan struct{}
	conn *net.UnixConn
	dir  string
}

func listenReady() (*readiness, error) {
	dir, err := os.MkdirTemp("", "imgspecd-") // mode 0700, and short enough for a socket
	if err != nil {
		return nil, fmt.Errorf("make a directory for the daemon's notice: %w", err)
	}
	path := filepath.Join(dir, "ready")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the daemon's notice: %w", err), os.RemoveAll(dir))
	}
	said := make(chan struct{})
	go func() {
		buf := make([]byte, 4<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				if strings.TrimSpace(line) == "READY=1" {
					close(said)
					return
				}
			}
		}
	}()
	return &readiness{path: path, said: said, conn: conn, dir: dir}, nil
}

func (r *readiness) close() {
	_ = r.conn.Close()
	_ = os.RemoveAll(r.dir)
}

// withoutDetach is the command line of the daemon itself.
func withoutDetach(args []string) []string {
	var out []string
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if name == "--detach" || name == "--json" {
			continue
		}
		out = append(out, arg)
	}
	return out
}

// withoutManager drops what a service manager told this process alone.
func withoutManager(environ []string) []string {
	var out []string
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		default:
			out = append(out, kv)
		}
	}
	return out
}
