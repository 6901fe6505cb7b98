package resolve

import (
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// project is a pyproject.toml whose dependencies can be read without building it.
type project struct {
	text     []byte // what uv gets of it
	flytekit bool   // it depends on flytekit itself
}

// settings are the keys of [tool.uv] that say what is chosen and from where. The others can name programs, such as the Python to
// look at, or loosen what is trusted: a project must not decide that.
var settings = []string{
	"index", "sources", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "prerelease", "resolution",
	"fork-strategy", "exclude-newer", "exclude-newer-package", "constraint-dependencies", "override-dependencies", "exclude-dependencies", "no-sources",
}

// readProject reads a pyproject.toml. uv gets what counts of it in a file of its own: beside the original it would find virtual
// environments and workspaces. What it takes from local directories is refused; older releases of uv (0.7) would build it.
func readProject(path string) (*project, error) {
	text, err := readText(path)
	if err != nil {
		return nil, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pyproject.toml: %v", err)}
	}
	var doc struct {
		Project *struct {
			Name           string              `toml:"name"`
			RequiresPython string              `toml:"requires-python"`
			Dependencies   []string            `toml:"dependencies"`
			Optional       map[string][]string `toml:"optional-dependencies"`
			Dynamic        []string            `toml:"dynamic"`
		} `toml:"project"`
		Tool struct {
			UV map[string]any `toml:"uv"`
		} `toml:"tool"`
	}
	if err := toml.Unmarshal(text, &doc); err != nil {
		return nil, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pyproject.toml: %v", err)}
	}
	if doc.Project == nil {
		return nil, &Error{
			Kind: Invalid, Reason: "pyproject.toml has no [project] table, so it names no dependencies",
			Hint: "write them under [project] dependencies, or point requirements at the project's lock",
		}
	}
	if slices.Contains(doc.Project.Dynamic, "dependencies") {
		return nil, &Error{
			Kind: NeedsBuild, Reason: "the dependencies in pyproject.toml are dynamic: only building the project tells them",
			Hint: "nothing is built on this machine to resolve; write them out, or use a uv.lock",
		}
	}
	if err := localSources(doc.Tool.UV); err != nil {
		return nil, err
	}
	table := map[string]any{"name": doc.Project.Name, "version": "0", "dependencies": doc.Project.Dependencies}
	if doc.Project.RequiresPython != "" {
		table["requires-python"] = doc.Project.RequiresPython
	}
	if len(doc.Project.Optional) > 0 {
		table["optional-dependencies"] = doc.Project.Optional
	}
	uv := map[string]any{}
	for _, k := range settings {
		if v, ok := doc.Tool.UV[k]; ok {
			uv[k] = v
		}
	}
	kept, err := toml.Marshal(map[string]any{"project": table, "tool": map[string]any{"uv": uv}})
	if err != nil {
		return nil, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pyproject.toml: %v", err)}
	}
	p := &project{text: kept}
	for _, d := range doc.Project.Dependencies {
		if pypa.NormalizeName(requirementName(d)) == "flytekit" {
			p.flytekit = true
		}
	}
	return p, nil
}

// localSources refuses the sources that are directories.
func localSources(uv map[string]any) error {
	var local []string
	sources, _ := uv["sources"].(map[string]any)
	for name, source := range sources {
		if isLocal(source) {
			local = append(local, name)
		}
	}
	if len(local) > 0 {
		slices.Sort(local)
		return &Error{
			Kind: NeedsBuild, Reason: fmt.Sprintf("pyproject.toml takes %v from directories of this machine (tool.uv.sources)", local), Packages: local,
			Hint: "nothing is built on this machine to resolve; use a uv.lock",
		}
	}
	return nil
}

// isLocal reports a source that is a path or a member of the workspace; one may be a list, by markers.
func isLocal(source any) bool {
	switch s := source.(type) {
	case map[string]any:
		_, path := s["path"]
		workspace, _ := s["workspace"].(bool)
		return path || workspace
	case []any:
		return slices.ContainsFunc(s, isLocal)
	}
	return false
}
