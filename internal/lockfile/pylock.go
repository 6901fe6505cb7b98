package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Pylock is a pylock.toml (PEP 751).
type Pylock struct {
	file           string
	requiresPython string
	python         pypa.Specifiers
	environments   []pypa.Marker
	groups         []string // those installed by default
	packages       []pylockPackage
}

// pylockPackage is one [[packages]].
type pylockPackage struct {
	ident
	line      int
	marker    pypa.Marker
	python    pypa.Specifiers
	vcs       *wireVCS
	directory *wireDirectory
	archive   *wireArchive
	index     string
	sdist     *wirePylockFile
	wheels    []wirePylockFile
	wheelName []string // of wheels, in the same order
}

// RequiresPython returns the lock's bounds on Python, "" if it has none.
func (l *Pylock) RequiresPython() string { return l.requiresPython }

// Version returns the locked version of a package, "" if the lock has none; the highest where it has several.
func (l *Pylock) Version(name string) string {
	name = pypa.NormalizeName(name)
	var all []string
	for i := range l.packages {
		if l.packages[i].name == name {
			all = append(all, l.packages[i].version)
		}
	}
	return highest(all)
}

// highest returns the highest of some versions, "" where none of them is one.
func highest(versions []string) string {
	best, at := "", pypa.Version{}
	for _, text := range versions {
		v, err := pypa.ParseVersion(text)
		if err == nil && (best == "" || v.Compare(at) > 0) {
			best, at = text, v
		}
	}
	return best
}

// Select returns what an installer takes from the lock in an environment, sorted by name: without extras, and with the groups that
// are installed by default. It is the algorithm of PEP 751, with uv's choice of wheels;
// no tool with arguments of its own stands behind it, so that there is no choice.
func (l *Pylock) Select(env pypa.Environment, _ Choice) ([]Artifact, error) {
	if _, _, err := env.PythonMinor(); err != nil {
		return nil, fmt.Errorf("select from %s: %w", l.file, err)
	}
	python, err := pypa.ParseVersion(env.Python)
	if err != nil {
		return nil, err
	}
	vars := env.Markers()
	vars["dependency_groups"] = strings.Join(l.groups, ",")
	if err := l.checkEnvironment(env, python, vars); err != nil {
		return nil, err
	}
	c := newChooser(env)
	var out []Artifact
	var failed []error
	for i := range l.packages {
		p := &l.packages[i]
		a, err := p.take(c, python, vars)
		switch {
		case err != nil:
			failed = append(failed, l.errorAt(p.line, err))
		case a != nil:
			out = append(out, *a)
		}
	}
	failed = append(failed, sortArtifacts(l.file, out, env)...)
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return out, nil
}

// sortArtifacts sorts by name, and finds names that are there twice.
func sortArtifacts(file string, out []Artifact, env pypa.Environment) []error {
	slices.SortStableFunc(out, func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
	var failed []error
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			failed = append(failed, &Error{File: file, Reason: fmt.Sprintf("two versions of %s are selected for %s", out[i].Name, env)})
		}
	}
	return failed
}

func (l *Pylock) errorAt(line int, err error) error {
	return &Error{File: l.file, Line: line, Reason: err.Error()}
}

func (l *Pylock) checkEnvironment(env pypa.Environment, python pypa.Version, vars map[string]string) error {
	if !l.python.Contains(python.Release()) {
		return &Error{File: l.file,
			Reason: fmt.Sprintf("the lock requires Python %s, but the base image has Python %s", l.requiresPython, env.Python),
			Hint:   "choose a base image or python_version within requires-python, or lock again"}
	}
	if len(l.environments) == 0 {
		return nil
	}
	var texts []string
	for _, m := range l.environments {
		if m.Eval(vars) {
			return nil
		}
		texts = append(texts, m.String())
	}
	return &Error{File: l.file, Reason: fmt.Sprintf("the lock is for other environments than %s: %s", env, strings.Join(texts, "; ")),
		Hint: "lock again for this one"}
}

// take returns the file of a package to install, nil where its marker does not hold.
func (p *pylockPackage) take(c chooser, python pypa.Version, vars map[string]string) (*Artifact, error) {
	ok, err := p.marker.Decide(vars)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.title(), err)
	}
	if !ok {
		return nil, nil
	}
	if !p.python.Contains(python.Release()) {
		return nil, fmt.Errorf("package %s requires Python %s, but the base image has Python %s", p.title(), p.python, c.env.Python)
	}
	a := &Artifact{Name: p.name, Version: p.version}
	switch {
	case p.vcs != nil:
		a.URL = p.vcs.url()
		git := gitSource(a.URL)
		a.build(p.fromGit(), git)
		a.Direct = git.direct()
		return a, nil
	case p.directory != nil:
		dir := p.directory.dir()
		a.build(p.fromDirectory(dir), directorySource(dir, p.directory.Editable))
		a.Path = dir
		a.Direct = &Direct{URL: fileURL(dir), Editable: p.directory.Editable}
		return a, nil
	case p.archive != nil:
		return a, p.takeArchive(a, c)
	}
	return a, p.takeDistribution(a, c)
}

func (p *pylockPackage) takeArchive(a *Artifact, c chooser) error {
	f := p.archive.wirePylockFile
	if err := a.setPylockFile(&f); err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	a.Direct = &Direct{URL: withoutLogin(a.URL)}
	if a.Path != "" {
		a.Direct.URL = fileURL(a.Path)
	}
	a.Direct.URL += subdirectory(p.archive.Subdirectory)
	if !isWheel(a.Filename) {
		a.build(p.fromArchive(), archiveSource(NotAWheel, p.archive.Subdirectory))
		return nil
	}
	best, err := c.wheel(p.ident, []string{a.Filename})
	if err == nil && best < 0 {
		err = p.nothingFits([]string{a.Filename}, c.env)
	}
	return err
}

func (p *pylockPackage) takeDistribution(a *Artifact, c chooser) error {
	best, err := c.wheel(p.ident, p.wheelName)
	if err != nil {
		return err
	}
	f := p.sdist
	if best >= 0 {
		f = &p.wheels[best]
	}
	if f == nil {
		return p.nothingFits(p.wheelName, c.env)
	}
	if best < 0 {
		a.build(p.fromSdist(p.wheelName, c.env), archiveSource(lacksWheel(p.wheelName), ""))
	}
	if err := a.setPylockFile(f); err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	return nil
}

// setPylockFile fills in where a file is. Where there are a URL and a path, the URL is taken, as uv does.
func (a *Artifact) setPylockFile(f *wirePylockFile) (err error) {
	a.Hash, a.Size = f.hash(), f.Size
	a.URL = f.URL
	if a.URL == "" {
		a.Path = f.Path
	}
	if a.Path, a.URL, err = localFile(a.Path, a.URL); err != nil {
		return err
	}
	a.Filename, err = f.name()
	return err
}

// ParsePylock reads a pylock.toml, whose own name messages tell: it may also be called pylock.NAME.toml.
func ParsePylock(name string, data []byte) (*Pylock, error) {
	wire, err := decodePylock(name, data)
	if err != nil {
		return nil, err
	}
	l := &Pylock{file: name, requiresPython: wire.RequiresPython, groups: wire.DefaultGroups}
	if l.python, err = pypa.ParseSpecifiers(wire.RequiresPython); err != nil {
		return nil, &Error{File: name, Reason: "requires-python: " + err.Error()}
	}
	for _, text := range wire.Environments {
		m, err := pypa.ParseMarker(text)
		if err != nil {
			return nil, &Error{File: name, Reason: "environments: " + err.Error()}
		}
		l.environments = append(l.environments, m)
	}
	lines := headerLines(data, "[[packages]]")
	for i, w := range wire.Packages {
		p, err := w.check()
		if i < len(lines) {
			p.line = lines[i]
		}
		if err != nil {
			return nil, l.errorAt(p.line, err)
		}
		l.packages = append(l.packages, p)
	}
	return l, nil
}

// headerLines returns the line of each header of a table, in order.
func headerLines(data []byte, headers ...string) []int {
	var lines []int
	line := 0
	for text := range bytes.Lines(data) {
		line++
		for _, h := range headers {
			if bytes.HasPrefix(text, []byte(h)) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
