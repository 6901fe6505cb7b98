package watch

import (
	"context"
	"maps"
	"slices"
	"time"
)

// maxPaths bounds what one hint lists: a checkout may change everything.
const maxPaths = 64

// pending is a hint that waits for quiet.
type pending struct {
	paths map[string]bool
	first time.Time
	last  time.Time
}

// due is when the hint goes out: after quiet since the last change, but at most max after the first.
func (p *pending) due(quiet, max time.Duration) time.Time {
	calm, limit := p.last.Add(quiet), p.first.Add(max)
	if calm.Before(limit) {
		return calm
	}
	return limit
}

// settle gathers changes per project and sends a hint for each when it is due. A receiver that is busy
// delays the hint, and changes go on being gathered. It returns when ctx ends.
func settle(ctx context.Context, in <-chan change, out chan<- Hint, quiet, max time.Duration) {
	waiting := map[string]*pending{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		name, next := earliest(waiting, quiet, max)
		var send chan<- Hint
		var hint Hint
		var alarm <-chan time.Time
		if next != nil {
			if wait := time.Until(next.due(quiet, max)); wait > 0 {
				timer.Reset(wait)
				alarm = timer.C
			} else {
				send, hint = out, next.hint(name)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-alarm:
		case send <- hint:
			delete(waiting, name)
		case c := <-in:
			add(waiting, c)
		}
	}
}

func add(waiting map[string]*pending, c change) {
	now := time.Now()
	p := waiting[c.project]
	if p == nil {
		p = &pending{paths: map[string]bool{}, first: now}
		waiting[c.project] = p
	}
	p.last = now
	if len(p.paths) < maxPaths && c.path != "" {
		p.paths[c.path] = true
	}
}

// earliest is the hint that is due first; the name decides between equals.
func earliest(waiting map[string]*pending, quiet, max time.Duration) (string, *pending) {
	var best string
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if best == "" || waiting[name].due(quiet, max).Before(waiting[best].due(quiet, max)) {
			best = name
		}
	}
	return best, waiting[best]
}

func (p *pending) hint(project string) Hint {
	return Hint{Project: project, Paths: slices.Sorted(maps.Keys(p.paths)), At: p.first}
}
