package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// logbook keeps one text file a build; those being written can be followed.
type logbook struct {
	dir  string
	mu   sync.Mutex
	live map[string]*buildLog
}

// buildLog is the log of a build under way. Lines may come from many goroutines.
type buildLog struct {
	mu    sync.Mutex
	f     *os.File
	now   func() time.Time
	grown chan struct{} // closed and replaced at each line; nil when the log has ended
}

func newLogbook(dir string) *logbook {
	return &logbook{dir: dir, live: map[string]*buildLog{}}
}

func (b *logbook) path(id string) string { return filepath.Join(b.dir, id+".log") }

// begin opens the log of a new build.
func (b *logbook) begin(id string, now func() time.Time) (*buildLog, error) {
	f, err := os.OpenFile(b.path(id), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of build %s: %w", id, err)
	}
	l := &buildLog{f: f, now: now, grown: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[id] = l
	return l, nil
}

// end closes the log of a build that is over.
func (b *logbook) end(id string) {
	b.mu.Lock()
	l := b.live[id]
	delete(b.live, id)
	b.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// prune deletes the logs that keep does not name.
func (b *logbook) prune(keep map[string]bool) {
	names, err := filepath.Glob(filepath.Join(b.dir, "*.log"))
	if err != nil {
		return
	}
	for _, n := range names {
		id := filepath.Base(n)
		if !keep[id[:len(id)-len(".log")]] {
			_ = os.Remove(n) // a log that stays costs only its bytes
		}
	}
}

// printf writes one line. A log that cannot be written does not stop its build.
func (l *buildLog) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return
	}
	_, _ = fmt.Fprintf(l.f, "%s %s\n", l.now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *buildLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close() // a log of lines already written
		l.f = nil
		close(l.grown)
		l.grown = nil
	}
}

// wait returns a channel that is closed when there is more; nil if there will be none.
func (l *buildLog) wait() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grown
}

func (b *logbook) open(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	f, err := os.Open(b.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &api.Error{Code: api.CodeNotFound, Message: "build " + id + " has no log (yet)"}
	}
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	l := b.live[id]
	b.mu.Unlock()
	if !follow || l == nil {
		return f, nil
	}
	return &follower{File: f, ctx: ctx, log: l}, nil
}

// follower reads a log that grows.
type follower struct {
	*os.File
	ctx context.Context // of the request that reads; ends the wait
	log *buildLog
}

// Read waits for more at the end of the file while the build goes on.
func (r *follower) Read(p []byte) (int, error) {
	for {
		grown := r.log.wait()
		n, err := r.File.Read(p)
		if n > 0 || (err != nil && !errors.Is(err, io.EOF)) || grown == nil {
			return n, err
		}
		select {
		case <-grown:
		case <-r.ctx.Done():
			return 0, io.EOF
		}
	}
}
