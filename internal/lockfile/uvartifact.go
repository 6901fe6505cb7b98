package lockfile

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// syncDir is where flytekit's default builder runs `uv sync`, so what a path in the lock is relative to
// when uv writes it to direct_url.json.
const syncDir = "/root"

// artifacts finds the file to install of each package. All that fail are reported, not the first alone.
func (u *UV) artifacts(chosen []int, env pypa.Environment) ([]Artifact, error) {
	ranks := map[pypa.Tag]int{}
	for i, t := range env.Tags() {
		ranks[t] = i
	}
	out := make([]Artifact, 0, len(chosen))
	var failed []error
	for n, i := range chosen {
		p := &u.packages[i]
		if n > 0 && u.packages[chosen[n-1]].name == p.name {
			failed = append(failed, &Error{File: uvLockFile, Line: p.line,
				Reason: fmt.Sprintf("two versions of %s are selected for %s", p.name, env)})
			continue
		}
		a, err := u.artifact(p, ranks, env)
		if err != nil {
			failed = append(failed, &Error{File: uvLockFile, Line: p.line, Reason: err.Error()})
			continue
		}
		out = append(out, a)
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return out, nil
}

func (u *UV) artifact(p *pkg, ranks map[pypa.Tag]int, env pypa.Environment) (Artifact, error) {
	a := Artifact{Name: p.name, Version: p.version}
	noWheel, noBuild := u.project.refusesWheels(p.name), u.project.refusesBuilds(p.name)
	dir, tree := p.source.tree()
	if !tree && p.source.Git == "" && !noWheel {
		best, err := bestWheel(p, ranks)
		if err != nil {
			return a, err
		}
		if best != nil {
			return a, a.setFile(p, best)
		}
	}
	switch {
	case noWheel && noBuild && !tree:
		return a, fmt.Errorf("[tool.uv] allows neither a wheel of %s nor a build of it", p.title())
	case noBuild && !tree: // uv builds local directories all the same
		return a, fmt.Errorf("no wheel of %s fits %s, and [tool.uv] does not allow to build it", p.title(), env)
	}
	a.Sdist = true
	a.Reason = p.buildReason(noWheel, env)
	if tree {
		a.Path = dir
		a.Direct = &Direct{URL: fileURL(dir), Editable: p.source.Editable != ""}
		return a, nil
	}
	if p.source.Git != "" {
		a.URL, a.Direct = p.source.Git, &Direct{URL: p.source.Git}
		return a, nil
	}
	if p.sdist == nil || p.onlyWheel() {
		return a, p.nothingFits(noWheel, env)
	}
	return a, a.setFile(p, p.sdist)
}

// setFile fills in where a wheel or a source distribution is.
func (a *Artifact) setFile(p *pkg, f *file) error {
	a.Hash, a.Size = f.Hash, f.Size
	at := f.URL
	switch {
	case p.source.URL != "":
		at = p.source.URL
		a.Direct = &Direct{URL: at}
		if p.source.Subdirectory != "" {
			a.Direct.URL += "#subdirectory=" + url.QueryEscape(p.source.Subdirectory)
		}
	case p.source.Path != "":
		at, a.Path = "", p.source.Path
		a.Direct = &Direct{URL: fileURL(a.Path)}
	case at == "" && f.Path != "":
		a.Path = f.Path
		if !path.IsAbs(f.Path) {
			a.Path = path.Join(p.source.Registry, f.Path)
		}
	}
	if rest, ok := strings.CutPrefix(at, "file://"); ok {
		name, err := url.PathUnescape(rest)
		if err != nil {
			return fmt.Errorf("package %s: read %q: %w", p.title(), at, err)
		}
		at, a.Path = "", name
	}
	a.URL = at
	if a.URL == "" && a.Path == "" {
		return fmt.Errorf("package %s: a file of it has neither a URL nor a path", p.title())
	}
	var err error
	a.Filename, err = f.name()
	if a.Filename == "" && err == nil {
		a.Filename, err = (&file{URL: a.URL, Path: a.Path}).name()
	}
	return err
}

// name returns the file's own name, "" where the lock leaves it to the package's source.
func (f *file) name() (string, error) {
	switch {
	case f.Filename != "":
		return f.Filename, nil
	case f.URL != "":
		last := f.URL
		if i := strings.IndexAny(last, "?#"); i >= 0 {
			last = last[:i]
		}
		name, err := url.PathUnescape(path.Base(last))
		if err != nil {
			return "", fmt.Errorf("read URL %q: %w", f.URL, err)
		}
		return name, nil
	case f.Path != "":
		return path.Base(f.Path), nil
	}
	return "", nil
}

// bestWheel returns the wheel whose best tag ranks first; of equals the one with the higher build tag, then the first. It
// returns nil where none fits.
func bestWheel(p *pkg, ranks map[pypa.Tag]int) (*file, error) {
	var best *file
	bestRank, bestBuild := 0, ""
	for i := range p.wheels {
		f := &p.wheels[i]
		filename, err := f.name()
		if err != nil {
			return nil, err
		}
		w, err := pypa.ParseWheelName(filename)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", p.title(), err)
		}
		if err := p.checkWheel(w, filename); err != nil {
			return nil, err
		}
		rank, fits := rankOf(w.Tags, ranks)
		if !fits {
			continue
		}
		if best == nil || rank < bestRank || rank == bestRank && pypa.CompareBuild(w.Build, bestBuild) > 0 {
			best, bestRank, bestBuild = f, rank, w.Build
		}
	}
	return best, nil
}

func rankOf(tags []pypa.Tag, ranks map[pypa.Tag]int) (best int, fits bool) {
	for _, t := range tags {
		if r, ok := ranks[t]; ok && (!fits || r < best) {
			best, fits = r, true
		}
	}
	return best, fits
}

// checkWheel refuses a wheel that is of another package or version than its entry: the lock was tampered with or badly merged.
func (p *pkg) checkWheel(w pypa.WheelName, filename string) error {
	if pypa.NormalizeName(w.Name) != p.name {
		return fmt.Errorf("package %s has a wheel of another package: %s", p.title(), filename)
	}
	if p.version == "" || w.Version == p.version {
		return nil
	}
	want, err := pypa.ParseVersion(p.version)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	got, err := pypa.ParseVersion(w.Version)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	if got.Compare(want) != 0 && got.Public().Compare(want) != 0 {
		return fmt.Errorf("package %s has a wheel of another version: %s", p.title(), filename)
	}
	return nil
}

func (p *pkg) title() string { return strings.TrimSpace(p.name + " " + p.version) }

// onlyWheel reports whether the package was locked as one wheel, so that there is no source to fall back on.
func (p *pkg) onlyWheel() bool {
	at, _, _ := strings.Cut(p.source.URL+p.source.Path, "?")
	at, _, _ = strings.Cut(at, "#")
	return strings.HasSuffix(at, ".whl")
}

func (p *pkg) nothingFits(noWheel bool, env pypa.Environment) error {
	if noWheel {
		return fmt.Errorf("[tool.uv] does not allow a wheel of %s, and the lock has no source distribution of it", p.title())
	}
	return fmt.Errorf("no wheel of %s fits %s, and the lock has no source distribution of it (it has wheels for %s)",
		p.title(), env, p.wheelTags())
}

// buildReason says why a package has to be built, and how to do without.
func (p *pkg) buildReason(noWheel bool, env pypa.Environment) string {
	const remedy = "; build a wheel of it and depend on that instead"
	switch {
	case p.source.Git != "":
		return fmt.Sprintf("%s is locked from git and has to be built from source%s", p.title(), remedy)
	case p.source.Editable != "" || p.source.Directory != "":
		dir, _ := p.source.tree()
		return fmt.Sprintf("%s is the local directory %s and has to be built from source%s", p.title(), dir, remedy)
	case noWheel:
		return fmt.Sprintf("%s has to be built from source, because no-binary of [tool.uv] says so", p.title())
	case p.source.URL != "" || p.source.Path != "":
		return fmt.Sprintf("%s is locked as a source archive and has to be built%s", p.title(), remedy)
	case len(p.wheels) == 0:
		return fmt.Sprintf("%s has no wheel, only a source distribution that has to be built%s", p.title(), remedy)
	}
	return fmt.Sprintf("no wheel of %s fits %s, so its source distribution has to be built; choose a base image that a wheel fits (it has wheels for %s)",
		p.title(), env, p.wheelTags())
}

// wheelTags names what a package's wheels are for, for messages; a few of them will do.
func (p *pkg) wheelTags() string {
	const few = 4
	var out []string
	for i := range p.wheels {
		name, err := p.wheels[i].name()
		if err != nil {
			continue
		}
		w, err := pypa.ParseWheelName(name)
		if err != nil || len(w.Tags) == 0 {
			continue
		}
		if len(out) == few {
			out = append(out, "…")
			break
		}
		out = append(out, w.Tags[0].String())
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func fileURL(p string) string {
	if !path.IsAbs(p) {
		p = path.Join(syncDir, p)
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}
