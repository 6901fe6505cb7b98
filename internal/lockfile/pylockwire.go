package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// The types of this file are pylock.toml as it is written (PEP 751), without what does not decide what is installed.

type wirePylock struct {
	Version        string       `toml:"lock-version"`
	CreatedBy      string       `toml:"created-by"`
	RequiresPython string       `toml:"requires-python"`
	Environments   []string     `toml:"environments"`
	DefaultGroups  []string     `toml:"default-groups"`
	Packages       []wireLocked `toml:"packages"`
}

type wireLocked struct {
	Name           string           `toml:"name"`
	Version        string           `toml:"version"`
	Marker         string           `toml:"marker"`
	RequiresPython string           `toml:"requires-python"`
	VCS            *wireVCS         `toml:"vcs"`
	Directory      *wireDirectory   `toml:"directory"`
	Archive        *wireArchive     `toml:"archive"`
	Index          string           `toml:"index"`
	Sdist          *wirePylockFile  `toml:"sdist"`
	Wheels         []wirePylockFile `toml:"wheels"`
}

type wireVCS struct {
	Type         string `toml:"type"`
	URL          string `toml:"url"`
	Path         string `toml:"path"`
	Requested    string `toml:"requested-revision"`
	Commit       string `toml:"commit-id"`
	Subdirectory string `toml:"subdirectory"`
}

type wireDirectory struct {
	Path         string `toml:"path"`
	Editable     bool   `toml:"editable"`
	Subdirectory string `toml:"subdirectory"`
}

type wireArchive struct {
	wirePylockFile
	Subdirectory string `toml:"subdirectory"`
}

type wirePylockFile struct {
	Name   string            `toml:"name"`
	URL    string            `toml:"url"`
	Path   string            `toml:"path"` // relative to the lock
	Size   int64             `toml:"size"`
	Hashes map[string]string `toml:"hashes"`
}

func decodePylock(name string, data []byte) (*wirePylock, error) {
	if err := checkText(name, data); err != nil {
		return nil, err
	}
	var wire wirePylock
	if err := toml.Unmarshal(data, &wire); err != nil {
		return nil, tomlError(name, data, err)
	}
	major, _, _ := strings.Cut(wire.Version, ".")
	switch {
	case wire.Version == "":
		return nil, &Error{File: name, Reason: "it has no lock-version, so it is not a lock of PEP 751"}
	case major != "1":
		return nil, &Error{File: name, Reason: fmt.Sprintf("lock-version %s is not known here, only 1.0 is", wire.Version),
			Hint: "update imgspecd, or lock with a tool that writes the known version"}
	case wire.CreatedBy == "":
		return nil, &Error{File: name, Reason: "created-by is missing"}
	case wire.Packages == nil:
		return nil, &Error{File: name, Reason: "packages is missing", Hint: "it is being written, or its writing was cut short"}
	}
	return &wire, nil
}

// checkText refuses what is no lock at all, in words that tell more than a syntax error would.
func checkText(name string, data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return &Error{File: name, Reason: "the file is empty", Hint: "lock again"}
	}
	if line := conflictMarker(data); line > 0 {
		return &Error{File: name, Line: line, Reason: "a merge conflict is not resolved", Hint: "check out one side of the file and lock again"}
	}
	return nil
}

// check takes a package over, if it is whole and has one source.
func (w *wireLocked) check() (pylockPackage, error) {
	p := pylockPackage{ident: ident{pypa.NormalizeName(w.Name), w.Version}, vcs: w.VCS, directory: w.Directory, archive: w.Archive,
		index: w.Index, sdist: w.Sdist, wheels: w.Wheels}
	if !pypa.IsName(w.Name) {
		return p, fmt.Errorf("%q is not the name of a package", w.Name)
	}
	err := w.checkSources()
	if err == nil && w.Version != "" {
		_, err = pypa.ParseVersion(w.Version)
	}
	if err == nil && w.Marker != "" {
		p.marker, err = pypa.ParseMarker(w.Marker)
	}
	if err == nil {
		p.python, err = pypa.ParseSpecifiers(w.RequiresPython)
	}
	for i := range w.Wheels {
		if err != nil {
			break
		}
		var name string
		if name, err = w.Wheels[i].name(); err == nil {
			_, err = pypa.ParseWheelName(name)
		}
		p.wheelName = append(p.wheelName, name)
	}
	if err != nil {
		err = fmt.Errorf("package %s: %w", p.title(), err)
	}
	return p, err
}

func (w *wireLocked) checkSources() error {
	sources := 0
	for _, have := range [...]bool{w.VCS != nil, w.Directory != nil, w.Archive != nil, w.Sdist != nil || len(w.Wheels) > 0} {
		if have {
			sources++
		}
	}
	switch {
	case sources == 0:
		return errors.New("it has no source: neither vcs, directory, archive, sdist nor wheels")
	case sources > 1:
		return errors.New("it has more than one source: vcs, directory, archive, and sdist with wheels exclude each other")
	case w.VCS != nil:
		return w.VCS.check()
	case w.Directory != nil && w.Directory.Path == "":
		return errors.New("directory has no path")
	case w.Archive != nil:
		return w.Archive.check()
	case w.Sdist != nil:
		if err := w.Sdist.check(); err != nil {
			return fmt.Errorf("sdist: %w", err)
		}
	}
	for i := range w.Wheels {
		if err := w.Wheels[i].check(); err != nil {
			return fmt.Errorf("wheels: %w", err)
		}
	}
	return nil
}

func (v *wireVCS) check() error {
	switch {
	case v.URL == "" && v.Path == "":
		return errors.New("vcs has neither a URL nor a path")
	case v.Commit == "":
		return errors.New("vcs has no commit-id")
	case v.Type != "git":
		return fmt.Errorf("vcs is of type %q, but only git is supported", v.Type)
	}
	return nil
}

// url returns the place in the one form that git sources have here, uv.lock's: URL?rev=…&subdirectory=…#commit.
func (v *wireVCS) url() string {
	at := v.URL
	if at == "" {
		at = fileURL(v.Path)
	}
	return gitURL(at, v.Requested, v.Subdirectory, v.Commit)
}

func gitURL(at, rev, subdirectory, commit string) string {
	var query []string
	if subdirectory != "" {
		query = append(query, "subdirectory="+url.QueryEscape(subdirectory))
	}
	if rev != "" {
		query = append(query, "rev="+url.QueryEscape(rev))
	}
	if len(query) > 0 {
		at += "?" + strings.Join(query, "&")
	}
	return at + "#" + commit
}

// subdirectory returns the fragment of a URL that says where in an archive a project lies.
func subdirectory(dir string) string {
	if dir == "" {
		return ""
	}
	return "#subdirectory=" + url.QueryEscape(dir)
}

func (d *wireDirectory) dir() string { return path.Join(d.Path, d.Subdirectory) }

func (f *wirePylockFile) check() error {
	if f.URL == "" && f.Path == "" {
		return errors.New("a file has neither a URL nor a path")
	}
	if len(f.Hashes) == 0 {
		return errors.New("a file has no hash")
	}
	name, err := f.name()
	if err != nil {
		return err
	}
	return checkFilename(name)
}

func (f *wirePylockFile) name() (string, error) {
	switch {
	case f.Name != "":
		return f.Name, nil
	case f.URL != "":
		return lastOfURL(f.URL)
	}
	return path.Base(f.Path), nil
}

// hash returns the best hash: sha256, which everything here can check, else one of the others.
func (f *wirePylockFile) hash() string {
	for _, algorithm := range append([]string{"sha256"}, slices.Sorted(maps.Keys(f.Hashes))...) {
		if h := f.Hashes[algorithm]; h != "" {
			return algorithm + ":" + h
		}
	}
	return ""
}

// localFile turns a URL of this machine into a path; a path it leaves.
func localFile(at, address string) (string, string, error) {
	rest, ok := strings.CutPrefix(address, "file://")
	if !ok {
		return at, address, nil
	}
	name, err := url.PathUnescape(rest)
	if err != nil {
		return "", "", fmt.Errorf("read %q: %w", address, err)
	}
	return name, "", nil
}
