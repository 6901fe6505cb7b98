package engine

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// StartBuild reads the project again, as a file event would, and returns the
// builds that are under way for what was asked, and the images that need none.
// The builds belong to the daemon: they go on when the request ends.
func (e *Engine) StartBuild(ctx context.Context, req api.StartBuild) (api.BuildList, error) {
	var read chan struct{}
	var labels func(*image) bool
	var failed error
	e.awake(ctx)
	err := e.do(ctx, func(l *loop) {
		var p *watched
		p, labels, failed = l.wanted(req)
		if failed == nil {
			read = l.readFor(p)
		}
	})
	if err != nil || failed != nil {
		return api.BuildList{}, firstError(err, failed)
	}
	select {
	case <-read:
	case <-ctx.Done():
		return api.BuildList{}, ctx.Err()
	}
	return e.collect(ctx, req, labels)
}

// wanted says which project a request means, and which of its images.
func (l *loop) wanted(req api.StartBuild) (*watched, func(*image) bool, error) {
	if (req.Image == "") == (req.Dir == "") {
		return nil, nil, &api.Error{Code: api.CodeBadRequest, Message: "a build needs an image or a directory, and not both"}
	}
	if req.Image != "" {
		im, err := l.find(req.Image)
		if err != nil {
			return nil, nil, err
		}
		label := im.spec.Label
		return l.projects[im.spec.Project], func(o *image) bool { return o.spec.Label == label }, nil
	}
	p := l.enclosing(req.Dir)
	if p == nil {
		return nil, nil, &api.Error{Code: api.CodeNotFound, Message: "no project is watched at or above " + req.Dir, Hint: "watch it: imgspecd watch " + req.Dir}
	}
	return p, func(o *image) bool { return o.spec.Project == p.rec.ID }, nil
}

// enclosing returns the watched project that dir lies in.
func (l *loop) enclosing(dir string) *watched {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	var best *watched
	for _, p := range l.projects {
		if (dir == p.rec.Dir || strings.HasPrefix(dir, p.rec.Dir+"/")) && (best == nil || len(p.rec.Dir) > len(best.rec.Dir)) {
			best = p
		}
	}
	return best
}

// collect waits until the targets of the wanted images have been asked, starts
// what the request wants beyond that, and lists it all.
func (e *Engine) collect(ctx context.Context, req api.StartBuild, want func(*image) bool) (api.BuildList, error) {
	events, stop := e.Events(0)
	defer stop()
	for {
		asking := false
		var out api.BuildList
		err := e.do(ctx, func(l *loop) {
			for _, im := range l.images {
				asking = asking || (want(im) && (im.asking || im.comparing()))
			}
			if !asking {
				out = l.list(req, want)
			}
		})
		if err != nil || !asking {
			return out, err
		}
		select {
		case _, open := <-events:
			if !open {
				return out, &api.Error{Code: api.CodeUnavailable, Message: "the daemon is stopping"}
			}
			drain(events)
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

func (l *loop) list(req api.StartBuild, want func(*image) bool) api.BuildList {
	out := api.BuildList{Builds: []api.Build{}}
	listed := map[*run]bool{}
	for _, im := range l.images {
		if !want(im) {
			continue
		}
		if im.view.State == api.Ready && (req.Force || req.Refresh || (req.Push && im.held()) || len(im.view.Differs) > 0) {
			l.enqueue(im, cmp.Or(causeOfRebuild(im.view.Differs), "asked for"), RunOptions{Push: req.Push, Force: req.Force || req.Refresh, Fresh: req.Refresh})
		}
		r := l.runs[im.view.Name]
		switch {
		case r == nil || im.view.Name == "":
			out.Images = append(out.Images, im.view)
		case !listed[r]:
			listed[r] = true
			r.opts.Push = r.opts.Push || req.Push
			out.Builds = append(out.Builds, r.build)
		}
	}
	slices.SortFunc(out.Builds, func(a, b api.Build) int { return strings.Compare(a.Label, b.Label) })
	slices.SortFunc(out.Images, func(a, b api.Image) int { return strings.Compare(a.Label, b.Label) })
	return out
}

// held reports whether a target waits to be asked for.
func (im *image) held() bool {
	return slices.ContainsFunc(im.view.Targets, func(t api.TargetState) bool { return t.State == api.Waiting })
}

// Builds returns the builds under way and those remembered, newest first; of one
// project (ID, name or directory) if that is not empty; at most limit if that is positive.
func (e *Engine) Builds(ctx context.Context, project string, limit int) []api.Build {
	out := []api.Build{}
	e.look(ctx, func(l *loop) {
		id := project
		if p := l.findProject(project); p != nil {
			id = p.rec.ID
		}
		for _, b := range l.allBuilds() {
			if project == "" || b.Project == id {
				out = append(out, b)
			}
		}
	})
	slices.Reverse(out) // of two in the same instant, the later one first
	slices.SortStableFunc(out, func(a, b api.Build) int { return b.Created.Compare(a.Created) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func (l *loop) allBuilds() []api.Build {
	out := slices.Clone(l.builds)
	for _, r := range l.runs {
		out = append(out, r.build)
	}
	return out
}

// Build returns a build by its ID, or by a beginning of it that no other has.
func (e *Engine) Build(ctx context.Context, id string) (api.Build, error) {
	var hits []api.Build
	err := e.do(ctx, func(l *loop) {
		for _, b := range l.allBuilds() {
			if b.ID == id {
				hits = []api.Build{b}
				return
			}
			if id != "" && strings.HasPrefix(b.ID, id) {
				hits = append(hits, b)
			}
		}
	})
	switch {
	case err != nil:
		return api.Build{}, err
	case len(hits) == 0:
		return api.Build{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no build %q", id), Hint: "the last builds of an image: imgspecd logs IMAGE"}
	case len(hits) > 1:
		return api.Build{}, &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf("%d builds begin with %q", len(hits), id)}
	}
	return hits[0], nil
}

// WaitBuild returns a build once it has ended, or as it is when ctx ends.
func (e *Engine) WaitBuild(ctx context.Context, id string) (api.Build, error) {
	events, stop := e.Events(0)
	defer stop()
	plain := context.WithoutCancel(ctx)
	for {
		b, err := e.Build(plain, id)
		if err != nil || b.State.Final() {
			return b, err
		}
		select {
		case _, open := <-events:
			if !open {
				return e.Build(plain, id)
			}
			drain(events)
		case <-ctx.Done():
			return b, nil
		}
	}
}

// CancelBuild ends a build; what it had finished is kept for the next one.
func (e *Engine) CancelBuild(ctx context.Context, id string) (api.Build, error) {
	b, err := e.Build(ctx, id)
	if err != nil {
		return b, err
	}
	err = e.do(ctx, func(l *loop) {
		for _, r := range l.runs {
			if r.build.ID == b.ID {
				l.cancelRun(r)
				return
			}
		}
	})
	if err != nil {
		return b, err
	}
	return e.WaitBuild(ctx, b.ID)
}

// cancelRun ends a run on request; its images stay with it, to be told so.
func (l *loop) cancelRun(r *run) {
	why := &canceledError{why: "canceled on request"}
	if r.begun {
		r.cancel(why)
		return
	}
	l.abandon(r, why)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
