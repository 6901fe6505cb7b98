package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/resolve"
)

// Resolver pins what is not pinned.
type Resolver interface {
	Resolve(ctx context.Context, r resolve.Request) (pylock []byte, at time.Time, err error)
	Inputs(r resolve.Request) ([]string, error) // files that the answer depends on
	Logins(r resolve.Request) []string          // URLs of indexes that hold credentials
	Indexes(r resolve.Request) []string         // URLs of all indexes, without credentials
}

// place is what packages are pinned for: a base, what is in its environment already, and how what must execute there is come by.
type place struct {
	base *base.Base
	on   *installed
	step stepper
}

// pinner pins packages for one place.
type pinner func(place) ([]lockfile.Artifact, error)

// pins finds out what a spec's packages are pinned by. A lock is read before the base image is looked for, so that
// a wrong one is told at once; what has to be resolved waits for the environment.
func (p *Pipeline) pins(ctx context.Context, s Spec) (pinner, error) {
	if !s.isLock() {
		return func(at place) ([]lockfile.Artifact, error) { return p.resolve(ctx, s, at) }, nil
	}
	choice, err := plan.Choice(s.Fields)
	if err != nil {
		return nil, err
	}
	lock, err := p.Locks.take(s)
	if err != nil {
		return nil, err
	}
	p.learnLogins(s)
	return func(at place) ([]lockfile.Artifact, error) {
		as, err := lock.Select(at.base.Info.Environment(), choice)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", relTo(s.Dir, s.lockPath()), err)
		}
		return as, nil
	}, nil
}

// resolve pins the requirements and packages of a spec as the default builder would install them, for one environment and on
// what is in it already.
// An image that is ready under this name keeps the answer it was made from, unless a build asks for a fresh one.
func (p *Pipeline) resolve(ctx context.Context, s Spec, at place) ([]lockfile.Artifact, error) {
	r, err := s.request()
	if err != nil {
		return nil, err
	}
	env, on := at.base.Info.Environment(), at.on
	if at.step.execute {
		r.Build = p.resolveThere(s, at)
	}
	if plan.HasExec(s.Fields) {
		on = nil // the environment that is there gives way to a new one
	}
	r.Environment, r.Installed = env, on.pins()
	r.Fresh, r.Keep = s.Fresh, !s.Fresh && p.WasReady(s.Named.Name)
	text, _, err := p.Resolver.Resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, url := range p.Resolver.Logins(r) {
		p.Logins(index.Index{URL: url})
	}
	lock, err := lockfile.ParsePylock("pylock.toml", text)
	if err != nil {
		return nil, fmt.Errorf("read what uv resolved: %w", err)
	}
	as, err := lock.Select(env, lockfile.Choice{})
	if err != nil {
		return nil, err
	}
	if err := p.chosen(ctx, on, as, env, p.Resolver.Indexes(r)); err != nil {
		return nil, err
	}
	return on.add(as, p.Resolver.Indexes(r))
}

// request is what a spec without a lock asks to be pinned; the environment is still to be filled in.
func (s Spec) request() (resolve.Request, error) {
	r := resolve.Request{
		Flytekit: s.Flytekit,
		Packages: s.Fields.Packages(),
		PipIndex: s.Fields.Str("pip_index"), PipExtraArgs: s.Fields.Str("pip_extra_args"),
		PipExtraIndexURL: s.Fields.Texts("pip_extra_index_url"),
	}
	switch {
	case plan.InBase(s.Fields): // the base has flytekit, and the plug-in does not look at pip_extra_args
		r.Alone, r.PipExtraArgs = true, ""
	case !plan.HasExec(s.Fields):
		// The default builder's Python comes from conda, which brings pip along; runtime_packages need it.
		r.Packages = append([]string{"pip"}, r.Packages...)
	}
	file := s.Fields.Requirements()
	if file == "" {
		return r, nil
	}
	path := s.lockPath()
	r.Dir = filepath.Dir(path)
	if lockfile.Kind(file) == lockfile.FormatPyproject {
		r.Pyproject = path
		return r, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	r.Requirements = text
	return r, s.sameAsNamed(path, text)
}

// learnLogins tells the index client of the indexes that the pyproject.toml beside a lock names: it may have logins for them.
func (p *Pipeline) learnLogins(s Spec) {
	project, err := os.ReadFile(filepath.Join(filepath.Dir(s.lockPath()), "pyproject.toml"))
	if err != nil {
		return // a lock that needs one has said so
	}
	if named, err := index.FromPyproject(project); err == nil {
		p.Logins(named...)
	}
}

// sameAsNamed makes sure that a file still is the one whose content is in the name.
func (s Spec) sameAsNamed(path string, content []byte) error {
	sum := digest(content)
	for _, in := range s.Named.Inputs {
		if in.Named && in.Digest != sum && filepath.Clean(in.Path) == path {
			return fmt.Errorf("%s: %w", relTo(s.Dir, path), ErrStale)
		}
	}
	return nil
}

// ofResolution tells what kept requirements from being pinned.
func ofResolution(err error, out *api.Error) bool {
	var e *resolve.Error
	if !errors.As(err, &e) {
		return false
	}
	out.Code, out.Hint = api.CodeInvalid, e.Hint
	out.Message = strings.TrimSuffix(out.Message, "; "+e.Hint)
	switch e.Kind {
	case resolve.NeedsBuild:
		out.Code = api.CodeUnsupported
	case resolve.Unreachable, resolve.TimedOut:
		out.Code = api.CodeUnavailable
	}
	return true
}
