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
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/resolve"
)

// Resolver pins what is not pinned.
type Resolver interface {
	Resolve(ctx context.Context, r resolve.Request) (pylock []byte, at time.Time, err error)
}

// pins finds out what a spec's packages are pinned by. A lock is read before the base image is looked for, so that
// a wrong one is told at once; what has to be resolved waits for the environment.
func (p *Pipeline) pins(ctx context.Context, s Spec) (func(pypa.Environment) ([]lockfile.Artifact, error), error) {
	if !s.isLock() {
		return func(env pypa.Environment) ([]lockfile.Artifact, error) { return p.resolve(ctx, s, env) }, nil
	}
	lock, err := p.Locks.take(s)
	if err != nil {
		return nil, err
	}
	return func(env pypa.Environment) ([]lockfile.Artifact, error) {
		as, err := lock.Select(env)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", relTo(s.Dir, s.lockPath()), err)
		}
		return as, nil
	}, nil
}

// resolve pins the requirements and packages of a spec as the default builder would install them, for one environment.
// An image that is ready under this name keeps the answer it was made from, unless a build asks for a fresh one.
func (p *Pipeline) resolve(ctx context.Context, s Spec, env pypa.Environment) ([]lockfile.Artifact, error) {
	r := resolve.Request{
		Environment: env, Flytekit: s.Flytekit,
		// The default builder's Python comes from conda, which brings pip along; runtime_packages need it.
		Packages:         append([]string{"pip"}, s.Fields.Packages()...),
		PipExtraIndexURL: s.Fields.Texts("pip_extra_index_url"),
		Fresh:            s.Fresh, Keep: !s.Fresh && p.WasReady(s.Named.Name),
	}
	r.PipIndex, r.PipExtraArgs = s.Fields.Str("pip_index"), s.Fields.Str("pip_extra_args")
	if file := s.Fields.Requirements(); file != "" {
		path := s.lockPath()
		r.Dir = filepath.Dir(path)
		if lockfile.Kind(file) == lockfile.FormatPyproject {
			r.Pyproject = path
		} else {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if err := s.sameAsNamed(path, text); err != nil {
				return nil, err
			}
			r.Requirements = text
		}
	}
	text, _, err := p.Resolver.Resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	lock, err := lockfile.ParsePylock("pylock.toml", text)
	if err != nil {
		return nil, fmt.Errorf("read what uv resolved: %w", err)
	}
	return lock.Select(env)
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
