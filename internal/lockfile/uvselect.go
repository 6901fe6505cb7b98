package lockfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Select returns what `uv sync --locked --no-dev --no-install-project` installs in an environment, sorted by name:
// the project's dependencies and those of its default groups, but neither the project nor its extras nor the group dev;
// and what is chosen otherwise.
func (u *UV) Select(env pypa.Environment, choice Choice) ([]Artifact, error) {
	chosen, err := u.choose(env, choice)
	if err != nil {
		return nil, err
	}
	return u.artifacts(chosen, env, choice)
}

// choose returns the packages that are installed, whether or not a file of them fits.
func (u *UV) choose(env pypa.Environment, choice Choice) ([]int, error) {
	t, err := u.target(choice)
	if err != nil {
		return nil, err
	}
	s := selection{u: u, target: t, env: env.Markers(), seen: map[node]bool{}}
	if err := t.checkEnvironment(env, s.env); err != nil {
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
func (t *target) checkEnvironment(env pypa.Environment, vars map[string]string) error {
	u := t.u
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
		if t.takesGroup(group) && !spec.Contains(python.Release()) {
			return &Error{File: pyprojectFile, Reason: fmt.Sprintf("the group %s requires Python %s, but the base image has Python %s",
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
	target *target
	env    map[string]string
	active []string // active extras, groups and projects, as conflict markers name them
	first  []node   // where the walk starts
	seen   map[node]bool
}

// start takes in the roots, with the extras and groups of theirs that are synced.
func (s *selection) start() error {
	if s.target.prod() {
		for _, r := range s.target.roots {
			s.startRoot(r)
		}
	}
	groups := s.target.groups()
	for _, g := range groups {
		s.active = append(s.active, conflictItem{Package: s.u.packages[g.pkg].name, Group: g.name}.encoded())
	}
	for _, g := range groups {
		if err := s.startGroup(&s.u.packages[g.pkg], g.name); err != nil {
			return err
		}
	}
	return s.startManifest()
}

func (s *selection) startRoot(r int) {
	p := &s.u.packages[r]
	s.active = append(s.active, conflictItem{Package: p.name}.encoded())
	s.first = append(s.first, node{pkg: r})
	for _, extra := range slices.Sorted(maps.Keys(p.extras)) {
		if s.target.extra(extra) {
			s.first = append(s.first, node{r, extra})
			s.active = append(s.active, conflictItem{Package: p.name, Extra: extra}.encoded())
		}
	}
}

// startGroup takes in what a group names. Extras that it asks for are active from then on, as far as conflicts are concerned.
func (s *selection) startGroup(p *pkg, group string) error {
	for _, d := range p.groups[group] {
		extras := s.encodeExtras(d)
		ok, err := s.holds(d.marker, extras)
		if err != nil {
			return s.u.decideError(p, err)
		}
		if ok {
			s.active = appendNew(s.active, extras)
			s.enter(d.pkg, d.extras)
		}
	}
	return nil
}

// startManifest takes in the groups of the workspace itself, which name packages without saying which fork.
func (s *selection) startManifest() error {
	for _, group := range slices.Sorted(maps.Keys(s.u.groups)) {
		if !s.target.takesGroup(group) {
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
			s.enter(found, r.extras)
		}
	}
	return nil
}

// enter has the walk start at what a group names.
func (s *selection) enter(pkg int, extras []string) {
	for _, e := range append([]string{""}, extras...) {
		if n := (node{pkg, e}); !s.seen[n] {
			s.seen[n] = true
			s.first = append(s.first, n)
		}
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

// activate finds the extras that dependencies turn on, which conflict markers anywhere may ask for. It is one walk, as uv does it: an edge that
// asks for extras is followed as if they were active, and then they are. What is found later does not call for another look, except at a root that a group leads to.
func (s *selection) activate() error {
	seen := maps.Clone(s.seen)
	queue := slices.Clone(s.first)
	add := func(n node) {
		if !seen[n] {
			seen[n] = true
			queue = append(queue, n)
		}
	}
	for i := 0; i < len(queue); i++ {
		for _, d := range s.u.edges(queue[i]) {
			extras := s.encodeExtras(d)
			ok, err := s.holds(d.marker, extras)
			if err != nil {
				return s.u.decideError(&s.u.packages[queue[i].pkg], err)
			}
			if !ok {
				continue
			}
			s.active = appendNew(s.active, extras)
			add(node{pkg: d.pkg})
			for _, e := range d.extras {
				add(node{d.pkg, e})
			}
		}
	}
	return s.checkConflicts("dependencies")
}

func (u *UV) edges(n node) []dep {
	if n.extra == "" {
		return u.packages[n.pkg].deps
	}
	return u.packages[n.pkg].extras[n.extra]
}

// walk follows all edges that hold, with the active extras settled.
func (s *selection) walk() error {
	queue := slices.Clone(s.first)
	for _, n := range queue {
		s.seen[n] = true
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

// chosen returns the packages to install: what was reached, without what is never installed and what is left out.
func (s *selection) chosen() []int {
	var out []int
	for n := range s.seen {
		if n.extra == "" && s.target.installs(n.pkg) {
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
			return conflictError(who, both)
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
