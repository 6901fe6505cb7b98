package lockfile

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// poetryProject is what pyproject.toml says to poetry.
type poetryProject struct {
	name   string
	groups []poetryGroup // main first
}

// poetryGroup is a dependency group: main, one of [tool.poetry.group] or one of [dependency-groups].
type poetryGroup struct {
	name     string
	optional bool        // not installed unless asked for
	standard []poetryDep // of [project] or [dependency-groups]
	poetry   []poetryDep // of [tool.poetry], which says more about those of the standard, or stands alone
	dynamic  bool        // both add up, because [project] says that the one or the other is dynamic
	includes []string
}

// poetryDep is a dependency of the project or of a locked package.
type poetryDep struct {
	name       string
	extras     []string
	constraint constraint
	and        *constraint // another one that must hold as well
	python     *constraint
	platform   string
	markers    []pypa.Marker
	inExtras   []string // extras that its marker names
	optional   bool
	source     string // name of an index
	direct     direct
}

// direct is where a dependency comes from that comes from no index.
type direct struct{ git, url, path string }

const mainGroup = "main"

// parsePoetryProject reads the document of a pyproject.toml.
func parsePoetryProject(doc map[string]any) (poetryProject, error) {
	var p poetryProject
	project, tool := table(doc, "project"), table(table(doc, "tool"), "poetry")
	p.name = pypa.NormalizeName(text(project, "name"))
	if p.name == "" {
		p.name = pypa.NormalizeName(text(tool, "name"))
	}
	main := poetryGroup{name: mainGroup}
	for _, key := range list(project["dynamic"]) {
		main.dynamic = main.dynamic || key == "dependencies" || key == "optional-dependencies"
	}
	var err error
	if main.standard, err = standardDeps(list(project["dependencies"])); err != nil {
		return p, fmt.Errorf("dependencies of [project]: %w", err)
	}
	optional := table(project, "optional-dependencies")
	for _, extra := range slices.Sorted(maps.Keys(optional)) {
		deps, err := standardDeps(list(optional[extra]))
		if err != nil {
			return p, fmt.Errorf("extra %s of [project]: %w", extra, err)
		}
		for i := range deps {
			deps[i].optional = true
		}
		main.standard = append(main.standard, deps...)
	}
	if main.poetry, err = poetryDeps(table(tool, "dependencies")); err != nil {
		return p, fmt.Errorf("[tool.poetry.dependencies]: %w", err)
	}
	p.groups = append(p.groups, main)
	if err := p.addGroups(table(doc, "dependency-groups"), table(tool, "group")); err != nil {
		return p, err
	}
	if dev := table(tool, "dev-dependencies"); dev != nil {
		deps, err := poetryDeps(dev)
		if err != nil {
			return p, fmt.Errorf("[tool.poetry.dev-dependencies]: %w", err)
		}
		g := p.group("dev")
		if g == nil {
			p.groups = append(p.groups, poetryGroup{name: "dev"})
			g = p.group("dev")
		}
		g.poetry = append(g.poetry, deps...)
	}
	return p, p.checkIncludes()
}

// addGroups takes in [dependency-groups], then [tool.poetry.group], which may say more about the same groups.
func (p *poetryProject) addGroups(standard, poetry map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(standard)) {
		g := poetryGroup{name: pypa.NormalizeName(name)}
		var plain []any
		for _, item := range list(standard[name]) {
			if include, ok := item.(map[string]any); ok {
				g.includes = append(g.includes, pypa.NormalizeName(text(include, "include-group")))
				continue
			}
			plain = append(plain, item)
		}
		var err error
		if g.standard, err = standardDeps(plain); err != nil {
			return fmt.Errorf("group %s of [dependency-groups]: %w", name, err)
		}
		if p.group(g.name) != nil {
			return fmt.Errorf("group %s is there twice", g.name)
		}
		p.groups = append(p.groups, g)
	}
	for _, name := range slices.Sorted(maps.Keys(poetry)) {
		of := table(poetry, name)
		g := p.group(pypa.NormalizeName(name))
		if g == nil {
			p.groups = append(p.groups, poetryGroup{name: pypa.NormalizeName(name)})
			g = &p.groups[len(p.groups)-1]
		}
		g.optional, _ = of["optional"].(bool)
		for _, include := range list(of["include-groups"]) {
			if name, ok := include.(string); ok {
				g.includes = append(g.includes, pypa.NormalizeName(name))
			}
		}
		deps, err := poetryDeps(table(of, "dependencies"))
		if err != nil {
			return fmt.Errorf("[tool.poetry.group.%s]: %w", name, err)
		}
		g.poetry = append(g.poetry, deps...)
	}
	return nil
}

func (p *poetryProject) group(name string) *poetryGroup {
	for i := range p.groups {
		if p.groups[i].name == name {
			return &p.groups[i]
		}
	}
	return nil
}

func (p *poetryProject) checkIncludes() error {
	for _, g := range p.groups {
		for _, name := range g.includes {
			if p.group(name) == nil {
				return fmt.Errorf("group %s includes group %s, which is not there", g.name, name)
			}
		}
	}
	return nil
}

// roots returns the dependencies of some groups, also those that only an extra installs.
func (p *poetryProject) roots(groups []string) []poetryDep {
	var out []poetryDep
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		g := p.group(name)
		out = append(out, g.deps()...)
		for _, include := range g.includes {
			add(include)
		}
	}
	for _, name := range groups {
		add(name)
	}
	return out
}

// deps returns the dependencies of a group: those of the standard, each with what [tool.poetry] adds to it.
func (g *poetryGroup) deps() []poetryDep {
	if len(g.standard) == 0 {
		return g.poetry
	}
	var out []poetryDep
	for _, d := range g.standard {
		enriched := false
		for _, more := range g.poetry {
			if more.name == d.name {
				enriched = true
				out = append(out, d.with(more))
			}
		}
		if !enriched {
			out = append(out, d)
		}
	}
	// Where [project] has optional dependencies only and says that the others are dynamic, [tool.poetry] has the others.
	if g.dynamic && !slices.ContainsFunc(g.standard, func(d poetryDep) bool { return !d.optional }) {
		out = append(out, g.poetry...)
	}
	return out
}

// with adds what [tool.poetry] says about a dependency of the standard: another origin, another constraint, another marker.
func (d poetryDep) with(more poetryDep) poetryDep {
	d.and = &more.constraint
	d.python, d.platform = more.python, more.platform
	d.markers = slices.Concat(d.markers, more.markers)
	if d.direct == (direct{}) {
		d.direct, d.source = more.direct, more.source
	}
	return d
}

// standardDeps reads dependencies of PEP 508.
func standardDeps(items []any) ([]poetryDep, error) {
	var out []poetryDep
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a requirement", item)
		}
		r, err := pypa.ParseRequirement(text)
		if err != nil {
			return nil, err
		}
		d := poetryDep{name: pypa.NormalizeName(r.Name), extras: normalized(r.Extras), markers: []pypa.Marker{r.Marker}}
		if !r.Specifiers.IsAny() {
			d.constraint = constraint{any: []pypa.Specifiers{r.Specifiers}}
		}
		d.direct = directOf(r.URL)
		out = append(out, d)
	}
	return out, nil
}

func directOf(url string) direct {
	if at, ok := strings.CutPrefix(url, "git+"); ok {
		return direct{git: at}
	}
	if at, ok := strings.CutPrefix(url, "file:"); ok {
		return direct{path: at}
	}
	return direct{url: url}
}

// poetryDeps reads a table of dependencies, where each is a constraint, a table, or a list of these.
func poetryDeps(wire map[string]any) ([]poetryDep, error) {
	var out []poetryDep
	for _, name := range slices.Sorted(maps.Keys(wire)) {
		if strings.EqualFold(name, "python") {
			continue
		}
		items, ok := wire[name].([]any)
		if !ok {
			items = []any{wire[name]}
		}
		for _, item := range items {
			d, err := poetryDepOf(item)
			if err != nil {
				return nil, fmt.Errorf("dependency %s: %w", name, err)
			}
			d.name = pypa.NormalizeName(name)
			out = append(out, d)
		}
	}
	return out, nil
}

func poetryDepOf(item any) (d poetryDep, err error) {
	switch v := item.(type) {
	case string:
		d.constraint, err = parseConstraint(v)
		return d, err
	case map[string]any:
		return d, d.setTable(v)
	}
	return d, errors.New("it is neither a constraint nor a table")
}

func (d *poetryDep) setTable(v map[string]any) (err error) {
	if version := text(v, "version"); version != "" {
		if d.constraint, err = parseConstraint(version); err != nil {
			return err
		}
	}
	if python := text(v, "python"); python != "" {
		c, err := parseConstraint(python)
		if err != nil {
			return err
		}
		d.python = &c
	}
	if markers := text(v, "markers"); markers != "" {
		m, err := pypa.ParseMarker(markers)
		if err != nil {
			return err
		}
		d.markers = append(d.markers, m)
		d.inExtras = extrasOf(markers)
	}
	for _, e := range list(v["extras"]) {
		if name, ok := e.(string); ok {
			d.extras = append(d.extras, pypa.NormalizeName(name))
		}
	}
	d.platform, d.source = text(v, "platform"), text(v, "source")
	d.optional, _ = v["optional"].(bool)
	d.direct = direct{git: text(v, "git"), url: text(v, "url"), path: text(v, "path")}
	if file := text(v, "file"); file != "" {
		d.direct.path = file
	}
	if sub := text(v, "subdirectory"); sub != "" && d.direct.path != "" {
		d.direct.path = path.Join(d.direct.path, sub)
	}
	return nil
}

// The following take values from a TOML document whose keys have other types than they should as absent.

func table(m map[string]any, key string) map[string]any {
	t, _ := m[key].(map[string]any)
	return t
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func decodeDocument(name string, data []byte) (map[string]any, error) {
	doc := map[string]any{}
	if err := toml.Unmarshal(data, &doc); err != nil {
		return nil, tomlError(name, data, err)
	}
	return doc, nil
}
