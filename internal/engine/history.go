package engine

import (
	"slices"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// keptNames is how many names of a spec are remembered with what they were made from.
const keptNames = 6

// note remembers under which name a spec was read, and from what.
func (l *loop) note(im *image) {
	s := im.spec
	if s.Err != nil || s.Named.Name == "" {
		return
	}
	if n := len(im.history); n > 0 && im.history[n-1].Name == s.Named.Name {
		return
	}
	now := l.naming(s)
	for _, h := range im.history {
		if h.Name == now.Name {
			now = h // it came back, and is what it was when it was ready
		}
	}
	l.keep(im, now)
}

// wasReady remembers that the image of the present name is ready.
func (l *loop) wasReady(im *image) {
	if n := len(im.history); n > 0 && !im.history[n-1].Ready {
		now := im.history[n-1]
		now.Ready = true
		l.keep(im, now)
	}
}

// wasMade remembers from what the image of the present name was made.
func (l *loop) wasMade(im *image, s Spec) {
	if im.spec.Named.Name == s.Named.Name {
		now := l.naming(s)
		now.Ready = true
		l.keep(im, now)
	}
}

func (l *loop) naming(s Spec) store.Naming {
	n := store.Naming{Name: s.Named.Name, Flytekit: s.Flytekit, Spec: concealJSON(s.Fields.JSON()), Content: l.contentOf(s), At: l.now()}
	for _, in := range s.Named.Inputs {
		n.Inputs = append(n.Inputs, api.Input(in))
	}
	return n
}

// keep makes a naming the last one of the history, which is replaced, never written.
func (l *loop) keep(im *image, now store.Naming) {
	h := slices.DeleteFunc(slices.Clone(im.history), func(o store.Naming) bool { return o.Name == now.Name })
	h = append(h, now)
	for len(h) > keptNames {
		// Names that never were ready go first: an image is compared with one that was.
		i := slices.IndexFunc(h[:len(h)-1], func(o store.Naming) bool { return !o.Ready })
		h = slices.Delete(h, max(i, 0), max(i, 0)+1)
	}
	im.history = h
	l.record.history(im.spec.Label, h)
}

// formerly is the naming that one of this name is compared with: the last other one
// whose image was ready, else the last other one.
func formerly(h []store.Naming, name string) (store.Naming, bool) {
	var out store.Naming
	found := false
	for _, o := range slices.Backward(h) {
		if o.Name == name || found && !o.Ready {
			continue
		}
		out, found = o, true
		if o.Ready {
			break
		}
	}
	return out, found
}
