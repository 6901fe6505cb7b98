package lockfile

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

const poetryLockFile = "poetry.lock"

// Poetry is a poetry.lock together with the project file beside it.
type Poetry struct {
	requiresPython string
	python         constraint
	grouped        bool // each package says which groups need it and when; else the dependencies have to be followed
	packages       []poetryPackage
	byName         map[string][]int
	extras         map[string][]string // of the project, with the names of the packages that each adds
	project        poetryProject
}

// poetryPackage is one [[package]].
type poetryPackage struct {
	ident
	line    int
	parsed  pypa.Version
	python  constraint
	source  wirePoetrySource
	develop bool
	// optional says that it is there for an extra of the project only; until 2.0, nothing else does
	optional bool
	files    []wirePoetryFile
	shared   bool // files may hold those of other versions
	groups   map[string]pypa.Marker
	deps     []poetryDep
	extras   map[string][]poetryDep
}

// RequiresPython returns the project's bounds on Python as poetry writes them: ">=3.10,<4.0", but also "^3.10".
func (l *Poetry) RequiresPython() string { return l.requiresPython }

// Version returns the locked version of a package, "" if the lock has none; the highest where it has several.
func (l *Poetry) Version(name string) string {
	var all []string
	for _, i := range l.byName[pypa.NormalizeName(name)] {
		all = append(all, l.packages[i].version)
	}
	return highest(all)
}

// ParsePoetry reads a poetry.lock and the pyproject.toml beside it, and checks that the lock is whole and not behind its project.
func ParsePoetry(lock, pyproject []byte) (*Poetry, error) {
	wire, err := decodePoetry(lock)
	if err != nil {
		return nil, err
	}
	doc, err := decodeDocument(pyprojectFile, pyproject)
	if err != nil {
		return nil, err
	}
	l := &Poetry{requiresPython: wire.Metadata.Python, byName: map[string][]int{}, extras: map[string][]string{}}
	for name, packages := range wire.Extras {
		l.extras[pypa.NormalizeName(name)] = normalized(packages)
	}
	if l.project, err = parsePoetryProject(doc); err != nil {
		return nil, &Error{File: pyprojectFile, Reason: err.Error()}
	}
	header, _, _ := bytes.Cut(lock, []byte("\n"))
	switch ok, err := fresh(doc, wire.Metadata.ContentHash, string(header)); {
	case err != nil:
		return nil, &Error{File: pyprojectFile, Reason: err.Error()}
	case !ok:
		return nil, &Error{File: poetryLockFile, Reason: "pyproject.toml changed since the lock was made, so that poetry does not install from it",
			Hint: "run `poetry lock`"}
	}
	if l.python, err = parseConstraint(wire.Metadata.Python); err != nil {
		return nil, &Error{File: poetryLockFile, Reason: "python-versions: " + err.Error()}
	}
	version, err := pypa.ParseVersion(wire.Metadata.Version)
	if err != nil {
		return nil, &Error{File: poetryLockFile, Reason: err.Error()}
	}
	numbers := append(version.Numbers(), 0)
	l.grouped = numbers[0] == 2 && numbers[1] >= 1
	lines := headerLines(lock, "[[package]]")
	for i := range wire.Packages {
		line := 0
		if i < len(lines) {
			line = lines[i]
		}
		w := &wire.Packages[i]
		p, err := w.take(wire.Metadata.Files, l.grouped)
		if err != nil {
			return nil, &Error{File: poetryLockFile, Line: line, Reason: fmt.Sprintf("package %s: %v", w.Name, err)}
		}
		p.line = line
		l.byName[p.name] = append(l.byName[p.name], i)
		l.packages = append(l.packages, p)
	}
	return l, nil
}

// Select returns what `poetry install --no-root` installs in an environment, sorted by name: the dependencies of the group main and
// of all other groups that are not optional, dev among them, without extras; and what is chosen otherwise.
func (l *Poetry) Select(env pypa.Environment, choice Choice) ([]Artifact, error) {
	part, err := l.part(choice)
	if err != nil {
		return nil, err
	}
	if _, _, err := env.PythonMinor(); err != nil {
		return nil, fmt.Errorf("select from %s: %w", poetryLockFile, err)
	}
	python, err := pypa.ParseVersion(env.Python)
	if err != nil {
		return nil, err
	}
	if !l.python.allows(python.Release()) {
		return nil, &Error{File: poetryLockFile,
			Reason: fmt.Sprintf("the project requires Python %s, but the base image has Python %s", l.requiresPython, env.Python),
			Hint:   "choose a base image or python_version that the project allows, or change what it requires and run `poetry lock`"}
	}
	var chosen []int
	if l.grouped {
		chosen, err = l.chosenByMarkers(env, part)
	} else {
		chosen, err = l.chosenByWalk(env, python.Release(), part)
	}
	if err != nil {
		return nil, err
	}
	c := newChooser(env)
	c.buildFirst = true
	out := make([]Artifact, 0, len(chosen))
	var failed []error
	for _, i := range chosen {
		p := &l.packages[i]
		if choice.NoLocal && p.source.Type == "directory" {
			continue
		}
		a, err := p.artifact(c)
		if err != nil {
			failed = append(failed, &Error{File: poetryLockFile, Line: p.line, Reason: err.Error()})
			continue
		}
		out = append(out, a)
	}
	failed = append(failed, sortArtifacts(poetryLockFile, out, env)...)
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return out, nil
}

// chosenByMarkers asks each package whether a group that is installed needs it here.
func (l *Poetry) chosenByMarkers(env pypa.Environment, part poetryPart) ([]int, error) {
	vars := env.Markers()
	var out []int
	for i := range l.packages {
		p := &l.packages[i]
		var unknown error
		for _, group := range part.groups {
			marker, ok := p.groups[group]
			if !ok {
				continue
			}
			holds, err := marker.Decide(vars, part.extras...)
			if err != nil {
				unknown = err
			}
			if holds {
				out, unknown = append(out, i), nil
				break
			}
		}
		if unknown != nil {
			return nil, &Error{File: poetryLockFile, Line: p.line, Reason: fmt.Sprintf("package %s: %v", p.name, unknown)}
		}
	}
	return out, nil
}

// artifact finds the file to install of a package.
func (p *poetryPackage) artifact(c chooser) (Artifact, error) {
	a := Artifact{Name: p.name, Version: p.version}
	switch p.source.Type {
	case "git":
		a.URL = gitURL(p.source.URL, p.source.Reference, p.source.Subdirectory, p.source.Resolved)
		git := gitSource(a.URL)
		git.Editable = p.develop
		a.build(p.fromGit(), git)
		a.Direct = git.direct()
		return a, nil
	case "directory":
		a.build(p.fromDirectory(p.source.URL), directorySource(p.source.URL, p.develop))
		a.Path = p.source.URL
		a.Direct = &Direct{URL: fileURL(a.Path), Editable: p.develop}
		return a, nil
	case "url", "file":
		return a, p.setArchive(&a, c)
	}
	return a, p.setIndexed(&a, c)
}

// setArchive fills in the one file that a package was locked as.
func (p *poetryPackage) setArchive(a *Artifact, c chooser) (err error) {
	if p.source.Type == "file" {
		a.Path = p.source.URL
		a.Direct = &Direct{URL: fileURL(a.Path)}
	} else {
		a.URL = p.source.URL
		a.Direct = &Direct{URL: withoutLogin(a.URL)}
	}
	a.Direct.URL += subdirectory(p.source.Subdirectory)
	if a.Filename, err = lastOfURL(p.source.URL); err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	switch own := p.filesCalled(a.Filename); {
	case len(own) > 0:
		a.Hash = own[0].Hash
	case len(p.files) == 1:
		a.Hash = p.files[0].Hash
	}
	if !isWheel(a.Filename) {
		a.build(p.fromArchive(), archiveSource(NotAWheel, p.source.Subdirectory))
		return nil
	}
	best, err := c.wheel(p.ident, []string{a.Filename})
	if err == nil && best < 0 {
		err = p.nothingFits([]string{a.Filename}, c.env)
	}
	return err
}

// setIndexed fills in which of an index's files is taken. Where that is, only the index knows.
func (p *poetryPackage) setIndexed(a *Artifact, c chooser) error {
	var wheels []string
	var of []wirePoetryFile
	var sdist *wirePoetryFile
	own := p.ownFiles()
	for i, f := range own {
		switch {
		case isWheel(f.File):
			if _, err := pypa.ParseWheelName(f.File); err != nil {
				continue // names from before PEP 427, which fit nothing
			}
			wheels, of = append(wheels, f.File), append(of, f)
		case sdist == nil && isSdist(f.File):
			sdist = &own[i]
		}
	}
	best, err := c.wheel(p.ident, wheels)
	if err != nil {
		return err
	}
	switch {
	case best >= 0:
		a.Filename, a.Hash = of[best].File, of[best].Hash
	case sdist != nil:
		a.Filename, a.Hash = sdist.File, sdist.Hash
		a.build(p.fromSdist(wheels, c.env), archiveSource(lacksWheel(wheels), ""))
	default:
		return p.nothingFits(wheels, c.env)
	}
	if p.source.Type == "legacy" {
		a.Index = p.source.URL
	}
	return nil
}
