package lockfile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// uvLockVersion is the one version of uv.lock's form that there has been. Its revisions only
// add what an older reader can leave out, so that any revision will do.
const uvLockVersion = 1

// ParseUV reads a uv.lock and the pyproject.toml beside it, and checks that the lock is whole. Without a
// pyproject (nil), the project is the package whose source is the lock's own directory.
func ParseUV(lock, pyproject []byte) (*UV, error) {
	wire, err := decodeUV(lock)
	if err != nil {
		return nil, err
	}
	b := uvBuilder{
		u:       &UV{revision: wire.Revision, requiresPython: wire.RequiresPython, conflicts: wire.Conflicts, members: wire.Manifest.Members},
		lines:   headerLines(lock, "[[package]]", "[[distribution]]"),
		markers: map[string]pypa.Marker{},
	}
	if b.u.project, err = parsePyproject(pyproject); err != nil {
		return nil, err
	}
	if b.u.python, err = pypa.ParseSpecifiers(wire.RequiresPython); err != nil {
		return nil, &Error{File: uvLockFile, Reason: "requires-python: " + err.Error()}
	}
	if b.u.supported, err = b.markerList(wire.SupportedMarkers); err != nil {
		return nil, &Error{File: uvLockFile, Reason: "supported-markers: " + err.Error()}
	}
	if err := b.packages(wire.Packages); err != nil {
		return nil, err
	}
	if err := b.manifestGroups(wire.Manifest.Groups); err != nil {
		return nil, err
	}
	if b.u.root, err = b.u.findRoot(pyproject != nil); err != nil {
		return nil, err
	}
	if pyproject == nil {
		if err := b.u.project.setDefaultGroups(wire.defaultGroups(b.u.root)); err != nil {
			return nil, &Error{File: uvLockFile, Reason: err.Error()}
		}
	}
	if err := b.u.checkWhole(); err != nil {
		return nil, err
	}
	return b.u, nil
}

// decodeUV reads the TOML, after the checks that tell more than a syntax error would.
func decodeUV(lock []byte) (*wireLock, error) {
	if len(bytes.TrimSpace(lock)) == 0 {
		return nil, &Error{File: uvLockFile, Reason: "the file is empty", Hint: "run `uv lock`"}
	}
	if line := conflictMarker(lock); line > 0 {
		return nil, &Error{File: uvLockFile, Line: line, Reason: "a merge conflict is not resolved",
			Hint: "check out one side of the file and run `uv lock`"}
	}
	var wire wireLock
	if err := toml.Unmarshal(lock, &wire); err != nil {
		// A version to come may have another form altogether: that is the better reason.
		var version struct {
			Version *int64 `toml:"version"`
		}
		if toml.Unmarshal(lock, &version) == nil && version.Version != nil && *version.Version != uvLockVersion {
			return nil, unknownVersion(*version.Version)
		}
		return nil, tomlError(uvLockFile, lock, err)
	}
	switch {
	case wire.Version == nil:
		return nil, &Error{File: uvLockFile, Reason: "it has no version, so it is not a lock of uv", Hint: "run `uv lock`"}
	case *wire.Version != uvLockVersion:
		return nil, unknownVersion(*wire.Version)
	case wire.RequiresPython == "":
		return nil, &Error{File: uvLockFile, Reason: "requires-python is missing", Hint: "run `uv lock`"}
	}
	wire.Packages = append(wire.Packages, wire.Distributions...)
	return &wire, nil
}

func unknownVersion(v int64) error {
	return &Error{File: uvLockFile, Line: 1,
		Reason: fmt.Sprintf("version %d of uv.lock is not known here, only %d is", v, uvLockVersion),
		Hint:   "update imgspecd, or lock with a uv that writes the known version"}
}

// conflictMarker returns the line of the first conflict marker of git, or 0.
func conflictMarker(data []byte) int {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if bytes.HasPrefix(text, []byte("<<<<<<<")) || bytes.HasPrefix(text, []byte(">>>>>>>")) {
			return line
		}
	}
	return 0
}

// uvBuilder makes a UV from its written form.
type uvBuilder struct {
	u       *UV
	lines   []int
	markers map[string]pypa.Marker // a lock repeats few markers many times
}

func (b *uvBuilder) marker(text string) (pypa.Marker, error) {
	if text == "" {
		return pypa.Marker{}, nil
	}
	if m, ok := b.markers[text]; ok {
		return m, nil
	}
	m, err := pypa.ParseMarker(text)
	if err == nil {
		b.markers[text] = m
	}
	return m, err
}

func (b *uvBuilder) markerList(texts []string) ([]pypa.Marker, error) {
	var out []pypa.Marker
	for _, text := range texts {
		m, err := b.marker(text)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// line returns where package i starts, 0 if that is not known.
func (b *uvBuilder) line(i int) int {
	if i < len(b.lines) {
		return b.lines[i]
	}
	return 0
}

// packages takes over all packages, then their edges, for which all must be known.
func (b *uvBuilder) packages(wire []wirePackage) error {
	b.u.packages = make([]pkg, len(wire))
	b.u.byName = make(map[string][]int, len(wire))
	for i, w := range wire {
		p, err := b.onePackage(w)
		if err != nil {
			return &Error{File: uvLockFile, Line: b.line(i), Reason: err.Error()}
		}
		p.line = b.line(i)
		b.u.packages[i] = p
		b.u.byName[p.name] = append(b.u.byName[p.name], i)
	}
	for i, w := range wire {
		if err := b.edges(&b.u.packages[i], w); err != nil {
			return &Error{File: uvLockFile, Line: b.line(i), Reason: err.Error(),
				Hint: "the lock is incomplete: run `uv lock`"}
		}
	}
	return nil
}

func (b *uvBuilder) onePackage(w wirePackage) (pkg, error) {
	if w.Name == "" {
		return pkg{}, fmt.Errorf("a package has no name")
	}
	p := pkg{ident: ident{pypa.NormalizeName(w.Name), w.Version}, source: w.Source, wheels: w.Wheels, sdist: w.Sdist,
		meta: w.Metadata != nil, defaultGroups: w.DefaultGroups}
	if w.Metadata != nil {
		p.declaredExtras, p.declaredGroups = normalized(w.Metadata.Extras), normalized(slices.Collect(maps.Keys(w.Metadata.Groups)))
	}
	if w.Source == (source{}) {
		return pkg{}, fmt.Errorf("package %s has no source that is known here", p.name)
	}
	if p.version == "" && p.source.Registry != "" {
		return pkg{}, fmt.Errorf("package %s has no version", p.name)
	}
	forks, err := b.markerList(w.Forks)
	if err != nil {
		return pkg{}, fmt.Errorf("package %s: %w", p.name, err)
	}
	p.forks = forks
	return p, nil
}

func (b *uvBuilder) edges(p *pkg, w wirePackage) (err error) {
	if p.deps, err = b.deps(w.Deps); err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	if p.extras, err = b.depTable(w.Extras); err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	groups := w.Dev
	if groups == nil {
		groups = w.DevGroups
	}
	if p.groups, err = b.depTable(groups); err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	return nil
}

func (b *uvBuilder) depTable(wire map[string][]wireDep) (map[string][]dep, error) {
	if len(wire) == 0 {
		return nil, nil
	}
	table := make(map[string][]dep, len(wire))
	for name, list := range wire {
		deps, err := b.deps(list)
		if err != nil {
			return nil, err
		}
		table[pypa.NormalizeName(name)] = deps
	}
	return table, nil
}

func (b *uvBuilder) deps(wire []wireDep) ([]dep, error) {
	if len(wire) == 0 {
		return nil, nil
	}
	deps := make([]dep, 0, len(wire))
	for _, w := range wire {
		i, err := b.find(w)
		if err != nil {
			return nil, err
		}
		m, err := b.marker(w.Marker)
		if err != nil {
			return nil, fmt.Errorf("dependency %s: %w", w.Name, err)
		}
		deps = append(deps, dep{pkg: i, extras: normalized(w.Extra), marker: m})
	}
	return deps, nil
}

// find returns the package that a dependency means. uv leaves version and source out where a name has one package only.
func (b *uvBuilder) find(w wireDep) (int, error) {
	found := -1
	for _, i := range b.u.byName[pypa.NormalizeName(w.Name)] {
		p := &b.u.packages[i]
		if w.Version != "" && w.Version != p.version || w.Source != (source{}) && w.Source != p.source {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("its dependency %s can be %s or %s", w.Name, b.u.packages[found].version, p.version)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("its dependency %s is not in the lock", strings.TrimSpace(w.Name+" "+w.Version))
	}
	return found, nil
}

func (b *uvBuilder) manifestGroups(wire map[string][]wireRequirement) error {
	for group, list := range wire {
		for _, w := range list {
			r := requirement{name: pypa.NormalizeName(w.Name), extras: normalized(w.Extras)}
			var err error
			if r.marker, err = b.marker(w.Marker); err != nil {
				return &Error{File: uvLockFile, Reason: fmt.Sprintf("group %s: %v", group, err)}
			}
			if len(b.u.byName[r.name]) == 0 {
				return &Error{File: uvLockFile, Hint: "the lock is incomplete: run `uv lock`",
					Reason: fmt.Sprintf("group %s: its dependency %s is not in the lock", group, r.name)}
			}
			if b.u.groups == nil {
				b.u.groups = map[string][]requirement{}
			}
			name := pypa.NormalizeName(group)
			b.u.groups[name] = append(b.u.groups[name], r)
		}
	}
	return nil
}

// findRoot returns the project's package, or -1 for a workspace without a project.
func (u *UV) findRoot(named bool) (int, error) {
	if !named {
		for i, p := range u.packages {
			if dir, ok := p.source.tree(); ok && dir == "." && p.source.Directory == "" {
				return i, nil
			}
		}
		return -1, nil
	}
	name := u.project.name
	if name == "" {
		return -1, nil
	}
	found := slices.DeleteFunc(slices.Clone(u.byName[name]), func(i int) bool {
		_, ok := u.packages[i].source.tree()
		return !ok
	})
	switch len(found) {
	case 0:
		return 0, &Error{File: uvLockFile, Reason: fmt.Sprintf("the project %s of pyproject.toml is not in the lock", name),
			Hint: "run `uv lock` in the project's directory"}
	case 1:
		return found[0], nil
	}
	return 0, &Error{File: uvLockFile, Line: u.packages[found[1]].line,
		Reason: fmt.Sprintf("the project %s is in the lock more than once", name)}
}
