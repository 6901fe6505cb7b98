// Package engine decides when which image is built, and knows how each one stands.
//
// A hint (a settled file event, a start, a request) makes a project be read; what
// is read names its images; the name decides: same name and ready, nothing; same
// name under way, join; another name, build it and cancel what it overtakes. One
// goroutine, the loop, owns all of that state (loop.go); what takes time runs
// beside it and posts its result back. run.go is the pipeline of one build.
//
//	hint → read.go → image.go (decide) → run.go → publish → events.go
//
// It knows no HTTP and reads no environment. It never trusts its memory for
// "ready": a target is asked.
package engine

import (
	"context"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/watch"
)

// Deps is what an engine works with. All fields but Watch and Watched are required.
type Deps struct {
	Records Records
	Watch   Watcher             // nil: nothing is watched, as in a build without a daemon
	Watched []publish.Watchable // places in which others may remove images; none in a build without a daemon
	Reader  Reader
	Runner  Runner
	Disk    Disk
	Logs    string // directory of the builds' logs
	Now     func() time.Time
	Log     *slog.Logger
	// Concurrent is how many builds run at once.
	Concurrent int
	// Grace is how long an input may be wrong before that is a failure and not a file half written; 0: it is one at once.
	Grace time.Duration
	// Retry is the wait before a build that failed for want of a network or an engine
	// is tried again; it doubles up to an hour. 0: never.
	Retry time.Duration
	// Ephemeral keeps projects out of the records: the engine of a single command.
	Ephemeral bool
	// About says of the daemon what the engine does not know.
	About api.Info
	// Idle is called when the last build has ended, beside the loop; may be nil.
	Idle func()
	// Places tells the targets' addresses and health for Info.
	Places func(ctx context.Context) []api.TargetInfo
}

// Records is what the engine remembers over restarts.
type Records interface {
	Projects() ([]store.Project, error)
	PutProject(store.Project) error
	DeleteProject(id string) error
	ReadyImage(name string) (store.ReadyImage, bool)
	PutReadyImage(store.ReadyImage) error
	History(label string) []store.Naming
	PutHistory(label string, h []store.Naming) error
	Builds() ([]api.Build, error)
	PutBuild(api.Build) error
	PutLearned(store.Learned) error
	DeleteLearned(project, key string) error // an empty key: all of the project
}

// Watcher tells which projects may have changed.
type Watcher interface {
	Set(project string, files, dirs, trees []string)
	Hints() <-chan watch.Hint
}

// Reader reads what a project holds; it runs beside the loop.
type Reader interface {
	Read(ctx context.Context, p store.Project) (Reading, error)
	Explain(ctx context.Context, req api.Explain, of *Spec) (api.Explanation, error)
	Learn(ctx context.Context, p store.Project, beside string, req api.PutSpec, at time.Time) (store.Learned, error)
}

// Runner makes one image ready.
type Runner interface {
	// Verify asks every place the image shall be in. All have it: ready. Else the last of states is the one that has
	// not, and why; none: it is not known to be anywhere.
	Verify(ctx context.Context, s Spec) (states []api.TargetState, digest string, ready bool)
	// Plan says what the image would be built from now, and builds nothing.
	Plan(ctx context.Context, s Spec) (Made, error)
	// Run builds and publishes. The error is nil exactly if the image is ready where it will be asked for.
	Run(ctx context.Context, s Spec, o RunOptions, obs Observer) (Outcome, error)
}

// RunOptions change one run.
type RunOptions struct {
	Push  bool // publish to the registry though the policy is on-request
	Force bool // publish though the targets have the image
	Fresh bool // resolve anew what is not pinned
}

// Outcome is what a run achieved, whether or not it ended well.
type Outcome struct {
	Digest  string
	Targets []api.TargetState
	Stats   api.Stats
	Made    Made // what it was built from
	// Warnings are what is doubtful in it.
	Warnings []api.Warning
	// Rest is left to be done once the image is ready, and returns more warnings; nil: nothing.
	Rest func(context.Context) []api.Warning
}

// Engine owns the state of all images. Make one with New, then Run it.
type Engine struct {
	deps   Deps
	cmds   chan func(*loop)
	done   chan struct{} // closed when the loop has ended
	known  chan struct{} // closed when every project that was remembered has been read
	events *broker
	logs   *logbook
	reads  *semaphore.Weighted // held by whoever reads blobs beside the loop, and wholly by a prune
}

// New returns an engine that does nothing until Run.
func New(d Deps) *Engine {
	reads := semaphore.NewWeighted(allReads)
	g := gate{d.Runner, d.Reader, reads}
	d.Runner, d.Reader = g, g
	return &Engine{
		deps:   d,
		cmds:   make(chan func(*loop)),
		done:   make(chan struct{}),
		known:  make(chan struct{}),
		events: newBroker(d.Now, 4096),
		logs:   newLogbook(d.Logs),
		reads:  reads,
	}
}

// Run owns the engine's state until ctx ends; then it cancels the builds under
// way, waits until they have stopped and are recorded, and returns nil.
func (e *Engine) Run(ctx context.Context) error {
	l := newLoop(ctx, e)
	defer close(e.done)
	if err := l.start(); err != nil {
		return err
	}
	var hints <-chan watch.Hint
	if e.deps.Watch != nil {
		hints = e.deps.Watch.Hints()
	}
	stopping := ctx.Done()
	for !l.stopped() {
		select {
		case h := <-hints:
			l.hint(h.Project, h.Paths, h.At)
		case f := <-e.cmds:
			f(l)
		case <-stopping:
			stopping, hints = nil, nil
			l.stop()
		}
	}
	e.events.close()
	return nil
}

// do runs f in the loop and waits for it.
func (e *Engine) do(ctx context.Context, f func(*loop)) error {
	ran := make(chan struct{})
	select {
	case e.cmds <- func(l *loop) { f(l); close(ran) }:
		<-ran
		return nil
	case <-e.done:
		return &api.Error{Code: api.CodeUnavailable, Message: "the daemon is stopping", Hint: "start it again: imgspecd serve"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awake waits until the projects that were remembered have been read: before that
// a daemon that has just started would deny what it is about to know.
func (e *Engine) awake(ctx context.Context) {
	select {
	case <-e.known:
	case <-e.done:
	case <-ctx.Done():
	}
}

// look runs f in the loop, unless that has ended: then there is nothing to see.
func (e *Engine) look(ctx context.Context, f func(*loop)) { _ = e.do(ctx, f) }

// post hands the loop a result; after the loop's end it is dropped.
func (e *Engine) post(f func(*loop)) {
	select {
	case e.cmds <- f:
	case <-e.done:
	}
}

// Events returns what happens from now on, after what happened since that
// sequence number (0: nothing of the past). Call stop when done with it.
func (e *Engine) Events(since uint64) (events <-chan api.Event, stop func()) {
	return e.events.subscribe(since)
}

// Log opens the log of a build; with follow it grows until the build ends or ctx does.
func (e *Engine) Log(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	b, err := e.Build(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.logs.open(ctx, b.ID, follow)
}
