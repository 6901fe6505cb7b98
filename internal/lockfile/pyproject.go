package lockfile

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// pyproject is what pyproject.toml says about syncing; the rest of it is in the lock.
type pyproject struct {
	name          string // normalised; empty for a workspace without a project
	defaultGroups []string
	allGroups     bool // default-groups = "all"
	groups        []string
	filledGroups  []string // those of groups that name a requirement
	workspace     bool
	groupPython   map[string]pypa.Specifiers
	buildPolicy
}

type wirePyproject struct {
	Project *struct {
		Name string `toml:"name"`
	} `toml:"project"`
	Groups map[string][]any `toml:"dependency-groups"`
	Tool   struct {
		UV struct {
			Workspace       any      `toml:"workspace"`
			DefaultGroups   any      `toml:"default-groups"`
			NoBinary        bool     `toml:"no-binary"`
			NoBinaryPackage []string `toml:"no-binary-package"`
			NoBuild         bool     `toml:"no-build"`
			NoBuildPackage  []string `toml:"no-build-package"`
			GroupSettings   map[string]struct {
				RequiresPython string `toml:"requires-python"`
			} `toml:"dependency-groups"`
		} `toml:"uv"`
	} `toml:"tool"`
}

func parsePyproject(data []byte) (pyproject, error) {
	var wire wirePyproject
	if err := toml.Unmarshal(data, &wire); err != nil {
		return pyproject{}, tomlError(pyprojectFile, data, err)
	}
	uv := wire.Tool.UV
	p := pyproject{
		buildPolicy: buildPolicy{noBinary: uv.NoBinary, noBinaryPackage: normalized(uv.NoBinaryPackage),
			noBuild: uv.NoBuild, noBuildPackage: normalized(uv.NoBuildPackage)},
		groups:    normalized(slices.Sorted(maps.Keys(wire.Groups))),
		workspace: uv.Workspace != nil,
	}
	for name, list := range wire.Groups {
		if slices.ContainsFunc(list, func(item any) bool { _, ok := item.(string); return ok }) {
			p.filledGroups = append(p.filledGroups, pypa.NormalizeName(name))
		}
	}
	if wire.Project != nil {
		if p.name = pypa.NormalizeName(wire.Project.Name); p.name == "" {
			return p, &Error{File: pyprojectFile, Reason: "[project] has no name"}
		}
	}
	for name, settings := range uv.GroupSettings {
		spec, err := pypa.ParseSpecifiers(settings.RequiresPython)
		if err != nil {
			return p, &Error{File: pyprojectFile, Reason: err.Error()}
		}
		if p.groupPython == nil {
			p.groupPython = map[string]pypa.Specifiers{}
		}
		p.groupPython[pypa.NormalizeName(name)] = spec
	}
	if err := p.setDefaultGroups(uv.DefaultGroups); err != nil {
		return p, &Error{File: pyprojectFile, Reason: "[tool.uv]: " + err.Error()}
	}
	for _, name := range p.defaultGroups {
		if name != devGroup && !slices.Contains(p.groups, name) {
			return p, &Error{File: pyprojectFile,
				Reason: "default-groups of [tool.uv] names a group that [dependency-groups] does not have: " + name}
		}
	}
	return p, nil
}

// setDefaultGroups reads the value of default-groups: a list, or "all". uv's own default, the group dev, plays no
// part here, because an image is synced without it.
func (p *pyproject) setDefaultGroups(value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		if v == "all" {
			p.allGroups = true
			return nil
		}
	case []any:
		var names []string
		for _, item := range v {
			name, ok := item.(string)
			if !ok {
				break
			}
			names = append(names, name)
		}
		if len(names) == len(v) {
			p.defaultGroups = normalized(names)
			return nil
		}
	}
	return errors.New("default-groups is neither a list of names nor \"all\"")
}

// devGroup is the group that --no-dev leaves out.
const devGroup = "dev"

// includes reports whether a sync without the group dev takes in a group.
func (p *pyproject) includes(group string) bool {
	return group != devGroup && (p.allGroups || slices.Contains(p.defaultGroups, group))
}

func normalized(names []string) []string {
	for i, n := range names {
		names[i] = pypa.NormalizeName(n)
	}
	return names
}

// tomlError turns a decoder's error into one with its line. One on the last line means that the file is cut short.
func tomlError(name string, data []byte, err error) error {
	e := &Error{File: name, Reason: "not valid TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		e.Line, _ = decode.Position()
	}
	if e.Line > bytes.Count(bytes.TrimRight(data, " \t\r\n"), []byte("\n")) {
		e.Reason = "the file ends too early: " + strings.TrimPrefix(err.Error(), "toml: ")
		e.Hint = "it is being written, or its writing was cut short"
	}
	return e
}
