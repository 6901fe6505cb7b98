package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// AddProject puts a directory under watch and returns once it has been read.
// Adding one again replaces what the request says of its environment.
func (e *Engine) AddProject(ctx context.Context, req api.AddProject) (api.Project, error) {
	dir, err := projectDir(req.Dir)
	if err != nil {
		return api.Project{}, err
	}
	rec := store.Project{ID: projectID(dir), Dir: dir, Env: req.Env, Shell: req.Shell, AddedAt: e.deps.Now().UTC()}
	if req.Look {
		return e.preview(ctx, rec)
	}
	var read chan struct{}
	err = e.do(ctx, func(l *loop) {
		p := l.projects[rec.ID]
		if p == nil {
			p = l.admit(rec)
		} else {
			rec = refreshed(rec, p.rec)
			p.rec, p.view.Env = rec, rec.Env
		}
		read = l.readFor(p)
	})
	if err != nil {
		return api.Project{}, err
	}
	if !e.deps.Ephemeral {
		if err := e.deps.Records.PutProject(rec); err != nil {
			return api.Project{}, toError(err)
		}
	}
	select {
	case <-read:
	case <-ctx.Done():
		return api.Project{}, ctx.Err()
	}
	return e.project(ctx, rec.ID)
}

// readFor reads a project for a request; the channel is closed when what it then holds is known.
func (l *loop) readFor(p *watched) chan struct{} {
	w := make(chan struct{})
	p.next = append(p.next, w)
	l.read(p)
	return w
}

func projectDir(dir string) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", &api.Error{Code: api.CodeBadRequest, Message: "project directory " + strings.TrimSpace(dir) + " is not absolute", Hint: "the daemon does not know your working directory"}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", &api.Error{Code: api.CodeNotFound, Message: "project directory: " + err.Error()}
	}
	if st, err := os.Stat(real); err != nil || !st.IsDir() {
		return "", &api.Error{Code: api.CodeBadRequest, Message: real + " is not a directory", Hint: "name the directory that holds pyproject.toml"}
	}
	return real, nil
}

// projectID is made from the directory, so that the same directory is the same project on every day.
func projectID(dir string) string {
	h := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(h[:6])
}

func (e *Engine) project(ctx context.Context, id string) (api.Project, error) {
	var v api.Project
	err := e.do(ctx, func(l *loop) {
		if p := l.projects[id]; p != nil {
			v = p.view
		}
	})
	if err == nil && v.ID == "" {
		err = &api.Error{Code: api.CodeNotFound, Message: "project " + id + " is not watched any more"}
	}
	return v, err
}

// RemoveProject ends the watch over a project, named by its ID, its name or its
// directory. Builds that only it wanted are canceled; images that are ready stay where they are.
func (e *Engine) RemoveProject(ctx context.Context, ref string) error {
	var id string
	err := e.do(ctx, func(l *loop) {
		p := l.findProject(ref)
		if p == nil {
			return
		}
		id = p.rec.ID
		delete(l.projects, id)
		if l.e.deps.Watch != nil {
			l.e.deps.Watch.Set(id, nil, nil, nil)
		}
		for label, im := range l.images {
			if im.spec.Project == id {
				l.drop(label, "the project is not watched any more")
			}
		}
		l.e.events.publish(api.Event{Kind: "removed", Removed: id})
	})
	if err != nil {
		return err
	}
	if id == "" {
		return &api.Error{Code: api.CodeNotFound, Message: "no project " + ref + " is watched", Hint: "see what is: imgspecd status"}
	}
	if e.deps.Ephemeral {
		return nil
	}
	if err := firstError(e.deps.Records.DeleteProject(id), e.deps.Records.DeleteLearned(id, "")); err != nil {
		return toError(err)
	}
	return nil
}

func (l *loop) findProject(ref string) *watched {
	if p := l.projects[ref]; p != nil {
		return p
	}
	for _, p := range l.projects {
		if p.view.Name == ref || p.rec.Dir == filepath.Clean(ref) {
			return p
		}
	}
	if real, err := filepath.EvalSymlinks(ref); err == nil && filepath.IsAbs(ref) {
		return l.projects[projectID(real)]
	}
	return nil
}

// Projects returns the projects under watch, by name; none once the engine has ended.
func (e *Engine) Projects(ctx context.Context) []api.Project {
	out := []api.Project{}
	e.look(ctx, func(l *loop) {
		for _, p := range l.projects {
			out = append(out, p.view)
		}
	})
	slices.SortFunc(out, func(a, b api.Project) int { return strings.Compare(a.Name, b.Name) })
	return out
}
