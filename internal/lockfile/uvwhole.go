package lockfile

import (
	"fmt"
	"slices"
)

// checkWhole refuses a lock that was cut between two lines, which leaves valid TOML, and one that is behind its project.
func (u *UV) checkWhole() error {
	if u.root < 0 && len(u.packages) == 0 && (u.project.workspace || len(u.project.filledGroups) > 0) {
		return &Error{File: uvLockFile, Reason: "it has no packages, but pyproject.toml asks for some", Hint: "run `uv lock`"}
	}
	for _, group := range u.project.filledGroups {
		if u.project.includes(group) && !u.hasGroup(group) {
			return &Error{File: uvLockFile, Reason: fmt.Sprintf("the default group %s of pyproject.toml is not in the lock", group),
				Hint: "run `uv lock`"}
		}
	}
	return u.checkTail()
}

func (u *UV) hasGroup(group string) bool {
	if u.root < 0 {
		_, ok := u.groups[group]
		return ok
	}
	_, ok := u.packages[u.root].groups[group]
	return ok
}

// checkTail looks at the last package, which is not whole if the file was cut: it lacks what every package has, or packages
// after it are missing, so that nothing leads to some that are there.
func (u *UV) checkTail() error {
	if len(u.packages) == 0 {
		return nil
	}
	last := &u.packages[len(u.packages)-1]
	cut := false
	if _, tree := last.source.tree(); !tree {
		cut = len(last.wheels) == 0 && last.sdist == nil && last.source.Git == "" && !u.allReached()
	} else if !last.meta {
		// uv can leave out all metadata, but not that of one package alone.
		others := slices.ContainsFunc(u.packages, func(p pkg) bool { return p.meta })
		cut = others && len(last.deps)+len(last.extras)+len(last.groups) > 0 || len(last.deps) == 0 && !u.allReached()
	}
	if !cut {
		return nil
	}
	return &Error{File: uvLockFile, Line: last.line, Reason: fmt.Sprintf("the file ends too early: package %s is not whole", last.name),
		Hint: "it is being written, or its writing was cut short"}
}

// allReached reports whether each package is the project, a member, or something that another one depends on.
func (u *UV) allReached() bool {
	reached := make([]bool, len(u.packages))
	mark := func(deps []dep) {
		for _, d := range deps {
			reached[d.pkg] = true
		}
	}
	for i, p := range u.packages {
		if _, ok := p.source.tree(); ok {
			reached[i] = true
		}
		mark(p.deps)
		for _, deps := range p.extras {
			mark(deps)
		}
		for _, deps := range p.groups {
			mark(deps)
		}
	}
	for _, list := range u.groups {
		for _, r := range list {
			for _, i := range u.byName[r.name] {
				reached[i] = true
			}
		}
	}
	return !slices.Contains(reached, false)
}
