package engine

import (
	"context"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/teamcache"
)

// What a team shares is its layers. A build takes those from its cache that it lacks; once the image is ready, and beside
// all else, the cache is given those that it lacks in turn.

// whole reports whether an image's layers must all be here: not where it goes to a registry, as far as they lie in one.
func (p *Pipeline) whole(s Spec) bool {
	return p.Thin == nil || s.Fields.Registry() == "" || s.push() != "always"
}

// layout is the layout as an image is to be in it.
func (p *Pipeline) layout(s Spec) publish.Target {
	if p.whole(s) {
		return p.Layout
	}
	return p.Thin
}

// lies notes that the layers of an image lie in the repository it was pushed to, as far as they are not kept here.
func (p *Pipeline) lies(s Spec, content publish.Content, states []api.TargetState) error {
	at := pushedTo(s, states)
	if p.whole(s) || at == "" {
		return nil
	}
	parts, err := publish.PartsOf(content)
	if err != nil {
		return err
	}
	var absent []v1.Descriptor
	for _, b := range parts.Blobs {
		if size, _ := p.Elsewhere.Elsewhere(b.Digest.String()); size == b.Size {
			absent = append(absent, b.Descriptor)
		}
	}
	return p.Elsewhere.PutElsewhere(at, absent)
}

// pushedTo is the repository that an image is in now; empty: it is in none.
func pushedTo(s Spec, states []api.TargetState) string {
	pushed := slices.ContainsFunc(states, func(t api.TargetState) bool { return t.Name == "registry" && t.State == api.Ready })
	ref, err := name.ParseReference(s.Named.Name)
	if !pushed || err != nil {
		return ""
	}
	return ref.Context().Name()
}

// share is what is left to do once the image is ready: to give the team cache the layers that were made for it, and what was found in its base.
func (p *Pipeline) share(s Spec, all []planned, states []api.TargetState) func(context.Context) []api.Warning {
	if p.Team == nil {
		return nil
	}
	var made, steps []teamcache.Made
	var bases []string
	for _, one := range all {
		bases = append(bases, one.bare)
		for _, st := range one.steps {
			steps = append(steps, teamcache.Made{Key: st.Key, Title: st.Title})
		}
		if st := one.plan.Above; st != nil {
			steps = append(steps, teamcache.Made{Key: st.Key, Title: st.Title})
		}
		for _, l := range one.plan.Layers {
			if builder.Shareable(l) {
				made = append(made, teamcache.Made{Key: l.Key, Title: l.Title})
			}
		}
	}
	if len(s.secrets()) > 0 { // what was executed has seen them
		steps = nil
	}
	from := pushedTo(s, states)
	return func(ctx context.Context) []api.Warning {
		p.Team.ShareSteps(ctx, steps, from, s.Policy.Share)
		return append(p.Team.Share(ctx, made, from, s.Policy.Share), p.Team.ShareBases(ctx, bases, s.Policy.Share)...)
	}
}

// then does what a run left to be done, beside the loop. It ends when the engine stops; see Drain.
func (l *loop) then(r *run, rest func(context.Context) []api.Warning) {
	if rest == nil || l.stopping {
		return
	}
	l.rests++
	l.beside(func(ctx context.Context) func(*loop) {
		ws := rest(ctx)
		return func(l *loop) {
			l.warn(r, ws)
			if l.rests--; l.rests > 0 {
				return
			}
			for _, w := range l.drained {
				close(w)
			}
			l.drained = nil
			if !l.stopping {
				l.pump() // a prune may have waited for it
			}
		}
	})
}

// warn adds warnings to an image that is ready, and to its build.
func (l *loop) warn(r *run, ws []api.Warning) {
	if len(ws) == 0 {
		return
	}
	b := &r.build
	b.Warnings = append(slices.Clone(b.Warnings), ws...)
	for i := range l.builds {
		if l.builds[i].ID == b.ID {
			l.builds[i] = *b
		}
	}
	l.record.put(*b)
	l.tellBuild(r)
	for _, im := range l.imagesOf(r) {
		if im.view.State != api.Ready || im.view.Build != b.ID {
			continue
		}
		im.view.Warnings = b.Warnings
		if im.made != nil {
			made := *im.made
			made.Warnings = b.Warnings
			im.made = &made
			l.record.ready(made)
		}
		l.tell(im)
	}
}

// Drain waits until nothing is left to be done for images that are ready, or ctx ends. A command without a daemon, which
// nothing outlives, calls it before it ends.
func (e *Engine) Drain(ctx context.Context) {
	done := make(chan struct{})
	e.look(ctx, func(l *loop) {
		if l.rests == 0 {
			close(done)
			return
		}
		l.drained = append(l.drained, done)
	})
	select {
	case <-done:
	case <-e.done:
	case <-ctx.Done():
	}
}
