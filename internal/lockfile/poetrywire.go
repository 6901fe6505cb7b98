package lockfile

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// The types of this file are poetry.lock as it is written, in all forms since 1.0 of its version.

type wirePoetryLock struct {
	Packages []wirePoetryPackage `toml:"package"`
	Extras   map[string][]string `toml:"extras"` // of the project: names of packages
	Metadata *struct {
		Version     string                      `toml:"lock-version"`
		Python      string                      `toml:"python-versions"`
		ContentHash string                      `toml:"content-hash"`
		Files       map[string][]wirePoetryFile `toml:"files"` // until 1.1; then each package has its own
	} `toml:"metadata"`
}

type wirePoetryPackage struct {
	Name         string              `toml:"name"`
	Version      string              `toml:"version"`
	Python       string              `toml:"python-versions"`
	Groups       []string            `toml:"groups"`  // since 2.1
	Markers      any                 `toml:"markers"` // since 2.1: one for all groups, or a table of them
	Files        []wirePoetryFile    `toml:"files"`   // since 2.0
	Develop      bool                `toml:"develop"`
	Optional     bool                `toml:"optional"` // only extras of the project need it
	Dependencies map[string]any      `toml:"dependencies"`
	Extras       map[string][]string `toml:"extras"`
	Source       wirePoetrySource    `toml:"source"`
}

type wirePoetryFile struct {
	File string `toml:"file"`
	Hash string `toml:"hash"`
}

type wirePoetrySource struct {
	Type         string `toml:"type"` // "" for PyPI, legacy, url, git, directory, file
	URL          string `toml:"url"`
	Reference    string `toml:"reference"`
	Resolved     string `toml:"resolved_reference"`
	Subdirectory string `toml:"subdirectory"`
}

func decodePoetry(lock []byte) (*wirePoetryLock, error) {
	if err := checkText(poetryLockFile, lock); err != nil {
		return nil, err
	}
	var wire wirePoetryLock
	if err := toml.Unmarshal(lock, &wire); err != nil {
		return nil, tomlError(poetryLockFile, lock, err)
	}
	// The metadata stands at the end, so that a file cut between two lines lacks it.
	if wire.Metadata == nil || wire.Metadata.Version == "" || wire.Metadata.ContentHash == "" {
		return nil, &Error{File: poetryLockFile, Reason: "the file ends too early, or is not a lock of poetry: its metadata is not whole",
			Hint: "it is being written, or its writing was cut short; or run `poetry lock`"}
	}
	if v, err := pypa.ParseVersion(wire.Metadata.Version); err != nil || v.Numbers()[0] < 1 || v.Numbers()[0] > 2 {
		return nil, &Error{File: poetryLockFile, Reason: fmt.Sprintf("lock-version %s is not known here, only 1 and 2 are", wire.Metadata.Version),
			Hint: "update imgspecd, or lock with a poetry that writes a known version"}
	}
	return &wire, nil
}

// take makes a package of its written form. In files are those of the metadata; grouped says that packages have groups and markers.
func (w *wirePoetryPackage) take(files map[string][]wirePoetryFile, grouped bool) (poetryPackage, error) {
	p := poetryPackage{ident: ident{pypa.NormalizeName(w.Name), w.Version}, source: w.Source, develop: w.Develop, optional: w.Optional, files: w.Files}
	if !pypa.IsName(w.Name) {
		return p, fmt.Errorf("%q is not the name of a package", w.Name)
	}
	var err error
	if p.parsed, err = pypa.ParseVersion(w.Version); err != nil {
		return p, err
	}
	if p.python, err = parseConstraint(w.Python); err != nil && w.Python != "" {
		return p, fmt.Errorf("python-versions: %w", err)
	}
	if w.Files == nil {
		own, ok := files[w.Name]
		if !ok && p.indexed() {
			return p, errors.New("the lock does not list its files")
		}
		p.files, p.shared = own, true
	}
	for _, f := range p.files {
		if err := checkFilename(f.File); err != nil {
			return p, err
		}
	}
	if err := p.checkSource(); err != nil {
		return p, err
	}
	if grouped {
		return p, p.setGroups(w.Groups, w.Markers)
	}
	if p.deps, err = poetryDeps(w.Dependencies); err != nil {
		return p, err
	}
	return p, p.setExtras(w.Extras)
}

func (p *poetryPackage) checkSource() error {
	s := p.source
	switch s.Type {
	case "":
		return nil
	case "legacy", "url", "directory", "file":
		if s.URL == "" {
			return fmt.Errorf("its source of type %s has no URL", s.Type)
		}
		return nil
	case "git":
		if s.URL == "" || s.Resolved == "" {
			return errors.New("its git source has no URL or no commit")
		}
		return nil
	}
	return fmt.Errorf("its source is of type %q, which is not known here", s.Type)
}

// indexed reports whether a package comes from an index.
func (p *poetryPackage) indexed() bool { return p.source.Type == "" || p.source.Type == "legacy" }

// setGroups takes what 2.1 says about each group that needs the package: the marker under which it does.
func (p *poetryPackage) setGroups(groups []string, markers any) error {
	if groups == nil {
		return errors.New("it has no groups")
	}
	p.groups = map[string]pypa.Marker{}
	for _, group := range groups {
		var text string
		switch m := markers.(type) {
		case nil:
		case string:
			text = m
		case map[string]any:
			text, _ = m[group].(string)
		default:
			return errors.New("its markers are neither a text nor a table")
		}
		var marker pypa.Marker
		if text != "" && text != "*" {
			var err error
			if marker, err = pypa.ParseMarker(text); err != nil {
				return err
			}
		}
		p.groups[pypa.NormalizeName(group)] = marker
	}
	return nil
}

// extraDep is the start of what a lock says that an extra needs: a requirement, or in older locks something like one.
var extraDep = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?`)

// setExtras takes over which packages each extra needs.
func (p *poetryPackage) setExtras(wire map[string][]string) error {
	p.extras = map[string][]poetryDep{}
	for name, texts := range wire {
		name = pypa.NormalizeName(name)
		for _, text := range texts {
			m := extraDep.FindStringSubmatch(text)
			if m == nil {
				return fmt.Errorf("extra %s: %q is not a requirement", name, text)
			}
			d := poetryDep{name: pypa.NormalizeName(m[1])}
			for e := range strings.SplitSeq(m[2], ",") {
				if e = strings.TrimSpace(e); e != "" {
					d.extras = append(d.extras, pypa.NormalizeName(e))
				}
			}
			p.extras[name] = append(p.extras[name], d)
		}
	}
	return nil
}

var extraEquals = regexp.MustCompile(`\bextra\s*==\s*["']([^"']*)["']`)

// extrasOf returns the extras that a marker asks for.
func extrasOf(marker string) []string {
	var out []string
	for _, m := range extraEquals.FindAllStringSubmatch(marker, -1) {
		out = append(out, pypa.NormalizeName(m[1]))
	}
	return out
}

// ownFiles returns the files of this version: until 1.1, a lock does not tell those of several versions apart.
func (p *poetryPackage) ownFiles() []wirePoetryFile {
	if p.source.Type == "file" {
		return p.filesCalled(path.Base(p.source.URL))
	}
	if !p.shared {
		return p.files
	}
	var out []wirePoetryFile
	for _, f := range p.files {
		if v, err := pypa.ParseVersion(versionOf(f.File)); err != nil || v.Compare(p.parsed) == 0 {
			out = append(out, f)
		}
	}
	return out
}

func (p *poetryPackage) filesCalled(name string) []wirePoetryFile {
	var out []wirePoetryFile
	for _, f := range p.files {
		if f.File == name {
			out = append(out, f)
		}
	}
	return out
}

// versionOf returns the version that a file's name tells, as written.
func versionOf(filename string) string {
	if isWheel(filename) {
		if w, err := pypa.ParseWheelName(filename); err == nil {
			return w.Version
		}
		return ""
	}
	for _, ending := range sdistEndings {
		if stem, ok := strings.CutSuffix(filename, ending); ok {
			return stem[strings.LastIndexByte(stem, '-')+1:]
		}
	}
	return ""
}
