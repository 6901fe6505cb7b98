package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/project"
	"github.com/imgspecd/imgspecd/internal/store"
)

// ProjectReader is the Reader that reads for real. Its fields are set before its first use.
type ProjectReader struct {
	Projects Projects
	Locks    *Locks
	Pipeline *Pipeline // for Explain
	Machine  string    // platform.machine() of this host
	// Learned lists the specs that runs of a project asked for; nil: none are kept.
	Learned func(project string) ([]store.Learned, error)
	// Settings says what the configuration is for a directory.
	Settings func(dir string) (Settings, error)
}

// Settings are what the configuration says for one project.
type Settings struct {
	Policy   Policy
	Flytekit string   // version that names images where the project does not say one; empty: the newest known
	Files    []string // that they were read from, or would be
	Cwd      string   // working directory of runs, absolute; empty: the project's directory
	Env      map[string]string
}

// Projects finds the image specs of a project.
type Projects interface {
	Read(ctx context.Context, dir string, o project.Options) (project.Result, error)
}

// Read finds a project's image specs and names each. With an error it still says
// which files to watch for it to go away.
func (r *ProjectReader) Read(ctx context.Context, p store.Project) (Reading, error) {
	set, err := r.Settings(p.Dir)
	if err != nil {
		return Reading{Files: set.Files}, &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	found, err := r.Projects.Read(ctx, p.Dir, project.Options{Env: environment(p, set), Cwd: set.Cwd, Flytekit: set.Flytekit})
	if err != nil {
		return Reading{Files: set.Files}, err
	}
	out := Reading{
		Files: append(found.Inputs, set.Files...), Dirs: found.Dirs,
		Flytekit: found.Flytekit, FlytekitBy: found.FlytekitSource, Python: found.Python,
		Variables: variables(found.Variables, p, set),
	}
	for _, u := range found.Unreadable {
		out.Unreadable = append(out.Unreadable, api.Unreadable(u))
	}
	for _, f := range found.Specs {
		s := Spec{
			Label: f.Label, Dir: p.Dir, Cwd: f.Cwd, RunRoot: f.RunRoot, Fields: f.Spec, Source: api.Source(f.Source),
			Flytekit: found.Flytekit, Python: found.Python, Policy: set.Policy,
			Variables: variables(f.Variables, p, set),
		}
		r.name(&s)
		out.Specs = append(out.Specs, s)
	}
	if err := r.recallAll(&out, p, set); err != nil {
		return out, err
	}
	for i := range out.Specs {
		out.Specs[i].leaveToBuilder()
	}
	out.Specs = r.withBases(out.Specs)
	for _, s := range out.Specs {
		out.watch(s)
	}
	return out, nil
}

// watch adds the files that a spec depends on.
func (out *Reading) watch(s Spec) {
	for _, in := range s.Named.Inputs {
		if in.Digest != "" { // not a directory
			out.Files = append(out.Files, in.Path)
		}
	}
	out.Files = append(out.Files, s.Named.Missing...)
	out.Files = append(out.Files, s.sources...)
	out.Trees = append(out.Trees, s.Named.Dirs...)
	if s.isLock() {
		out.Files = append(out.Files, s.lockPath(), filepath.Join(filepath.Dir(s.lockPath()), "pyproject.toml"))
	} else if path := s.Fields.Requirements(); path != "" {
		out.Files = append(out.Files, s.lockPath())
		out.Files = append(out.Files, s.included...)
	}
}

// name gives a spec its name, or the reason why it has none.
func (r *ProjectReader) name(s *Spec) {
	var err error
	s.Named, err = imagespec.Name(s.Fields, imagespec.Options{
		Dir: s.Cwd, RunRoot: s.RunRoot, Flytekit: s.Flytekit, Machine: r.Machine, ReadFile: stableRead,
	})
	if err == nil {
		s.Fields = s.Named.Spec
		err = r.whole(*s)
	}
	s.fail(err)
	r.include(s)
}

// include notes the files that a requirements file names with -r and -c: flytekit's name does not see them.
func (r *ProjectReader) include(s *Spec) {
	if r.Pipeline == nil || s.Err != nil || s.isLock() || s.Fields.Requirements() == "" {
		return
	}
	req, err := s.request()
	if err != nil {
		return // the build will say it
	}
	files, _ := r.Pipeline.Resolver.Inputs(req) // as far as they can be read; the build says what cannot
	for _, f := range files {
		if f == s.lockPath() {
			continue
		}
		s.included = append(s.included, f)
		if b, err := os.ReadFile(f); err == nil {
			s.Named.Inputs = append(s.Named.Inputs, imagespec.Input{Path: f, Digest: digest(b)})
		}
	}
}

// whole says whether the lock of a spec, if it has one, is not half written.
func (r *ProjectReader) whole(s Spec) error {
	if !s.isLock() {
		return nil
	}
	return r.Locks.check(s)
}

// fail makes err, if there is one, the reason why the spec has no name.
func (s *Spec) fail(err error) {
	if err == nil {
		return
	}
	s.Err = toError(err)
	var bad *lockfile.Error
	s.Missing = errors.Is(err, fs.ErrNotExist)
	s.Half = errors.As(err, &bad) || errors.Is(err, ErrStale) || errors.Is(err, errUnsettled) || errors.Is(err, imagespec.ErrChanged)
	if s.Half || s.Missing {
		s.Named = imagespec.Named{} // not to be believed
	}
}

var errUnsettled = errors.New("it is being written")

// stableRead reads a file that does not change meanwhile.
func stableRead(path string) ([]byte, error) {
	before, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	after, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || before.Size() != after.Size() || int64(len(b)) != after.Size() {
		return nil, fmt.Errorf("read %s: %w", path, errUnsettled)
	}
	return b, nil
}
