package engine

import (
	"context"
	"maps"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// environment is what the specs of a project are evaluated in: the variables as the
// shell of `imgspecd watch` had them, over them the project's setting, over that --env.
func environment(p store.Project, set Settings) map[string]string {
	env := map[string]string{}
	for name, value := range p.Shell {
		if value != nil {
			env[name] = *value
		}
	}
	maps.Copy(env, set.Env)
	maps.Copy(env, p.Env)
	return env
}

// variables says where each value came from.
func variables(names []string, p store.Project, set Settings) []api.Variable {
	var out []api.Variable
	for _, name := range names {
		v := api.Variable{Name: name, From: api.FromUnrecorded}
		if value, asked := p.Shell[name]; asked && value == nil {
			v.From = api.FromUnset
		} else if asked {
			v.From = api.FromShell
		}
		if _, is := set.Env[name]; is {
			v.From = api.FromSetting
		}
		if _, is := p.Env[name]; is {
			v.From = api.FromOption
		}
		out = append(out, v)
	}
	return out
}

// preview reads a directory as if it were a project, and keeps nothing of it.
func (e *Engine) preview(ctx context.Context, rec store.Project) (api.Project, error) {
	var known store.Project
	err := e.do(ctx, func(l *loop) {
		if p := l.projects[rec.ID]; p != nil {
			known = p.rec
		}
	})
	if err != nil {
		return api.Project{}, err
	}
	rec = refreshed(rec, known)
	v := api.Project{ID: rec.ID, Name: filepath.Base(rec.Dir), Dir: rec.Dir, Env: rec.Env, AddedAt: rec.AddedAt}
	r, err := e.deps.Reader.Read(ctx, rec)
	if err != nil {
		v.Error = toError(err)
	}
	tell(&v, r)
	return v, nil
}

// tell writes what a project holds into its view.
func tell(v *api.Project, r Reading) {
	v.Flytekit, v.FlytekitBy = r.Flytekit, r.FlytekitBy
	v.Images, v.Unreadable = len(r.Specs), r.Unreadable
	v.Variables, v.Watched = r.Variables, r.Files
}

// refreshed is a project's record with what a request says of its environment; what it does not say stays.
func refreshed(rec, known store.Project) store.Project {
	if known.AddedAt.IsZero() {
		return rec
	}
	rec.AddedAt = known.AddedAt
	if rec.Env == nil {
		rec.Env = known.Env
	}
	if rec.Shell == nil {
		rec.Shell = known.Shell
	}
	return rec
}
