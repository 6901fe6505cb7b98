package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// What others do in a place is a hint as a file's change is one: the images that it
// may concern are asked for again, beside the loop, and what is gone is made ready again.

// An image that is removed again and again is not fought over: each time within
// lossWindow of the last it is made ready later, and after maxLosses not any more.
const (
	lossWindow = 10 * time.Minute
	maxLosses  = 5
)

// lost is what is known of an image that others may remove. Owned by the loop.
type lost struct {
	checking bool   // its places are being asked, though it is shown as it was
	doubt    string // the place that told of a change while that could not be looked into
	gone     bool   // it is shown as gone
	losses   int    // in a row
	lostAt   time.Time
}

// watchPlaces listens to the places until the engine stops.
func (l *loop) watchPlaces() {
	for _, p := range l.e.deps.Watched {
		l.beside(func(ctx context.Context) func(*loop) {
			p.Watch(ctx, func(c publish.Change) {
				l.e.post(func(l *loop) { l.changed(p.Name(), c) })
			})
			return func(*loop) {}
		})
	}
}

// changed says that something happened in a place.
func (l *loop) changed(place string, c publish.Change) {
	if l.stopping {
		return
	}
	l.e.deps.Log.Debug("hint", "place", place, "all", c.All, "images", c.Images)
	for _, im := range l.images {
		if im.view.Name == "" || !im.spec.forDocker() { // the only place that is watched
			continue
		}
		t, _ := im.view.InTarget(place)
		concerns := c.Concerns(im.view.Name, t.Digest)
		switch {
		case im.view.State == api.Ready, im.gone:
			if concerns {
				l.recheck(im, place)
			}
		case im.asking || l.runs[im.view.Name] != nil:
			if concerns || t.Digest == "" { // an event may name what it will be called there
				im.doubt = place
			}
		case c.All && im.view.State == api.Failed && im.view.Error != nil && im.view.Error.Code == api.CodeUnavailable:
			l.retry(im)
		}
	}
}

// doubted looks into what was told of an image before it was ready.
func (l *loop) doubted(im *image) {
	im.gone = false
	if im.doubt != "" {
		l.recheck(im, im.doubt)
	}
}

// recheck asks for an image again that is shown as ready, or as gone.
func (l *loop) recheck(im *image, place string) {
	if l.stopping {
		return
	}
	if im.checking {
		im.doubt = place
		return
	}
	im.checking, im.doubt = true, ""
	spec := im.spec
	l.beside(func(ctx context.Context) func(*loop) {
		states, digest, ready := l.e.deps.Runner.Verify(ctx, spec)
		return func(l *loop) { l.rechecked(im, spec, place, states, digest, ready) }
	})
}

func (l *loop) rechecked(im *image, spec Spec, place string, states []api.TargetState, digest string, ready bool) {
	im.checking = false
	if l.stopping || l.images[spec.Label] != im || (im.view.State != api.Ready && !im.gone) {
		return
	}
	switch {
	case im.doubt != "":
		l.recheck(im, im.doubt)
	case im.view.Name != spec.Named.Name:
		l.recheck(im, place)
	case ready:
		l.still(im, states, digest)
	default:
		l.missed(im, place, states)
	}
}

// still keeps an image ready, in the places that have it now.
func (l *loop) still(im *image, states []api.TargetState, digest string) {
	same := len(states) == len(im.view.Targets) && digest == im.view.Digest
	for i, s := range states {
		was, ok := im.view.InTarget(s.Name)
		if ok && was.State == s.State && was.Digest == s.Digest {
			states[i] = was // with what it cost to put it there
		} else {
			same = false
		}
	}
	im.gone = false
	if !same {
		im.view.Targets, im.view.Digest = states, digest
	}
	if !im.set(api.Ready, "", nil, l.now()) && same {
		return
	}
	l.tell(im)
}

// missed deals with an image that is not in all its places any more.
func (l *loop) missed(im *image, place string, states []api.TargetState) {
	was, _ := im.view.InTarget(place)
	i := slices.IndexFunc(states, func(t api.TargetState) bool { return t.Name == place })
	switch {
	case l.runs[im.view.Name] != nil:
		l.enqueue(im, "", RunOptions{}) // which joins
		return
	case im.gone:
		return // as it was
	case i < 0 || was.State != api.Ready || states[i].Error == nil || states[i].Error.Code == api.CodeUnavailable:
		l.enqueue(im, place+" has not got it", RunOptions{}) // not yet, or the place does not answer
		return
	}
	now := l.now()
	if now.Sub(im.lostAt) > lossWindow {
		im.losses = 0
	}
	im.losses, im.lostAt = im.losses+1, now
	what := place + ": " + states[i].Error.Message
	switch {
	case im.spec.Policy.Restore == config.RestoreNever:
		l.giveUp(im, states[i], what, "; to have it restored by itself, set docker.restore = always")
	case im.losses > maxLosses:
		l.giveUp(im, states[i], fmt.Sprintf("%s, for the %d. time in a row", what, im.losses), "; something removes it again and again")
	case im.losses == 1:
		l.enqueue(im, what, RunOptions{})
	default:
		wait := time.Second << (im.losses - 2)
		l.vanish(im, states[i], fmt.Sprintf("%s again; it is made ready in %s", what, wait), "")
		l.after(im, wait, func(l *loop) {
			if l.images[im.spec.Label] == im && im.view.State == api.Failed {
				l.ask(im, what)
			}
		})
	}
}

// giveUp shows an image as gone, until somebody asks for it or it comes back by itself.
func (l *loop) giveUp(im *image, t api.TargetState, what, why string) {
	im.gone = true
	l.vanish(im, t, what, "make it ready again: imgspecd build "+im.spec.Label+why)
}

// vanish shows an image as not ready, as a place has it no more.
func (l *loop) vanish(im *image, t api.TargetState, detail, hint string) {
	im.view.Targets = withTarget(im.view.Targets, t)
	l.show(im, api.Failed, detail, &api.Error{Code: api.CodeNotFound, Message: detail, Hint: hint})
}
