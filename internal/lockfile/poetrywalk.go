package lockfile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// maxRounds bounds how often a walk starts anew because a version that it took did not do for a dependency found later.
const maxRounds = 100

// poetryWalk follows the dependencies from the project's own through a lock that does not say which group needs what. poetry
// resolves again from the lock alone; with what is left to choose from, taking the highest version that all allow is the same.
type poetryWalk struct {
	l      *Poetry
	env    pypa.Environment
	vars   map[string]string
	python pypa.Version
	part   poetryPart
	taken  map[string]int         // package by name
	needs  map[string][]poetryDep // what was asked of each, in this round
	done   map[node]bool
	queue  []node
}

// chosenByWalk returns what is reached from the installed groups in an environment.
func (l *Poetry) chosenByWalk(env pypa.Environment, python pypa.Version, part poetryPart) ([]int, error) {
	w := poetryWalk{l: l, env: env, vars: env.Markers(), python: python, part: part, taken: map[string]int{}}
	for range maxRounds {
		again, err := w.round()
		if err != nil {
			return nil, err
		}
		if again {
			continue
		}
		reached, needed := map[int]bool{}, w.ofExtras()
		for n := range w.done {
			if p := &l.packages[n.pkg]; !p.optional || needed[p.name] {
				reached[n.pkg] = true
			}
		}
		return slices.Sorted(maps.Keys(reached)), nil
	}
	return nil, &Error{File: poetryLockFile, Reason: "its versions do not fit together for " + env.String(), Hint: "run `poetry lock`"}
}

// round walks once, from the start. It reports whether a choice changed, which calls for another round.
func (w *poetryWalk) round() (again bool, err error) {
	w.needs, w.done, w.queue = map[string][]poetryDep{}, map[node]bool{}, nil
	for _, d := range w.l.project.roots(w.part.groups) {
		// The project asks for its own extras by these markers.
		ok, err := w.holds(d, w.part.extras)
		if err != nil {
			return false, &Error{File: pyprojectFile, Reason: fmt.Sprintf("dependency %s: %v", d.name, err)}
		}
		if ok {
			changed, err := w.need(d)
			if err != nil || changed {
				return changed, err
			}
		}
	}
	for i := 0; i < len(w.queue); i++ {
		n := w.queue[i]
		p := &w.l.packages[n.pkg]
		for _, d := range p.active(n.extra) {
			ok, err := w.holds(d, d.inExtras)
			if err != nil {
				return false, &Error{File: poetryLockFile, Line: p.line, Reason: fmt.Sprintf("a dependency of %s: %v", p.name, err)}
			}
			if ok {
				changed, err := w.need(d)
				if err != nil || changed {
					return changed, err
				}
			}
		}
	}
	return false, nil
}

// active returns the dependencies of a package, or with an extra those that the extra adds, in whatever environment.
func (p *poetryPackage) active(extra string) []poetryDep {
	var out []poetryDep
	if extra == "" {
		for _, d := range p.deps {
			if !d.optional && len(d.inExtras) == 0 {
				out = append(out, d)
			}
		}
		return out
	}
	found, wanted := p.extraClosure(extra)
	for _, d := range p.deps {
		switch {
		case d.optional && !wanted[d.name]:
		case len(d.inExtras) > 0 && !slices.ContainsFunc(d.inExtras, func(e string) bool { return found[e] }):
		case d.optional || len(d.inExtras) > 0:
			out = append(out, d)
		}
	}
	return out
}

// extraClosure returns the extras that an extra brings with it, itself among them, and the packages that they name.
func (p *poetryPackage) extraClosure(extra string) (found, wanted map[string]bool) {
	found, wanted = map[string]bool{}, map[string]bool{}
	stack := []string{extra}
	for len(stack) > 0 {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if found[e] {
			continue
		}
		found[e] = true
		for _, d := range p.extras[e] {
			if d.name == p.name {
				stack = append(stack, d.extras...)
			} else {
				wanted[d.name] = true
			}
		}
	}
	return found, wanted
}

// holds reports whether a dependency applies in the environment.
func (w *poetryWalk) holds(d poetryDep, extras []string) (bool, error) {
	if d.python != nil && !d.python.allows(w.python) || d.platform != "" && !platformHolds(d.platform, w.vars["sys_platform"]) {
		return false, nil
	}
	for _, m := range d.markers {
		if ok, err := m.Decide(w.vars, extras...); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// need takes in a package that a dependency asks for. It reports whether another version of it was taken before.
func (w *poetryWalk) need(d poetryDep) (changed bool, err error) {
	if d.name == w.l.project.name {
		return false, nil
	}
	w.needs[d.name] = append(w.needs[d.name], d)
	at, ok := w.taken[d.name]
	if !ok || !w.serves(at, d) {
		best := w.best(d.name)
		if best < 0 {
			return false, w.noneFits(d.name)
		}
		w.taken[d.name] = best
		if ok {
			return true, nil
		}
		at = best
	}
	for _, extra := range append([]string{""}, d.extras...) {
		if n := (node{at, extra}); !w.done[n] {
			w.done[n] = true
			w.queue = append(w.queue, n)
		}
	}
	return false, nil
}

// best returns the package of a name that serves all that is asked of it: the highest, but a pre-release only for want of others.
func (w *poetryWalk) best(name string) int {
	best := -1
	for _, i := range w.l.byName[name] {
		if slices.ContainsFunc(w.needs[name], func(d poetryDep) bool { return !w.serves(i, d) }) {
			continue
		}
		if best < 0 {
			best = i
			continue
		}
		p, q := &w.l.packages[i], &w.l.packages[best]
		if unstable := p.parsed.IsPrerelease(); unstable != q.parsed.IsPrerelease() {
			if !unstable {
				best = i
			}
		} else if p.parsed.Compare(q.parsed) > 0 {
			best = i
		}
	}
	return best
}

// serves reports whether a package is one that a dependency allows.
func (w *poetryWalk) serves(i int, d poetryDep) bool {
	p := &w.l.packages[i]
	if !p.python.allows(w.python) || !d.constraint.allows(p.parsed) || d.and != nil && !d.and.allows(p.parsed) {
		return false
	}
	if len(w.l.byName[d.name]) == 1 {
		return true // its source is the one that was locked
	}
	s := p.source
	switch {
	case d.direct.git != "":
		return s.Type == "git"
	case d.direct.url != "":
		return s.Type == "url" && s.URL == d.direct.url
	case d.direct.path != "":
		return s.Type == "directory" || s.Type == "file"
	case d.source != "":
		return s.Type == "legacy" && s.Reference == d.source || s.Type == "" && pypa.NormalizeName(d.source) == "pypi"
	}
	return true
}

func (w *poetryWalk) noneFits(name string) error {
	locked := w.l.byName[name]
	if len(locked) == 0 {
		return &Error{File: poetryLockFile, Reason: fmt.Sprintf("%s is needed, but not in the lock", name), Hint: "run `poetry lock`"}
	}
	return &Error{File: poetryLockFile, Line: w.l.packages[locked[0]].line, Hint: "run `poetry lock`",
		Reason: fmt.Sprintf("no locked version of %s does for all that depends on it on %s", name, w.env)}
}
