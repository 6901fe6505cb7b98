package engine

import (
	"context"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// PutSpec learns a spec that a run asked for, and returns its image. It belongs to
// the watched project around its directory, or else the directory becomes a project.
func (e *Engine) PutSpec(ctx context.Context, req api.PutSpec) (api.Image, error) {
	for _, f := range [...][2]string{{"flytekit", req.Flytekit}, {"name", req.Name}, {"tag", req.Tag}, {"id", req.ID}} {
		if f[1] == "" {
			return api.Image{}, &api.Error{Code: api.CodeBadRequest, Message: "put spec: " + f[0] + " is missing", Hint: "send what flytekit computed"}
		}
	}
	dir, err := projectDir(req.Dir)
	if err != nil {
		return api.Image{}, err
	}
	req.Dir = dir
	rec, beside, err := e.owner(ctx, dir)
	if err != nil {
		return api.Image{}, err
	}
	learned, err := e.deps.Reader.Learn(ctx, rec, beside, req, e.deps.Now())
	if err != nil {
		return api.Image{}, toError(err)
	}
	if err := e.deps.Records.PutLearned(learned); err != nil {
		return api.Image{}, toError(err)
	}
	if err := e.reread(ctx, rec.ID); err != nil {
		return api.Image{}, err
	}
	var out api.Image
	err = e.do(ctx, func(l *loop) {
		for _, im := range l.images {
			if im.spec.Project == rec.ID && im.spec.Learned == learned.Key && (out.Label == "" || im.spec.Label < out.Label) {
				out = im.view
			}
		}
	})
	if err == nil && out.Label == "" {
		err = &api.Error{Code: api.CodeUnavailable, Message: "the spec is learned, but its project cannot be read now", Hint: "see why: imgspecd status"}
	}
	return out, err
}

// owner returns the project that a directory lies in, which it becomes if there is
// none, and the version of flytekit that the project names.
func (e *Engine) owner(ctx context.Context, dir string) (store.Project, string, error) {
	var rec store.Project
	var beside string
	look := func(l *loop) {
		if p := l.enclosing(dir); p != nil {
			rec, beside = p.rec, p.view.Flytekit
		}
	}
	if err := e.do(ctx, look); err != nil {
		return rec, "", err
	}
	var err error
	switch {
	case rec.ID == "":
		if _, err = e.AddProject(ctx, api.AddProject{Dir: dir}); err == nil {
			err = e.do(ctx, look)
		}
	case beside == "": // its first reading is not in
		if err = e.reread(ctx, rec.ID); err == nil {
			err = e.do(ctx, look)
		}
	}
	if err == nil && rec.ID == "" {
		err = &api.Error{Code: api.CodeNotFound, Message: "project " + dir + " is not watched any more"}
	}
	return rec, beside, err
}

// reread reads a project and returns when what it then holds is known.
func (e *Engine) reread(ctx context.Context, id string) error {
	var read chan struct{}
	err := e.do(ctx, func(l *loop) {
		if p := l.projects[id]; p != nil {
			read = l.readFor(p)
		}
	})
	if err != nil || read == nil {
		return err
	}
	select {
	case <-read:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ForgetSpec forgets what was learned of an image, which is no more if no file of
// the project holds its spec. Where it is ready, it stays.
func (e *Engine) ForgetSpec(ctx context.Context, ref string) error {
	var project, key string
	var failed error
	err := e.do(ctx, func(l *loop) {
		im, err := l.find(ref)
		switch {
		case err != nil:
			failed = err
		case im.spec.Learned == "":
			failed = &api.Error{
				Code: api.CodeConflict, Message: im.spec.Label + " was not learned from a run",
				Hint: "it is in " + filepath.Join(im.spec.Dir, im.spec.Source.File) + ", and goes when that no longer holds it",
			}
		default:
			project, key = im.spec.Project, im.spec.Learned
		}
	})
	if err := firstError(err, failed); err != nil {
		return err
	}
	if err := e.deps.Records.DeleteLearned(project, key); err != nil {
		return toError(err)
	}
	return e.reread(ctx, project)
}
