package lockfile

import (
	"fmt"
	"maps"
	"slices"
)

// poetryPart is which part of a project is installed.
type poetryPart struct{ groups, extras []string }

// part finds the groups and extras of a choice.
func (l *Poetry) part(c Choice) (poetryPart, error) {
	if err := l.project.checkGroups(c); err != nil {
		return poetryPart{}, err
	}
	part := poetryPart{groups: c.OnlyGroups, extras: c.Extras}
	if len(part.groups) == 0 {
		for _, g := range l.project.groups {
			wanted := !g.optional || c.AllGroups || slices.Contains(c.Groups, g.name)
			if wanted && !slices.Contains(c.NotGroups, g.name) {
				part.groups = append(part.groups, g.name)
			}
		}
	}
	if c.AllExtras {
		part.extras = slices.Sorted(maps.Keys(l.extras))
	}
	for _, e := range part.extras {
		if _, ok := l.extras[e]; !ok {
			return part, &Error{File: poetryLockFile, Reason: fmt.Sprintf("Extra [%s] is not specified", e), Hint: "pip_extra_args name it"}
		}
	}
	return part, nil
}

// checkGroups refuses groups that the project does not have.
func (p *poetryProject) checkGroups(c Choice) error {
	via := map[string]string{}
	for _, given := range []struct {
		option string
		groups []string
	}{{"--only", c.OnlyGroups}, {"--with", c.Groups}, {"--without", c.NotGroups}} {
		for _, name := range given.groups {
			switch {
			case p.group(name) != nil:
			case via[name] == "":
				via[name] = given.option
			default:
				via[name] += ", " + given.option
			}
		}
	}
	if len(via) == 0 {
		return nil
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(via)) {
		missing = append(missing, fmt.Sprintf("%s (via %s)", name, via[name]))
	}
	return unknownGroups(missing)
}

// ofExtras returns the packages that the active extras of the project need, directly or not.
func (w *poetryWalk) ofExtras() map[string]bool {
	out := map[string]bool{}
	var stack []string
	for _, e := range w.part.extras {
		stack = append(stack, w.l.extras[e]...)
	}
	for len(stack) > 0 {
		name := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		at, ok := w.taken[name]
		if !ok || out[name] {
			continue
		}
		out[name] = true
		for _, d := range w.l.packages[at].deps {
			stack = append(stack, d.name)
		}
	}
	return out
}
