package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/store"
)

// A package without a wheel is built into one, once for a base, and then is a wheel like any other.

// maxBuilding is how many are built at once; BuildKit has its own limit besides.
const maxBuilding = 2

// wheelsOf puts wheels in the place of artifacts that must be built. Those that are not, and may not be, are left out.
func (p *Pipeline) wheelsOf(ctx context.Context, s Spec, b *base.Base, as []lockfile.Artifact, x stepper) ([]lockfile.Artifact, []executed, error) {
	wheels, steps := slices.Clone(as), []executed(nil)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxBuilding)
	for i, a := range as {
		if !buildable(a) {
			continue
		}
		st := plan.Build(a, b.Info, "", nil, s.secrets()).On(b.Info.Digest)
		rec, done := p.Steps.Step(st.Key)
		steps = append(steps, executed{st, done})
		if !done && !x.execute {
			continue
		}
		g.Go(func() (err error) {
			if !done {
				if rec, err = p.makeWheel(gctx, s, b, a, st.Key, x); err != nil {
					return err
				}
			}
			wheels[i], err = p.Builder.Built(a, *rec.Wheel)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, nil, err
	}
	if x.execute {
		for i := range steps {
			steps[i].done = true
		}
	}
	return slices.DeleteFunc(wheels, buildable), steps, nil
}

// buildable reports whether an artifact must be built and can be: what lies in a directory of this machine, the default builder
// does not see.
func buildable(a lockfile.Artifact) bool {
	return a.Sdist && a.Source != nil && a.Source.Kind != lockfile.FromDirectory && (a.Path == "" || filepath.IsAbs(a.Path))
}

// makeWheel builds one.
func (p *Pipeline) makeWheel(ctx context.Context, s Spec, b *base.Base, a lockfile.Artifact, key string, x stepper) (rec store.StepRecord, err error) {
	unlock, err := p.executing.Lock(ctx, key)
	if err != nil {
		return rec, err
	}
	defer unlock()
	if rec, ok := p.Steps.Step(key); ok { // another build has made it meanwhile
		return rec, nil
	}
	if x.shares {
		if rec, ok := p.sharedWheel(ctx, a, key, x); ok {
			return rec, nil
		}
	}
	archive := ""
	if a.Source.Kind == lockfile.FromArchive {
		if archive, err = p.Builder.Fetch(ctx, a); err != nil {
			return rec, err
		}
	}
	uv, err := p.Builder.UV(ctx, b.Info.Platform)
	if err != nil {
		return rec, err
	}
	conf, err := p.uvConf(s)
	if err != nil {
		return rec, err
	}
	dir, err := os.MkdirTemp(p.Tmp, "wheel-*")
	if err != nil {
		return rec, err
	}
	defer os.RemoveAll(dir)
	st := plan.Build(a, b.Info, archive, conf, s.secrets()).WithUV(uv)
	if a.Source.Kind == lockfile.FromGit {
		st = st.LogIn(p.GitLogin(ctx, a.Source.Repository))
	}
	x.begin(st, ": "+a.Reason)
	if err := p.Executor.Fill(ctx, b.Image, st, dir, x.log); err != nil {
		return rec, &buildError{err}
	}
	w, err := p.Builder.KeepWheel(dir, a)
	if err != nil {
		return rec, fmt.Errorf("%s: %w", st.Title, err)
	}
	x.end(st, "made "+w.Filename)
	rec.Wheel = &w
	return rec, p.Steps.PutStep(key, rec)
}

// sharedWheel is one that somebody else has built.
func (p *Pipeline) sharedWheel(ctx context.Context, a lockfile.Artifact, key string, x stepper) (store.StepRecord, bool) {
	fits := func(rec store.StepRecord) error {
		if rec.Wheel == nil || len(rec.Layers) > 0 {
			return errors.New("it is not a wheel alone")
		}
		w, err := pypa.ParseWheelName(rec.Wheel.Filename)
		if err == nil && pypa.NormalizeName(w.Name) != a.Name {
			err = fmt.Errorf("%s is no wheel of %s", rec.Wheel.Filename, a.Name)
		}
		return err
	}
	rec, ok := p.Team.Step(ctx, key, fits, x.note)
	if ok {
		x.note("the wheel " + rec.Wheel.Filename + " is from the team cache")
	}
	return rec, ok
}

// buildError is a package that could not be built.
type buildError struct{ err error }

func (e *buildError) Error() string { return e.err.Error() }
func (e *buildError) Unwrap() error { return e.err }

// uvIndex is one of uv.toml's [[index]].
type uvIndex struct {
	URL     string `toml:"url"`
	Default bool   `toml:"default,omitempty"`
}

// uvConf is a uv.toml with the indexes that a build takes its requirements from. It may hold logins, and is a secret of the step.
func (p *Pipeline) uvConf(s Spec) ([]byte, error) {
	var conf struct {
		Index []uvIndex `toml:"index"`
	}
	add := func(url string, last bool) { conf.Index = append(conf.Index, uvIndex{url, last}) }
	if s.isLock() {
		project, err := os.ReadFile(filepath.Join(filepath.Dir(s.lockPath()), "pyproject.toml"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		named, err := index.FromPyproject(project)
		if err == nil { // of a file that cannot be read, the lock has told
			for _, i := range named {
				add(i.URL, false)
			}
		}
	}
	for _, url := range s.Fields.Texts("pip_extra_index_url") {
		add(url, false)
	}
	last := s.Fields.Str("pip_index")
	for n, i := range p.Indexes { // the default one is the last
		if n < len(p.Indexes)-1 {
			add(i.URL, false)
		} else if last == "" {
			last = i.URL
		}
	}
	if last != "" {
		add(last, true)
	}
	return toml.Marshal(conf)
}

// secrets are the spec's pip_secret_mounts: files of this machine that installing sees.
func (s Spec) secrets() []plan.Secret {
	var out []plan.Secret
	for _, m := range s.Fields.SecretMounts() {
		source := m[0]
		if !filepath.IsAbs(source) {
			source = filepath.Join(s.Cwd, source)
		}
		out = append(out, plan.Secret{Source: source, Target: m[1]})
	}
	return out
}
