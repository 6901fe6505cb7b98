package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// source gives events for directories.
type source interface {
	// set watches exactly these directories. It returns those that it cannot watch, and why.
	set(dirs map[string]bool) (failed map[string]bool, err error)
	run(ctx context.Context)
}

// notify is a source of the kernel's events. A directory that does not exist is stood in for by its nearest
// ancestor that does, so that its creation is seen.
type notify struct {
	watcher *fsnotify.Watcher
	changed func(path string, everything bool)
	log     *slog.Logger

	mu      sync.Mutex
	want    map[string]bool
	watched map[string]bool
	missing map[string]bool // wanted, but not there: an ancestor is watched
}

func newNotify(changed func(string, bool), log *slog.Logger) (*notify, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explain(err)
	}
	return &notify{watcher: w, changed: changed, log: log, watched: map[string]bool{}}, nil
}

// childTowards is the entry of at that leads to dir, which lies below at.
func childTowards(at, dir string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(dir, at), "/")
	first, _, _ := strings.Cut(rest, "/")
	return filepath.Join(at, first)
}

func exists(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func (n *notify) set(dirs map[string]bool) (map[string]bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want = dirs
	failed, keep := map[string]bool{}, map[string]bool{}
	n.missing = map[string]bool{}
	var problem error
	for _, dir := range slices.Sorted(maps.Keys(n.want)) {
		at, err := n.watch(dir)
		if err != nil {
			failed[dir], problem = true, err
			continue
		}
		keep[at] = true
		if at != dir {
			n.missing[dir] = true
		}
	}
	for dir := range n.watched {
		if !keep[dir] {
			_ = n.watcher.Remove(dir) // gone already, when the directory is
			delete(n.watched, dir)
		}
	}
	return failed, problem
}

// watch watches dir or its nearest ancestor that exists, and says which.
func (n *notify) watch(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if n.watched[at] {
			return at, nil
		}
		err := n.watcher.Add(at)
		switch {
		case err == nil:
			n.watched[at] = true
			if at != dir && exists(childTowards(at, dir)) {
				return n.watch(dir) // it came between the look and the watch
			}
			return at, nil
		case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && at != filepath.Dir(at):
			continue
		}
		return "", fmt.Errorf("watch %s: %w", at, explain(err))
	}
}

func (n *notify) run(ctx context.Context) {
	defer func() { _ = n.watcher.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-n.watcher.Events:
			if !ok {
				return
			}
			n.event(e)
		case err, ok := <-n.watcher.Errors:
			if !ok {
				return
			}
			n.log.Warn("lost events", "error", err) // the queue overflowed: anything may have changed
			n.changed("", true)
		}
	}
}

func (n *notify) event(e fsnotify.Event) {
	if e.Op == fsnotify.Chmod {
		return // neither names nor contents change with the mode, and indexers touch it all the time
	}
	n.mu.Lock()
	moved := e.Has(fsnotify.Create) && n.standsFor(e.Name)
	if e.Has(fsnotify.Remove|fsnotify.Rename) && (n.watched[e.Name] || n.want[e.Name]) {
		moved = true
		n.forget(e.Name)
	}
	n.mu.Unlock()
	n.changed(e.Name, moved)
}

// standsFor reports whether a directory that was missing may have come with path.
func (n *notify) standsFor(path string) bool {
	for dir := range n.missing {
		if dir == path || below(dir, path) {
			return true
		}
	}
	return n.want[path]
}

// forget drops the watches at and below a directory that is gone or has another name now.
func (n *notify) forget(dir string) {
	for w := range n.watched {
		if w == dir || below(w, dir) {
			_ = n.watcher.Remove(w)
			delete(n.watched, w)
		}
	}
}

// explain names the setting that limits watches.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the limit of inotify watches is reached (raise it with sysctl fs.inotify.max_user_watches=524288): %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("the limit of inotify instances is reached (raise it with sysctl fs.inotify.max_user_instances=512): %w", err)
	}
	return err
}

func parent(path string) string { return filepath.Dir(path) }

// below reports whether path lies somewhere in dir.
func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// isSource reports whether a file of this name may hold image specs.
func isSource(path string) bool { return strings.HasSuffix(path, ".py") }

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[filepath.Clean(n)] = true
	}
	return set
}
