package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// Images returns all images, by label; none once the engine has ended.
func (e *Engine) Images(ctx context.Context) []api.Image {
	out := []api.Image{}
	e.awake(ctx)
	e.look(ctx, func(l *loop) { out = l.views() })
	return out
}

func (l *loop) views() []api.Image {
	out := make([]api.Image, 0, len(l.images))
	for _, im := range l.images {
		out = append(out, im.view)
	}
	slices.SortFunc(out, func(a, b api.Image) int { return strings.Compare(a.Label, b.Label) })
	return out
}

// FindImage returns the one image that ref means: its name, label, tag or ID, or
// the name, ID or directory of a project that holds only one.
func (e *Engine) FindImage(ctx context.Context, ref string) (api.Image, error) {
	var v api.Image
	var found error
	e.awake(ctx)
	err := e.do(ctx, func(l *loop) {
		im, err := l.find(ref)
		if err != nil {
			found = err
			return
		}
		v = im.view
	})
	if err == nil {
		err = found
	}
	return v, err
}

// find is the rule of FindImage: the first kind of match that fits decides.
func (l *loop) find(ref string) (*image, error) {
	if im := l.images[ref]; im != nil {
		return im, nil
	}
	p := l.findProject(ref)
	kinds := []func(im *image) bool{
		func(im *image) bool { return im.view.Name == ref },
		func(im *image) bool { return im.view.Tag == ref || im.view.ID == ref },
		func(im *image) bool { return p != nil && im.spec.Project == p.rec.ID && im.spec.BaseOf == "" },
		func(im *image) bool { return strings.HasSuffix(im.spec.Label, "/"+ref) },
		func(im *image) bool { return strings.TrimSuffix(im.view.Name, ":"+im.view.Tag) == ref },
	}
	for _, is := range kinds {
		var hits []*image
		for _, im := range l.images {
			if is(im) {
				hits = append(hits, im)
			}
		}
		switch {
		case len(hits) == 1, len(hits) > 1 && sameName(hits):
			return slices.MinFunc(hits, byLabel), nil
		case len(hits) > 1:
			return nil, ambiguous(ref, hits)
		}
	}
	return nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no watched project has an image %q", ref), Hint: "see what there is: imgspecd status"}
}

func byLabel(a, b *image) int { return strings.Compare(a.spec.Label, b.spec.Label) }

func sameName(hits []*image) bool {
	for _, im := range hits {
		if im.view.Name == "" || im.view.Name != hits[0].view.Name {
			return false
		}
	}
	return true
}

func ambiguous(ref string, hits []*image) error {
	var labels []string
	for _, im := range hits {
		labels = append(labels, im.spec.Label)
	}
	slices.Sort(labels)
	return &api.Error{
		Code:    api.CodeConflict,
		Message: fmt.Sprintf("%q means %d images: %s", ref, len(hits), strings.Join(labels, ", ")),
		Hint:    "name one of them",
	}
}

// WaitImage returns the image once nothing more will happen to it, or as it is when ctx ends.
func (e *Engine) WaitImage(ctx context.Context, ref string) (api.Image, error) {
	events, stop := e.Events(0)
	defer stop()
	e.awake(ctx)
	plain := context.WithoutCancel(ctx)
	for {
		im, err := e.FindImage(plain, ref)
		if err != nil || im.State.Final() {
			return im, err
		}
		select {
		case _, open := <-events:
			if !open {
				return e.FindImage(plain, ref)
			}
			drain(events)
		case <-ctx.Done():
			return im, nil
		}
	}
}

// drain takes what is there, so that one look serves many events.
func drain(events <-chan api.Event) {
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		default:
			return
		}
	}
}
