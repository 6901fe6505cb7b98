package lockfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// target is which part of a workspace is synced, as a choice has it.
type target struct {
	u       *UV
	choice  Choice
	roots   []int
	one     bool // one project is synced, whose extras and groups count
	project int  // what --no-install-project leaves out: the one project, or the root of all packages; -1: nothing
	// default groups: those of the project beside the lock, or of the member that is synced instead
	defaults func(group string) bool
}

func (u *UV) target(c Choice) (*target, error) {
	t := &target{u: u, choice: c, project: -1, defaults: u.project.includes}
	named := c.Packages
	if len(named) == 0 {
		t.project = u.root
		if u.root >= 0 && (!c.AllPackages || len(u.members) == 0) {
			t.roots, t.one = []int{u.root}, !c.AllPackages
			return t, t.check()
		}
		named = u.members
	}
	for _, name := range named {
		i, err := u.member(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(t.roots, i) {
			t.roots = append(t.roots, i)
		}
	}
	if len(c.Packages) == 1 {
		t.one, t.project = true, t.roots[0]
		if t.project != u.root {
			if err := t.ownDefaults(&u.packages[t.project]); err != nil {
				return nil, err
			}
		}
	}
	return t, t.check()
}

// member returns the package of a member of the workspace.
func (u *UV) member(name string) (int, error) {
	name = pypa.NormalizeName(name)
	isRoot := u.root >= 0 && u.packages[u.root].name == name
	if !isRoot && !slices.ContainsFunc(u.members, func(m string) bool { return pypa.NormalizeName(m) == name }) {
		return 0, &Error{File: uvLockFile, Reason: fmt.Sprintf("the workspace does not have a member %s", name)}
	}
	if isRoot {
		return u.root, nil
	}
	found := u.byName[name]
	if len(found) != 1 {
		return 0, &Error{File: uvLockFile, Reason: fmt.Sprintf("the workspace's member %s is in the lock %d times", name, len(found))}
	}
	return found[0], nil
}

// ownDefaults has the default groups of a member count. Only a lock of revision 5 tells them.
func (t *target) ownDefaults(p *pkg) error {
	c := t.choice
	known := t.u.revision >= 5 || c.NoDefaultGroups || c.AllGroups || len(c.OnlyGroups) > 0
	if others := slices.DeleteFunc(p.groupNames(), func(g string) bool { return g == devGroup }); !known && len(others) > 0 {
		return &Error{File: uvLockFile, Reason: fmt.Sprintf("the lock does not say which groups of %s are synced by default", p.name),
			Hint: "run `uv lock` with a newer uv, or add --no-default-groups to pip_extra_args"}
	}
	var own pyproject
	if err := own.setDefaultGroups(p.defaultGroups); err != nil {
		return &Error{File: uvLockFile, Line: p.line, Reason: err.Error()}
	}
	t.defaults = own.includes
	return nil
}

// groupNames returns the groups that a member declares, empty ones too.
func (p *pkg) groupNames() []string {
	names := slices.Collect(maps.Keys(p.groups))
	return slices.Sorted(slices.Values(appendNew(names, p.declaredGroups)))
}

// prod reports whether the projects themselves are synced, not only groups of theirs.
func (t *target) prod() bool { return len(t.choice.OnlyGroups) == 0 }

// group reports whether a group is synced.
func (t *target) group(name string) bool {
	c := t.choice
	switch {
	case name == devGroup, slices.Contains(c.NotGroups, name): // --no-dev is always given
		return false
	case !t.prod():
		return slices.Contains(c.OnlyGroups, name)
	}
	return c.AllGroups || slices.Contains(c.Groups, name) || !c.NoDefaultGroups && t.defaults(name)
}

// takesGroup reports whether a group of the workspace's root is synced. A member that is synced alone borrows those that it does not declare itself.
func (t *target) takesGroup(name string) bool {
	u := t.u
	ofRoot := u.root < 0 || slices.Contains(t.roots, u.root)
	borrows := t.one && !slices.Contains(u.packages[t.roots[0]].groupNames(), name)
	return t.group(name) && (ofRoot && !t.one || t.one && t.roots[0] == u.root || borrows)
}

// groups returns which groups of which packages are synced.
func (t *target) groups() []memberGroup {
	u := t.u
	var out []memberGroup
	for _, r := range t.roots {
		for _, name := range slices.Sorted(maps.Keys(u.packages[r].groups)) {
			if t.group(name) {
				out = append(out, memberGroup{r, name})
			}
		}
	}
	if u.root < 0 || slices.Contains(t.roots, u.root) {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(u.packages[u.root].groups)) {
		if t.takesGroup(name) {
			out = append(out, memberGroup{u.root, name})
		}
	}
	return out
}

// memberGroup is a group of a member.
type memberGroup struct {
	pkg  int
	name string
}

// extra reports whether an extra of the projects is synced.
func (t *target) extra(name string) bool {
	c := t.choice
	return !slices.Contains(c.NotExtras, name) && (c.AllExtras || slices.Contains(c.Extras, name))
}

// check refuses names that are not there, and what is declared to conflict.
func (t *target) check() error {
	if err := t.checkExtras(); err != nil {
		return err
	}
	if err := t.checkGroups(); err != nil {
		return err
	}
	return t.checkConflicts()
}

func (t *target) checkExtras() error {
	u := t.u
	declared := slices.ContainsFunc(u.packages, func(p pkg) bool { return p.declaredExtras != nil })
	if u.revision < 1 && !declared {
		return nil // then the lock does not tell, and uv takes an unknown one as empty
	}
	for _, extra := range slices.Concat(t.choice.Extras, t.choice.NotExtras) {
		if slices.ContainsFunc(t.roots, func(r int) bool { return u.packages[r].hasExtra(extra) }) {
			continue
		}
		reason := fmt.Sprintf("extra %s is not defined in any project's optional-dependencies table", extra)
		if t.one {
			reason = fmt.Sprintf("extra %s is not defined in the optional-dependencies table for %s", extra, u.packages[t.roots[0]].name)
		}
		return &Error{File: pyprojectFile, Reason: reason, Hint: "pip_extra_args name it"}
	}
	return nil
}

func (p *pkg) hasExtra(name string) bool {
	_, ok := p.extras[name]
	return ok || slices.Contains(p.declaredExtras, name)
}

func (t *target) checkGroups() error {
	u, c := t.u, t.choice
	known := slices.Collect(maps.Keys(u.groups))
	if t.one || u.root < 0 || slices.Contains(t.roots, u.root) {
		known = append(known, u.project.groups...)
	}
	for _, r := range t.roots {
		known = append(known, u.packages[r].groupNames()...)
	}
	for _, group := range slices.Concat(c.Groups, c.NotGroups, c.OnlyGroups) {
		if slices.Contains(known, group) {
			continue
		}
		whose := "any project's"
		if t.one {
			whose = "the project's"
		}
		return &Error{File: pyprojectFile, Reason: fmt.Sprintf("group %s is not defined in %s dependency-groups table", group, whose), Hint: "pip_extra_args name it"}
	}
	return nil
}

// checkConflicts refuses extras and groups that are asked for and declared to conflict, in any member that the target may need.
func (t *target) checkConflicts() error {
	if len(t.u.conflicts) == 0 {
		return nil
	}
	members := t.members()
	for _, set := range t.u.conflicts {
		var both []string
		for _, item := range set {
			asked := t.prod()
			switch {
			case item.Extra != "":
				asked = t.extra(item.Extra)
			case item.Group != "":
				asked = t.group(item.Group)
			}
			if asked && members[item.Package] {
				both = append(both, item.String())
			}
		}
		if len(both) > 1 {
			return conflictError("what is synced by default or asked for in pip_extra_args would", both)
		}
	}
	return nil
}

func conflictError(who string, both []string) error {
	return &Error{File: uvLockFile, Reason: fmt.Sprintf("%s need what is declared to conflict: %s", who, strings.Join(both, " and "))}
}

// members returns the members that the target may need, whatever the environment is.
func (t *target) members() map[string]bool {
	u := t.u
	out, seen := map[string]bool{}, map[node]bool{}
	var queue []node
	add := func(pkg int, extras []string) {
		for _, e := range append([]string{""}, extras...) {
			if n := (node{pkg, e}); !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	for _, r := range t.roots {
		p := &u.packages[r]
		out[p.name] = true
		if t.prod() {
			add(r, slices.DeleteFunc(slices.Collect(maps.Keys(p.extras)), func(e string) bool { return !t.extra(e) }))
		}
	}
	for _, g := range t.groups() {
		for _, d := range u.packages[g.pkg].groups[g.name] {
			add(d.pkg, d.extras)
		}
	}
	for i := 0; i < len(queue); i++ {
		if name := u.packages[queue[i].pkg].name; u.isMember(name) {
			out[name] = true
		}
		for _, d := range u.edges(queue[i]) {
			add(d.pkg, d.extras)
		}
	}
	return out
}

func (u *UV) isMember(name string) bool {
	return slices.ContainsFunc(u.members, func(m string) bool { return pypa.NormalizeName(m) == name })
}

// installs reports whether a package that was chosen is installed as well.
func (t *target) installs(i int) bool {
	c, p := t.choice, &t.u.packages[i]
	_, tree := p.source.tree()
	local := tree || p.source.Path != ""
	member := i == t.project || t.u.isMember(p.name)
	switch {
	case p.source.Virtual != "":
		return false
	case len(c.OnlyInstalled) > 0:
		return slices.Contains(c.OnlyInstalled, p.name)
	case c.OnlyWorkspace || c.OnlyLocal:
		return c.OnlyWorkspace && member || c.OnlyLocal && local
	case i == t.project:
		return false
	}
	return !slices.Contains(c.NotInstalled, p.name) && !(c.NoLocal && local) && !(c.NoWorkspace && member)
}
