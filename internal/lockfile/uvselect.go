package lockfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Select returns what `uv sync --frozen --no-dev --no-install-project` installs in an environment, sorted by name:
// the project's dependencies and those of its default groups, but neither the project nor its extras nor the group dev.
func (u *UV) Select(env pypa.Environment) ([]Artifact, error) {
	chosen, err := u.choose(env)
	if err != nil {
		return nil, err
	}
	return u.artifacts(chosen, env)
}

// choose returns the packages that are installed, whether or not a file of them fits.
func (u *UV) choose(env pypa.Environment) ([]int, error) {
	s := selection{u: u, env: env.Markers(), seen: map[node]bool{}}
	if err := u.checkEnvironment(env, s.env); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	if len(u.conflicts) > 0 {
		if err := s.activate(); err != nil {
			return nil, err
		}
	}
	if err := s.walk(); err != nil {
		return nil, err
	}
	return s.chosen(), nil
}

// checkEnvironment refuses a Python or a platform that the lock was not made for.
func (u *UV) checkEnvironment(env pypa.Environment, vars map[string]string) error {
	if _, _, err := env.PythonMinor(); err != nil {
		return fmt.Errorf("select from %s: %w", uvLockFile, err)
	}
	python, err := pypa.ParseVersion(env.Python)
	if err != nil {
		return err
	}
	if !u.python.Contains(python.Release()) {
		return &Error{File: uvLockFile,
			Reason: fmt.Sprintf("the lock requires Python %s, but the base image has Python %s", u.requiresPython, env.Python),
			Hint:   "choose a base image or python_version within requires-python, or change requires-python and run `uv lock`"}
	}
	for group, spec := range u.project.groupPython {
		if u.project.includes(group) && !spec.Contains(python.Release()) {
			return &Error{File: pyprojectFile, Reason: fmt.Sprintf("the default group %s requires Python %s, but the base image has Python %s",
				group, spec, env.Python)}
		}
	}
	if len(u.supported) == 0 {
		return nil
	}
	var texts []string
	for _, m := range u.supported {
		if m.Eval(vars) {
			return nil
		}
		texts = append(texts, m.String())
	}
	return &Error{File: uvLockFile,
		Reason: fmt.Sprintf("the lock is for other environments than %s: %s", env, strings.Join(texts, "; ")),
		Hint:   "add this one to environments of [tool.uv] and run `uv lock`"}
}

// node is a package, or what one of its extras adds.
type node struct {
	pkg   int
	extra string
}

// selection is one walk through a lock.
type selection struct {
	u      *UV
	env    map[string]string
	active []string // active extras, groups and projects, as conflict markers name them
	first  []entry  // where the walk starts
	seen   map[node]bool
}

// entry is a place to start from, with the condition for it.
type entry struct {
	node
	marker pypa.Marker
}

// start finds the roots and takes in the groups that are synced by default.
func (s *selection) start() error {
	u := s.u
	var roots []int
	if u.root >= 0 {
		roots = []int{u.root}
	} else {
		for _, name := range u.members {
			found := u.byName[pypa.NormalizeName(name)]
			if len(found) != 1 {
				return &Error{File: uvLockFile, Reason: fmt.Sprintf("the workspace's member %s is in the lock %d times", name, len(found))}
			}
			roots = append(roots, found[0])
		}
	}
	for _, r := range roots {
		p := &u.packages[r]
		s.active = append(s.active, conflictItem{Package: p.name}.encoded())
		for group := range p.groups {
			if u.project.includes(group) {
				s.active = append(s.active, conflictItem{Package: p.name, Group: group}.encoded())
			}
		}
		s.first = append(s.first, entry{node: node{pkg: r}})
	}
	if err := s.checkConflicts("the project's default groups"); err != nil {
		return err
	}
	for _, r := range roots {
		if err := s.startGroups(&u.packages[r]); err != nil {
			return err
		}
		// In a workspace without a project, members are installed as well; where there is one, only if something depends on them.
		if u.root < 0 {
			s.seen[node{pkg: r}] = true
		}
	}
	if u.root < 0 {
		return s.startManifest()
	}
	return nil
}

// startGroups takes in what the default groups of a root name. Extras that a group asks for are active from
// then on, as far as conflicts are concerned.
func (s *selection) startGroups(p *pkg) error {
	for _, group := range slices.Sorted(maps.Keys(p.groups)) {
		if !s.u.project.includes(group) {
			continue
		}
		for _, d := range p.groups[group] {
			extras := s.encodeExtras(d)
			ok, err := s.holds(d.marker, extras)
			if err != nil {
				return s.u.decideError(p, err)
			}
			if ok {
				s.active = appendNew(s.active, extras)
				s.enter(d.pkg, d.extras, d.marker)
			}
		}
	}
	return nil
}

// startManifest takes in the groups of the workspace itself, which name packages without saying which fork.
func (s *selection) startManifest() error {
	for _, group := range slices.Sorted(maps.Keys(s.u.groups)) {
		if !s.u.project.includes(group) {
			continue
		}
		for _, r := range s.u.groups[group] {
			if !r.marker.Eval(s.env) {
				continue
			}
			found := -1
			for _, i := range s.u.byName[r.name] {
				forks := s.u.packages[i].forks
				if len(forks) > 0 && !slices.ContainsFunc(forks, func(m pypa.Marker) bool { return m.Eval(s.env) }) {
					continue
				}
				if found >= 0 {
					return &Error{File: uvLockFile, Reason: fmt.Sprintf("group %s: more than one version of %s fits", group, r.name)}
				}
				found = i
			}
			if found < 0 {
				return &Error{File: uvLockFile, Reason: fmt.Sprintf("group %s: no version of %s fits", group, r.name)}
			}
			s.active = appendNew(s.active, s.encodeExtras(dep{pkg: found, extras: r.extras}))
			s.enter(found, r.extras, pypa.Marker{})
		}
	}
	return nil
}

func (s *selection) enter(pkg int, extras []string, marker pypa.Marker) {
	s.first = append(s.first, entry{node{pkg: pkg}, marker})
	s.seen[node{pkg: pkg}] = true
	for _, e := range extras {
		s.first = append(s.first, entry{node{pkg, e}, marker})
		s.seen[node{pkg, e}] = true
	}
}

// encodeExtras returns the extras that an edge asks for, as conflict markers name them.
func (s *selection) encodeExtras(d dep) []string {
	if len(s.u.conflicts) == 0 {
		return nil
	}
	var out []string
	for _, e := range d.extras {
		out = append(out, conflictItem{Package: s.u.packages[d.pkg].name, Extra: e}.encoded())
	}
	return out
}

func (s *selection) holds(m pypa.Marker, more []string) (bool, error) {
	if len(more) == 0 {
		return m.Decide(s.env, s.active...)
	}
	return m.Decide(s.env, slices.Concat(s.active, more)...)
}

// activate finds the extras that dependencies turn on, which conflict markers anywhere may ask for. Whether an edge holds can
// depend on extras that are found later, so it starts over after each one that is found, until there is none.
func (s *selection) activate() error {
	for {
		found, err := s.nextExtra()
		if err != nil {
			return err
		}
		if found == nil {
			return s.checkConflicts("dependencies")
		}
		s.active = appendNew(s.active, found)
	}
}

// nextExtra returns the extras of the first edge that holds and asks for extras which are not active yet. While
// it is asked whether the edge is reached, its own extras count as active.
func (s *selection) nextExtra() ([]string, error) {
	for _, n := range s.reach(nil) {
		for _, d := range s.u.edges(n) {
			extras := slices.DeleteFunc(s.encodeExtras(d), func(e string) bool { return slices.Contains(s.active, e) })
			if len(extras) == 0 {
				continue
			}
			ok, err := s.holds(d.marker, extras)
			if err != nil {
				return nil, s.u.decideError(&s.u.packages[n.pkg], err)
			}
			if ok && slices.Contains(s.reach(extras), n) {
				return extras, nil
			}
		}
	}
	return nil, nil
}

// reach returns what is reached from the start with some more extras active, in order.
func (s *selection) reach(more []string) []node {
	active := slices.Concat(s.active, more)
	var queue []node
	seen := map[node]bool{}
	add := func(n node) {
		if !seen[n] {
			seen[n] = true
			queue = append(queue, n)
		}
	}
	for _, f := range s.first {
		if f.marker.Eval(s.env, active...) {
			add(f.node)
		}
	}
	for i := 0; i < len(queue); i++ {
		for _, d := range s.u.edges(queue[i]) {
			if !d.marker.Eval(s.env, active...) {
				continue
			}
			add(node{pkg: d.pkg})
			for _, e := range d.extras {
				add(node{d.pkg, e})
			}
		}
	}
	return queue
}

func (u *UV) edges(n node) []dep {
	if n.extra == "" {
		return u.packages[n.pkg].deps
	}
	return u.packages[n.pkg].extras[n.extra]
}

// walk follows all edges that hold, with the active extras settled.
func (s *selection) walk() error {
	queue := make([]node, 0, len(s.first))
	for _, f := range s.first {
		queue = append(queue, f.node)
	}
	add := func(n node) {
		if !s.seen[n] {
			s.seen[n] = true
			queue = append(queue, n)
		}
	}
	for i := 0; i < len(queue); i++ {
		n := queue[i]
		for _, d := range s.u.edges(n) {
			ok, err := s.holds(d.marker, nil)
			if err != nil {
				return s.u.decideError(&s.u.packages[n.pkg], err)
			}
			if !ok {
				continue
			}
			add(node{pkg: d.pkg})
			for _, e := range d.extras {
				add(node{d.pkg, e})
			}
		}
	}
	return nil
}

// chosen returns the packages to install: what was reached, without the project and without directories that are never installed.
func (s *selection) chosen() []int {
	var out []int
	for n := range s.seen {
		if n.extra == "" && n.pkg != s.u.root && s.u.packages[n.pkg].source.Virtual == "" {
			out = append(out, n.pkg)
		}
	}
	slices.SortFunc(out, func(a, b int) int {
		return strings.Compare(s.u.packages[a].name, s.u.packages[b].name)
	})
	return out
}

// checkConflicts refuses two active items of one declared conflict.
func (s *selection) checkConflicts(who string) error {
	for _, set := range s.u.conflicts {
		var both []string
		for _, item := range set {
			if slices.Contains(s.active, item.encoded()) {
				both = append(both, item.String())
			}
		}
		if len(both) > 1 {
			return &Error{File: uvLockFile, Reason: fmt.Sprintf("%s need what is declared to conflict: %s", who, strings.Join(both, " and "))}
		}
	}
	return nil
}

func (c conflictItem) String() string {
	switch {
	case c.Extra != "":
		return fmt.Sprintf("extra %s of %s", c.Extra, c.Package)
	case c.Group != "":
		return fmt.Sprintf("group %s of %s", c.Group, c.Package)
	}
	return "package " + c.Package
}

func (u *UV) decideError(p *pkg, err error) error {
	return &Error{File: uvLockFile, Line: p.line, Reason: fmt.Sprintf("a dependency of %s: %v", p.name, err)}
}

func appendNew(list, more []string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
