package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder"
)

// run is a build that is queued or under way, for every image spec of that name. Owned by the loop.
type run struct {
	build  api.Build
	spec   Spec
	opts   RunOptions
	labels map[string]bool
	cancel context.CancelCauseFunc
	begun  bool
	log    *buildLog
}

// supersededError is the cause with which a newer change cancels a run.
type supersededError struct{ by, cause string }

func (e *supersededError) Error() string { return "superseded by " + e.by + ": " + e.cause }

// canceledError is the cause with which a run is canceled on request.
type canceledError struct{ why string }

func (e *canceledError) Error() string { return e.why }

// ErrStale is returned by a Runner when a file is no longer what the name was made from.
var ErrStale = errors.New("an input changed while it was read")

// join makes an image wait for a run that makes its name already.
func (l *loop) join(im *image, r *run) {
	im.asking = false
	r.labels[im.spec.Label] = true
	im.view.Build = r.build.ID
	im.view.Targets = r.build.Targets
	state := r.build.State
	detail := stateDetail(state)
	if state == api.Queued {
		detail = l.queuedDetail(r)
	}
	l.show(im, state, detail, nil)
}

// enqueue plans a build of an image, or joins the one there is.
func (l *loop) enqueue(im *image, cause string, o RunOptions) *run {
	if r := l.runs[im.view.Name]; r != nil {
		l.join(im, r)
		return r
	}
	im.stopTimer()
	im.asking, im.gone = false, false
	r := &run{
		build: api.Build{
			ID: newID(), Image: im.view.Name, Label: im.spec.Label, Project: im.spec.Project,
			State: api.Queued, Cause: cause, Created: l.now(),
		},
		spec: im.spec, opts: o, labels: map[string]bool{im.spec.Label: true},
		cancel: func(error) {},
	}
	l.runs[im.view.Name] = r
	l.queue = append(l.queue, r)
	im.view.Build, im.view.Targets, im.view.Digest, im.view.Warnings = r.build.ID, nil, "", nil
	l.show(im, api.Queued, l.queuedDetail(r), nil)
	l.tellBuild(r)
	l.pump()
	return r
}

// pump begins queued runs while there is room, each once its base is there.
func (l *loop) pump() {
	running := 0
	for _, r := range l.runs {
		if r.begun {
			running++
		}
	}
	if l.holds(running) {
		return
	}
	for i := 0; i < len(l.queue); {
		r := l.queue[i]
		there, err := l.baseOf(r)
		switch {
		case err != nil:
			l.queue = slices.Delete(l.queue, i, i+1)
			l.finish(r, Outcome{}, err) // which pumps again
			return
		case there && running < l.e.deps.Concurrent:
			l.queue = slices.Delete(l.queue, i, i+1)
			l.begin(r)
			running++
		default:
			i++
		}
	}
}

func (l *loop) begin(r *run) {
	r.begun = true
	now := l.now()
	r.build.Started = &now
	log, err := l.e.logs.begin(r.build.ID, l.e.deps.Now)
	if err != nil {
		l.e.deps.Log.Warn("no log for this build", "build", r.build.ID, "error", err.Error())
		log = &buildLog{now: l.e.deps.Now}
	}
	r.log = log
	log.printf("build %s of %s", r.build.ID, r.build.Image)
	log.printf("cause: %s", r.build.Cause)
	l.stage(r, api.Building)
	l.record.put(r.build)
	spec, opts, obs := r.spec, r.opts, &observer{e: l.e, run: r, log: log, now: l.e.deps.Now}
	ctx, cancel := context.WithCancelCause(l.ctx)
	r.cancel = cancel
	l.beside(func(context.Context) func(*loop) {
		out, err := l.e.deps.Runner.Run(ctx, spec, opts, obs)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return func(l *loop) { l.finish(r, out, err) }
	})
}

// stage moves a run and its images to a state that is not the last.
func (l *loop) stage(r *run, s api.State) {
	r.build.State = s
	l.tellBuild(r)
	for _, im := range l.imagesOf(r) {
		l.show(im, s, stateDetail(s), nil)
	}
}

func (l *loop) imagesOf(r *run) []*image {
	var out []*image
	for label := range r.labels {
		if im := l.images[label]; im != nil && im.view.Name == r.build.Image {
			out = append(out, im)
		}
	}
	return out
}

// abandon ends a run early, with a cause that people will read.
func (l *loop) abandon(r *run, why error) {
	if r.begun {
		r.cancel(why)
		if l.runs[r.build.Image] == r {
			delete(l.runs, r.build.Image) // a new wish for this name starts anew
			l.runs["\x00"+r.build.ID] = r // still counted until it has stopped
		}
		return
	}
	l.queue = slices.DeleteFunc(l.queue, func(o *run) bool { return o == r })
	l.finish(r, Outcome{}, why)
}

// overtake takes the spec away from the runs that make an older name of it.
func (l *loop) overtake(s Spec) {
	for _, r := range l.runs {
		if r.build.Image != s.Named.Name {
			l.take(r, s.Label, &supersededError{by: s.Named.Name, cause: causeOf(r.spec, s)})
		}
	}
}

// leave takes an image away from all runs: it is not to be built.
func (l *loop) leave(im *image, why error) {
	im.asking = false
	for _, r := range l.runs {
		l.take(r, im.spec.Label, why)
	}
}

// take takes a label away from a run, which ends if nobody else wants it.
func (l *loop) take(r *run, label string, why error) {
	if !r.labels[label] {
		return
	}
	delete(r.labels, label)
	if len(r.labels) == 0 {
		l.abandon(r, why)
	}
}

// finish records how a run ended.
func (l *loop) finish(r *run, out Outcome, err error) {
	for name, o := range l.runs {
		if o == r {
			delete(l.runs, name)
		}
	}
	now := l.now()
	b := &r.build
	b.Ended, b.Digest, b.Targets, b.Stats = &now, out.Digest, out.Targets, out.Stats
	b.Warnings = out.Warnings
	b.State, b.Detail, b.Error = verdict(err)
	if r.log != nil {
		r.log.printf("%s%s", b.State, colon(b.Detail))
		l.e.logs.end(b.ID)
	}
	l.remember(*b)
	l.tellBuild(r)
	for _, im := range l.imagesOf(r) {
		l.conclude(im, r, err)
		if err == nil {
			l.wasMade(im, r.spec)
			l.settle(im, r, out.Made)
		}
	}
	if l.stopping {
		return
	}
	if err == nil {
		l.then(r, out.Rest)
	}
	l.pump()
	if idle := l.e.deps.Idle; idle != nil && len(l.runs) == 0 {
		l.beside(func(context.Context) func(*loop) { idle(); return func(*loop) {} })
	}
}

// verdict says how an error of a run reads as the state of a build.
func verdict(err error) (api.State, string, *api.Error) {
	var sup *supersededError
	var can *canceledError
	switch {
	case err == nil:
		return api.Ready, "", nil
	case errors.As(err, &sup):
		return api.Superseded, sup.Error(), nil
	case errors.As(err, &can):
		return api.Canceled, can.why, nil
	case errors.Is(err, errStopping), errors.Is(err, context.Canceled):
		return api.Canceled, "the daemon stopped", nil
	case errors.Is(err, ErrStale), errors.Is(err, builder.ErrChanged):
		return api.Superseded, ErrStale.Error(), nil
	}
	e := toError(err)
	return api.Failed, e.Message, e
}

// conclude brings an image to where its run ended.
func (l *loop) conclude(im *image, r *run, err error) {
	b := r.build
	im.view.Targets, im.view.Digest, im.view.Warnings = b.Targets, b.Digest, b.Warnings
	var want *baseError
	im.onBase = errors.As(err, &want)
	switch b.State {
	case api.Ready:
		im.retries = 0
		l.show(im, api.Ready, "", nil)
		l.based(im)
		l.doubted(im)
	case api.Superseded:
		l.show(im, api.Queued, b.Detail, nil)
		l.hint(im.spec.Project, nil, l.now())
	case api.Canceled:
		l.show(im, api.Canceled, b.Detail, nil)
	default:
		detail := b.Detail
		if b.Error.Code == api.CodeUnavailable && l.e.deps.Retry > 0 && !l.stopping {
			wait := min(l.e.deps.Retry<<im.retries, time.Hour)
			im.retries = min(im.retries+1, 12)
			detail = fmt.Sprintf("%s; next try in %s", detail, wait)
			l.after(im, wait, func(l *loop) { l.retry(im) })
		}
		l.show(im, api.Failed, detail, b.Error)
	}
}

// retry tries an image again that failed for want of something outside.
func (l *loop) retry(im *image) {
	if l.images[im.spec.Label] == im && im.view.State == api.Failed {
		l.ask(im, "tried again")
	}
}

// remember keeps a build in the history and in the records.
func (l *loop) remember(b api.Build) {
	l.builds = append(l.builds, b)
	if len(l.builds) > keptBuilds {
		l.builds = slices.Delete(l.builds, 0, len(l.builds)-keptBuilds)
		keep := map[string]bool{}
		for _, o := range l.builds {
			keep[o.ID] = true
		}
		for _, r := range l.runs {
			keep[r.build.ID] = true
		}
		l.e.logs.prune(keep)
	}
	l.record.put(b)
}

func (l *loop) tellBuild(r *run) {
	b := r.build
	l.e.events.publish(api.Event{Kind: "build", Build: &b})
}

// stateDetail is what an image shows in a state when nothing better is known.
func stateDetail(s api.State) string {
	switch s {
	case api.Queued:
		return "waiting for its turn"
	default:
		return ""
	}
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// newID returns an identifier of a build: 12 characters, of which the order means nothing.
func newID() string { return rand.Text()[:12] }
