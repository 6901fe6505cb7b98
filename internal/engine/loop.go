package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// loop is the state of the engine. Only the goroutine of Engine.Run touches it.
type loop struct {
	e        *Engine
	ctx      context.Context // parent of everything that runs beside the loop; ends at stop
	cancel   context.CancelFunc
	projects map[string]*watched // by ID
	images   map[string]*image   // by label
	runs     map[string]*run     // by image name: queued and under way
	queue    []*run
	active   int         // runs that have begun and not ended, reads included
	builds   []api.Build // newest last, the past ones too
	record   *recorder
	stopping bool
	rests    int             // of images that are ready, what is left to be done
	drained  []chan struct{} // closed when nothing is
	prunes   []*pruning      // that wait until nothing runs
	pruned   bool            // one is under way
	unread   map[string]bool // projects that were remembered and not read yet; nil: none
}

// watched is a directory under watch. Owned by the loop.
type watched struct {
	rec     store.Project
	view    api.Project
	reading bool
	again   bool            // a hint came while it was read
	paths   []string        // that the hints named since the last read began
	forced  bool            // a waiting request wants even a failed image tried
	waiters []chan struct{} // closed when a reading that began after them is in
	next    []chan struct{}
}

// keptBuilds is how many builds are remembered.
const keptBuilds = 200

func newLoop(ctx context.Context, e *Engine) *loop {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &loop{
		e: e, ctx: own, cancel: cancel,
		projects: map[string]*watched{}, images: map[string]*image{}, runs: map[string]*run{},
		record: newRecorder(e.deps.Records, e.deps.Log),
	}
}

// start loads what was remembered and gives every project its first hint. A build
// that was under way when an earlier daemon died is marked so.
func (l *loop) start() error {
	if l.e.deps.Ephemeral {
		close(l.e.known)
		return nil
	}
	builds, err := l.e.deps.Records.Builds()
	if err != nil {
		return fmt.Errorf("read builds: %w", err)
	}
	slices.SortFunc(builds, func(a, b api.Build) int { return a.Created.Compare(b.Created) })
	for i := range builds {
		if b := &builds[i]; !b.State.Final() {
			now := l.now()
			b.State, b.Ended, b.Detail = api.Canceled, &now, "the daemon ended while it ran"
			l.record.put(*b)
		}
	}
	l.builds = builds
	projects, err := l.e.deps.Records.Projects()
	if err != nil {
		return fmt.Errorf("read projects: %w", err)
	}
	slices.SortFunc(projects, func(a, b store.Project) int { return a.AddedAt.Compare(b.AddedAt) })
	l.unread = map[string]bool{}
	for _, rec := range projects {
		l.unread[rec.ID] = true
		l.read(l.admit(rec))
	}
	l.haveRead("")
	l.watchPlaces()
	return nil
}

// haveRead notes that a remembered project has been read, or is not wanted any more.
func (l *loop) haveRead(id string) {
	if l.unread == nil {
		return
	}
	if delete(l.unread, id); len(l.unread) == 0 {
		l.unread = nil
		close(l.e.known)
	}
}

// stop cancels what runs. The loop goes on until all of it has answered.
func (l *loop) stop() {
	l.stopping = true
	for _, im := range l.images {
		im.stopTimer()
	}
	for _, r := range l.queue {
		l.finish(r, Outcome{}, errStopping)
	}
	l.queue = nil
	for _, r := range l.runs {
		r.cancel(errStopping)
	}
	l.cancel()
}

func (l *loop) stopped() bool {
	if l.stopping && l.active == 0 {
		l.record.close()
		return true
	}
	return false
}

func (l *loop) now() time.Time { return l.e.deps.Now().UTC() }

// beside runs f in a goroutine of its own; the loop waits for it when it stops.
// f returns what is to be done in the loop with its result.
func (l *loop) beside(f func(ctx context.Context) func(*loop)) {
	l.active++
	ctx := l.ctx
	go func() {
		then := f(ctx)
		l.e.post(func(l *loop) {
			l.active--
			then(l)
		})
	}()
}

// admit makes a project known, with a name that no other has.
func (l *loop) admit(rec store.Project) *watched {
	taken := map[string]bool{}
	for _, p := range l.projects {
		taken[p.view.Name] = true
	}
	base := filepath.Base(rec.Dir)
	name := base
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	p := &watched{rec: rec, view: api.Project{ID: rec.ID, Name: name, Dir: rec.Dir, Env: rec.Env, AddedAt: rec.AddedAt}}
	l.projects[rec.ID] = p
	return p
}

// hint says that a project may have changed.
func (l *loop) hint(id string, paths []string, at time.Time) {
	p := l.projects[id]
	if p == nil || l.stopping {
		return
	}
	p.paths = append(p.paths, paths...)
	l.e.deps.Log.Debug("hint", "project", p.view.Name, "paths", paths, "age", l.now().Sub(at).String())
	l.read(p)
}

// read reads a project beside the loop, once at a time.
func (l *loop) read(p *watched) {
	if l.stopping {
		return
	}
	if p.reading {
		p.again = true
		return
	}
	p.reading, p.again = true, false
	p.waiters, p.next = p.next, nil
	p.forced = len(p.waiters) > 0
	rec := p.rec
	l.beside(func(ctx context.Context) func(*loop) {
		r, err := l.e.deps.Reader.Read(ctx, rec)
		return func(l *loop) { l.took(p, r, err) }
	})
}

// took takes in what a project held.
func (l *loop) took(p *watched, r Reading, err error) {
	p.reading = false
	defer l.haveRead(p.rec.ID)
	if l.stopping || l.projects[p.rec.ID] != p {
		p.release()
		return
	}
	p.paths = nil
	p.view.Error = nil
	if err != nil {
		p.view.Error = toError(err)
		if l.e.deps.Watch != nil && len(r.Files) > 0 {
			l.e.deps.Watch.Set(p.rec.ID, append(r.Files, p.view.Watched...), nil, nil)
		}
	} else {
		l.describe(p, r)
		l.apply(p, r)
	}
	view := p.view
	l.e.events.publish(api.Event{Kind: "project", Project: &view})
	p.release()
	if p.again || len(p.next) > 0 {
		l.read(p)
	}
}

func (p *watched) release() {
	for _, w := range p.waiters {
		close(w)
	}
	p.waiters = nil
	p.forced = false
}

func (l *loop) describe(p *watched, r Reading) {
	tell(&p.view, r)
	if l.e.deps.Watch != nil {
		l.e.deps.Watch.Set(p.rec.ID, r.Files, r.Dirs, r.Trees)
	}
}

// apply brings the project's images in line with what was read.
func (l *loop) apply(p *watched, r Reading) {
	seen := map[string]bool{}
	for _, s := range r.Specs {
		s.Label = p.view.Name + "/" + s.Label
		if s.BaseOf != "" {
			s.BaseOf = p.view.Name + "/" + s.BaseOf
		}
		s.Project, s.Dir = p.rec.ID, p.rec.Dir
		seen[s.Label] = true
		l.applySpec(p, s)
	}
	for label, im := range l.images {
		if im.spec.Project == p.rec.ID && !seen[label] {
			l.drop(label, "the image spec is gone")
		}
	}
	l.pump() // what waited for a base may know by now that it will not come
}

func (l *loop) applySpec(p *watched, s Spec) {
	im := l.images[s.Label]
	now := l.now()
	step := decide(im, s, now, l.e.deps.Grace)
	if step == keep && p.forced && im.view.State.Final() && im.view.State != api.Ready {
		step = verify
	}
	var before Spec
	if im != nil {
		before = im.spec
	} else {
		im = &image{}
		l.images[s.Label] = im
		im.view.Previous = l.lastName(s)
		im.history = l.e.deps.Records.History(s.Label)
	}
	im.adopt(s)
	l.note(im)
	switch step {
	case keep:
		if im.view.State == api.Ready {
			l.compare(im)
		}
	case list:
		l.leave(im, &canceledError{why: "left to builder " + s.Listed})
		l.show(im, api.Listed, "left to builder "+s.Listed, nil)
	case lack:
		if s.Unknown {
			l.leave(im, &canceledError{why: s.Err.Message})
		}
		l.show(im, api.Waiting, s.Err.Message, s.Err)
	case await, refuse:
		if s.Mismatch != nil {
			l.leave(im, &canceledError{why: "flytekit names this image otherwise"})
		}
		l.bad(im, step, now)
	case verify:
		l.overtake(s)
		l.ask(im, causeOf(before, s))
	}
}

// bad says what is wrong with an image's input, and looks again if it may only be half written.
func (l *loop) bad(im *image, step step, now time.Time) {
	if im.badSince.IsZero() {
		im.badSince = now
	}
	err := im.spec.Err
	im.view.Build = "" // no build is to blame
	if step == refuse {
		l.show(im, api.Failed, err.Message, err)
		return
	}
	l.show(im, api.Waiting, err.Message, err)
	l.after(im, l.e.deps.Grace, func(l *loop) { l.hint(im.spec.Project, nil, l.now()) })
}

// after does f in the loop after d, unless something else is planned for the image before.
func (l *loop) after(im *image, d time.Duration, f func(*loop)) {
	im.stopTimer()
	im.again = time.AfterFunc(d, func() {
		l.e.post(func(l *loop) {
			if !l.stopping {
				f(l)
			}
		})
	})
}

func (im *image) stopTimer() {
	if im.again != nil {
		im.again.Stop()
	}
}

// ask asks the targets whether the image is there already, and builds it if not.
func (l *loop) ask(im *image, cause string) {
	if r := l.runs[im.view.Name]; r != nil {
		l.join(im, r)
		return
	}
	im.stopTimer()
	im.asking = true
	l.show(im, api.Queued, "asking the targets", nil)
	spec := im.spec
	l.beside(func(ctx context.Context) func(*loop) {
		states, digest, ready := l.e.deps.Runner.Verify(ctx, spec)
		return func(l *loop) { l.answered(spec, cause, states, digest, ready) }
	})
}

func (l *loop) answered(spec Spec, cause string, states []api.TargetState, digest string, ready bool) {
	im := l.images[spec.Label]
	if l.stopping || im == nil || im.view.Name != spec.Named.Name || !im.asking {
		return
	}
	im.asking = false
	if ready {
		im.view.Targets, im.view.Digest = states, digest
		l.lookUp(im)
		l.show(im, api.Ready, "", nil)
		l.wasReady(im)
		l.compare(im)
		l.based(im)
		l.doubted(im)
		return
	}
	l.enqueue(im, cause, RunOptions{})
}

// drop forgets an image, and cancels its build if nobody else wants it.
func (l *loop) drop(label, why string) {
	im := l.images[label]
	im.stopTimer()
	delete(l.images, label)
	for _, r := range l.runs {
		l.take(r, label, &canceledError{why: why})
	}
	l.e.events.publish(api.Event{Kind: "removed", Removed: label})
}

// show moves an image to a state and tells everybody.
func (l *loop) show(im *image, s api.State, detail string, err *api.Error) {
	if im.set(s, detail, err, l.now()) {
		l.tell(im)
	}
}

func (l *loop) tell(im *image) {
	view := im.view
	l.e.events.publish(api.Event{Kind: "image", Image: &view})
}

// lastName returns the name under which the spec was last made ready, if it is another.
func (l *loop) lastName(s Spec) string {
	for _, b := range slices.Backward(l.builds) {
		if b.State == api.Ready && b.Label == s.Label && b.Image != s.Named.Name {
			return b.Image
		}
	}
	return ""
}

func causeOf(before, now Spec) string {
	if before.Named.Name == "" {
		return "not built yet"
	}
	if before.Named.Name == now.Named.Name {
		return "asked for"
	}
	return changeCause(before, now)
}

var errStopping = errors.New("the daemon is stopping")
