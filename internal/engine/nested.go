package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// A spec in another's base_image is an image of its own: it has its own name and
// targets, and is built first, as flytekit builds it first.

// withBases adds the nested specs of specs that no spec of the project stands for.
func (r *ProjectReader) withBases(specs []Spec) []Spec {
	for i := 0; i < len(specs); i++ { // what is added may have a nested one too
		s := specs[i]
		if s.Named.Base == nil || s.Err != nil || s.Listed != "" {
			continue
		}
		name := s.Named.Base.Name
		specs[i].Needs = name
		if slices.ContainsFunc(specs, func(o Spec) bool { return o.Named.Name == name && o.Err == nil }) {
			continue
		}
		b := Spec{
			Label: s.Label + "@base", Dir: s.Dir, Cwd: s.Cwd, Source: s.Source, Flytekit: s.Flytekit, Python: s.Python, Policy: s.Policy,
			Fields: s.Named.Base.Spec, Named: *s.Named.Base, BaseOf: s.Label,
		}
		b.leaveToBuilder()
		b.fail(r.whole(b))
		specs = append(specs, b)
	}
	return specs
}

// leaveToBuilder marks a spec that names a builder which makes it elsewhere.
func (s *Spec) leaveToBuilder() {
	if b := s.Fields.Builder(); (b == "union" || b == "unionai") && s.Policy.Union != "default" {
		s.Listed = b
	}
}

// baseError says that an image cannot be built because its base has not been.
type baseError struct {
	label string
	err   *api.Error
}

func (e *baseError) Error() string { return "its base image " + e.label + ": " + e.err.Message }
func (e *baseError) Unwrap() error { return e.err }

// baseOf says whether the base of a run is there, as far as it is a nested spec's
// image; the error says that it will not be.
func (l *loop) baseOf(r *run) (bool, error) {
	base := l.named(r.spec.Needs)
	if base == nil {
		return true, nil
	}
	v := base.view
	switch {
	case v.State == api.Ready:
		return true, nil
	case v.State == api.Listed:
		return false, &baseError{v.Label, &api.Error{
			Code: api.CodeUnsupported, Message: v.Detail, Hint: `set builders.union = "default" to have it built here`,
		}}
	case !v.State.Final() || base.asking:
		return false, nil
	case v.Error != nil:
		return false, &baseError{v.Label, v.Error}
	}
	return false, &baseError{v.Label, &api.Error{Code: api.CodeCanceled, Message: string(v.State) + colon(v.Detail), Hint: "build it: imgspecd build " + v.Label}}
}

// named finds an image by its full name, one that is ready before all others.
func (l *loop) named(name string) *image {
	if name == "" {
		return nil
	}
	var found *image
	for _, im := range l.images {
		if im.view.Name == name && (found == nil || im.view.State == api.Ready) {
			found = im
		}
	}
	return found
}

// based goes on with the images whose base has just become ready.
func (l *loop) based(base *image) {
	for _, im := range l.images {
		if im.spec.Needs == base.view.Name && im.onBase && im.view.State == api.Failed {
			l.ask(im, "its base is ready")
		}
	}
	l.pump()
}

func (l *loop) queuedDetail(r *run) string {
	if there, err := l.baseOf(r); err == nil && !there {
		return "waiting for its base " + l.named(r.spec.Needs).view.Label
	}
	return stateDetail(api.Queued)
}

// nestedBase finds the image of a nested spec in our own layout, where its build put it.
func (p *Pipeline) nestedBase(ctx context.Context, s Spec, report progress.Func) (*base.Base, error) {
	name := s.Named.Base.Name
	b, err := p.Bases.Resolve(ctx, "oci:"+p.Dir+":"+name, s.Fields.Platform(), report)
	switch {
	case errors.Is(err, base.ErrNotFound):
		return nil, &api.Error{
			Code: api.CodeInvalid, Message: fmt.Sprintf("its base image %s, an ImageSpec of its own, is not built yet", name),
			Hint: "imgspecd build makes it first",
		}
	case err != nil:
		return nil, fmt.Errorf("base image %s, an ImageSpec of its own: %w", name, err)
	}
	b.Info.Ref, b.Info.From = name, "nested"
	return b, nil
}
