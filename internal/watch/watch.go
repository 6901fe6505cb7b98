// Package watch says that a project may have changed.
//
// A Watcher holds the inputs of every project. It watches the directories of the files (notify.go), not
// the files, since editors and git replace files by renaming; where the kernel gives no events, or no more
// watches, it compares what stat says instead (poll.go). Changes are gathered until the disk is quiet
// (settle.go), and then one Hint per project goes out.
//
// A hint is no fact: it may come twice or for nothing. The Watcher never reads a file's content and never
// decides what a change means.
package watch

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Deps are what a Watcher needs.
type Deps struct {
	Log   *slog.Logger
	Quiet time.Duration // how long nothing may change before a hint goes out; default 150 ms
	Max   time.Duration // how long a hint waits at most; default 2 s
	Poll  time.Duration // how often files without events are compared; default 2 s
}

// Watcher watches the inputs of projects.
type Watcher struct {
	deps   Deps
	hints  chan Hint
	cancel context.CancelFunc
	ended  <-chan struct{}
	done   sync.WaitGroup
	events source
	poll   *poller
	change chan change

	mu       sync.Mutex
	projects map[string]target
	problem  error
}

// target is what to watch of one project.
type target struct {
	files map[string]bool
	dirs  map[string]bool // any Python file in them counts
	trees map[string]bool // anything in them counts
}

type change struct {
	project string
	path    string
}

// New starts a Watcher. Where the system gives no events at all it polls, and Problem says so.
func New(d Deps) (*Watcher, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Quiet = orDefault(d.Quiet, 150*time.Millisecond)
	d.Max = orDefault(d.Max, 2*time.Second)
	d.Poll = orDefault(d.Poll, 2*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{
		deps: d, hints: make(chan Hint), cancel: cancel, ended: ctx.Done(),
		change: make(chan change, 256), projects: map[string]target{},
	}
	w.poll = newPoller(w.changed)
	events, err := newNotify(w.changed, d.Log)
	if err != nil {
		w.problem = err
	} else {
		w.events = events
		w.done.Go(func() { events.run(ctx) })
	}
	w.done.Go(func() { w.poll.run(ctx, d.Poll) })
	w.done.Go(func() { settle(ctx, w.change, w.hints, d.Quiet, d.Max) })
	return w, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Hints gives the settled hints. It is closed by Close.
func (w *Watcher) Hints() <-chan Hint { return w.hints }

// Set says what to watch of a project: the files, whether they exist or not, the directories in which
// a new Python file counts, and those in which anything new does (not what is below them). It replaces
// what was set before; nothing at all ends the watch.
func (w *Watcher) Set(project string, files, dirs, trees []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(files)+len(dirs)+len(trees) == 0 {
		delete(w.projects, project)
	} else {
		w.projects[project] = target{files: setOf(files), dirs: setOf(dirs), trees: setOf(trees)}
	}
	w.arrange()
}

// arrange watches the directories that the projects need, and polls for those that cannot be watched.
// Its caller holds mu.
func (w *Watcher) arrange() {
	need := map[string]bool{}
	for _, t := range w.projects {
		maps.Copy(need, t.needs())
	}
	unwatched := need
	if w.events != nil {
		failed, err := w.events.set(need)
		if err != nil && (w.problem == nil || w.problem.Error() != err.Error()) {
			w.deps.Log.Warn("watch by polling", "dirs", len(failed), "error", err)
		}
		unwatched, w.problem = failed, err
	}
	w.poll.set(w.polled(unwatched))
}

// needs lists the directories to watch: those of the files, and those between them and the highest of all,
// because a directory that is renamed says so only to its parent.
func (t target) needs() map[string]bool {
	need := maps.Clone(t.dirs)
	maps.Copy(need, t.trees)
	for f := range t.files {
		need[parent(f)] = true
	}
	tops := map[string]bool{}
	for d := range need {
		top := d
		for up := parent(d); up != parent(up); up = parent(up) {
			if need[up] {
				top = up
			}
		}
		tops[top] = true
	}
	for _, d := range slices.Collect(maps.Keys(need)) {
		for !tops[d] {
			d = parent(d)
			need[d] = true
		}
	}
	return need
}

// polled lists the files and directories to compare because their directory is in unwatched.
func (w *Watcher) polled(unwatched map[string]bool) map[string]bool {
	paths := map[string]bool{}
	for _, t := range w.projects {
		for f := range t.files {
			if unwatched[parent(f)] {
				paths[f] = true
			}
		}
		for _, dirs := range []map[string]bool{t.dirs, t.trees} {
			for d := range dirs {
				if unwatched[d] {
					paths[d] = true
				}
			}
		}
	}
	return paths
}

// Problem says why some inputs are polled instead of watched; nil if none is.
func (w *Watcher) Problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// Close ends the watch and closes Hints.
func (w *Watcher) Close() error {
	w.cancel()
	w.done.Wait()
	close(w.hints)
	return nil
}

// changed passes a change on to the projects that it concerns. everything means that events were lost, or
// that a directory came or went, so that any file in it may have changed.
func (w *Watcher) changed(path string, everything bool) {
	w.mu.Lock()
	var concerned []string
	for _, name := range slices.Sorted(maps.Keys(w.projects)) {
		if w.projects[name].concerns(path, everything) {
			concerned = append(concerned, name)
		}
	}
	if everything {
		w.arrange()
	}
	w.mu.Unlock()
	for _, p := range concerned {
		select {
		case w.change <- change{p, path}:
		case <-w.ended:
		}
	}
}

func (t target) concerns(path string, everything bool) bool {
	switch {
	case t.files[path], t.dirs[path], t.trees[path], t.trees[parent(path)], everything && path == "":
		return true
	case t.dirs[parent(path)] && isSource(path):
		return true
	case !everything:
		return false
	}
	for f := range t.files {
		if below(f, path) {
			return true
		}
	}
	for _, dirs := range []map[string]bool{t.dirs, t.trees} {
		for d := range dirs {
			if below(d, path) {
				return true
			}
		}
	}
	return false
}
