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
func (u *UV) artifacts(chosen []int, env pypa.Environment, choice Choice) ([]Artifact, error) {
	policy := u.project.with(choice)
	c := newChooser(env)
	out := make([]Artifact, 0, len(chosen))
	var failed []error
	for n, i := range chosen {
		p := &u.packages[i]
		if n > 0 && u.packages[chosen[n-1]].name == p.name {
			failed = append(failed, &Error{File: uvLockFile, Line: p.line,
				Reason: fmt.Sprintf("two versions of %s are selected for %s", p.name, env)})
			continue
		}
		a, err := p.artifact(c, &policy)
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

func (p *pkg) artifact(c chooser, policy *buildPolicy) (Artifact, error) {
	a := Artifact{Name: p.name, Version: p.version}
	wheels, err := p.wheelNames()
	if err != nil {
		return a, err
	}
	noWheel, noBuild := policy.refusesWheels(p.name), policy.refusesBuilds(p.name)
	dir, tree := p.source.tree()
	if !tree && p.source.Git == "" && !noWheel {
		best, err := c.wheel(p.ident, wheels)
		if err != nil {
			return a, err
		}
		if best >= 0 {
			return a, a.setFile(p, &p.wheels[best])
		}
	}
	switch {
	case noWheel && noBuild && p.source.Editable == "":
		return a, fmt.Errorf("no-binary and no-build allow neither a wheel of %s nor a build of it", p.title())
	case noBuild && p.source.Editable == "": // uv builds what is editable all the same
		return a, fmt.Errorf("no wheel of %s fits %s, and no-build does not allow to build it", p.title(), c.env)
	}
	a.build(p.buildReason(noWheel, wheels, c.env), p.buildSource(noWheel, wheels))
	if tree {
		link := p.source.Editable != "" && policy.links(p.name)
		a.Source.Editable = link
		a.Path = dir
		a.Direct = &Direct{URL: fileURL(dir), Editable: link}
		return a, nil
	}
	if p.source.Git != "" {
		a.URL, a.Direct = p.source.Git, gitSource(p.source.Git).direct()
		return a, nil
	}
	switch onlyWheels := p.sdist == nil || p.onlyWheel(); {
	case onlyWheels && noWheel:
		return a, fmt.Errorf("no-binary does not allow a wheel of %s, and the lock has no source distribution of it", p.title())
	case onlyWheels:
		return a, p.nothingFits(wheels, c.env)
	}
	return a, a.setFile(p, p.sdist)
}

func (p *pkg) wheelNames() ([]string, error) {
	names := make([]string, len(p.wheels))
	for i := range p.wheels {
		var err error
		if names[i], err = p.wheels[i].name(); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// setFile fills in where a wheel or a source distribution is.
func (a *Artifact) setFile(p *pkg, f *file) error {
	a.Hash, a.Size = f.Hash, f.Size
	at := f.URL
	switch {
	case p.source.URL != "":
		at = p.source.URL
		a.Direct = &Direct{URL: withoutLogin(at) + subdirectory(p.source.Subdirectory)}
	case p.source.Path != "":
		at, a.Path = "", p.source.Path
		a.Direct = &Direct{URL: fileURL(a.Path)}
	case at == "" && f.Path != "":
		a.Path = f.Path
		if !path.IsAbs(f.Path) {
			a.Path = path.Join(p.source.Registry, f.Path)
		}
	}
	var err error
	if a.Path, at, err = localFile(a.Path, at); err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	a.URL = at
	if a.URL == "" && a.Path == "" {
		return fmt.Errorf("package %s: a file of it has neither a URL nor a path", p.title())
	}
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
		return lastOfURL(f.URL)
	case f.Path != "":
		return path.Base(f.Path), nil
	}
	return "", nil
}

// lastOfURL returns the file name that a URL ends in.
func lastOfURL(text string) (string, error) {
	last := text
	if i := strings.IndexAny(last, "?#"); i >= 0 {
		last = last[:i]
	}
	name, err := url.PathUnescape(path.Base(last))
	if err != nil {
		return "", fmt.Errorf("read URL %q: %w", text, err)
	}
	return name, nil
}

// onlyWheel reports whether the package was locked as one wheel, so that there is no source to fall back on.
func (p *pkg) onlyWheel() bool {
	at, _, _ := strings.Cut(p.source.URL+p.source.Path, "?")
	at, _, _ = strings.Cut(at, "#")
	return strings.HasSuffix(at, ".whl")
}

// buildReason says why a package has to be built, and how to do without.
func (p *pkg) buildReason(noWheel bool, wheels []string, env pypa.Environment) string {
	switch {
	case p.source.Git != "":
		return p.fromGit()
	case p.source.Editable != "" || p.source.Directory != "":
		dir, _ := p.source.tree()
		return p.fromDirectory(dir)
	case noWheel:
		return fmt.Sprintf("%s has to be built from source, because no-binary says so", p.title())
	case p.source.URL != "" || p.source.Path != "":
		return p.fromArchive()
	}
	return p.fromSdist(wheels, env)
}

// buildSource says what a package is built from, and why it is.
func (p *pkg) buildSource(noWheel bool, wheels []string) Source {
	dir, tree := p.source.tree()
	switch {
	case tree:
		return directorySource(dir, p.source.Editable != "")
	case p.source.Git != "":
		return gitSource(p.source.Git)
	case noWheel:
		return archiveSource(WheelsRefused, p.source.Subdirectory)
	case p.source.URL != "" || p.source.Path != "":
		return archiveSource(NotAWheel, p.source.Subdirectory)
	}
	return archiveSource(lacksWheel(wheels), "")
}

func fileURL(p string) string {
	if !path.IsAbs(p) {
		p = path.Join(syncDir, p)
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}
