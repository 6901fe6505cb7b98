package pypa

import (
	"fmt"
	"strings"
)

// Marker is an environment marker of PEP 508. The zero value holds everywhere.
type Marker struct {
	root expr
	text string
}

// Eval reports whether the marker holds with these variables and active extras. One that depends
// on a variable that env does not have does not hold; Decide tells that case apart.
//
// uv's conflict markers need nothing more: extras named 'extra-4-proj-cpu', 'group-4-proj-dev' or 'project-4-proj' are
// passed as any other. The container variables of PEP 751, "extras" and "dependency_groups", are the given
// extras, and the comma-separated groups in env["dependency_groups"].
func (m Marker) Eval(env map[string]string, extras ...string) bool {
	return m.root == nil || m.root.eval(&scope{env: env, extras: extras}) == yes
}

// Decide is Eval, with an error where the answer depends on a variable that env does not have.
func (m Marker) Decide(env map[string]string, extras ...string) (bool, error) {
	if m.root == nil {
		return true, nil
	}
	s := &scope{env: env, extras: extras}
	switch m.root.eval(s) {
	case yes:
		return true, nil
	case no:
		return false, nil
	}
	return false, fmt.Errorf("decide marker %q: %s is known only where the image runs", m.text, s.missing)
}

// String returns the marker as it was written.
func (m Marker) String() string { return m.text }

// answer is a truth value that can be unknown; the order matters: "and" is the least, "or" the greatest.
type answer int

const (
	no answer = iota
	unknown
	yes
)

func truth(b bool) answer {
	if b {
		return yes
	}
	return no
}

type scope struct {
	env     map[string]string
	extras  []string
	missing string // a variable that was asked for and is not in env
}

type expr interface{ eval(*scope) answer }

type andExpr []expr

func (e andExpr) eval(s *scope) answer {
	least := yes
	for _, x := range e {
		if least = min(least, x.eval(s)); least == no {
			break
		}
	}
	return least
}

type orExpr []expr

func (e orExpr) eval(s *scope) answer {
	most := no
	for _, x := range e {
		if most = max(most, x.eval(s)); most == yes {
			break
		}
	}
	return most
}

// operand is a variable or a quoted string.
type operand struct {
	text     string
	variable bool
}

func (o operand) value(s *scope) (string, bool) {
	if !o.variable {
		return o.text, true
	}
	v, ok := s.env[o.text]
	if !ok {
		s.missing = o.text
	}
	return v, ok
}

// stringExpr compares text with text.
type stringExpr struct {
	left, right operand
	op          string
}

func (e stringExpr) eval(s *scope) answer {
	l, ok := e.left.value(s)
	if !ok {
		return unknown
	}
	r, ok := e.right.value(s)
	if !ok {
		return unknown
	}
	switch e.op {
	case "==", "===":
		return truth(l == r)
	case "!=":
		return truth(l != r)
	case "<":
		return truth(l < r)
	case "<=":
		return truth(l <= r)
	case ">":
		return truth(l > r)
	case ">=":
		return truth(l >= r)
	case "in":
		return truth(strings.Contains(r, l))
	}
	return truth(!strings.Contains(r, l)) // "not in"; the parser lets no other through
}

// versionExpr compares a variable that holds a version with a specifier.
type versionExpr struct {
	variable string
	spec     specifier
}

func (e versionExpr) eval(s *scope) answer {
	v, ok := s.version(e.variable)
	if !ok {
		return unknown
	}
	return truth(e.spec.contains(v))
}

// versionListExpr asks whether a variable is one of several versions: python_version in '3.10 3.11'.
type versionListExpr struct {
	variable string
	list     []Version
	negate   bool
}

func (e versionListExpr) eval(s *scope) answer {
	v, ok := s.version(e.variable)
	if !ok {
		return unknown
	}
	for _, w := range e.list {
		if v.Compare(w) == 0 {
			return truth(!e.negate)
		}
	}
	return truth(e.negate)
}

func (s *scope) version(variable string) (Version, bool) {
	if text, ok := s.env[variable]; ok {
		if v, err := ParseVersion(text); err == nil {
			return v, true
		}
	}
	s.missing = variable
	return Version{}, false
}

// extraExpr asks whether any of some extras is active.
type extraExpr struct {
	names  []string
	negate bool
}

func (e extraExpr) eval(s *scope) answer {
	for _, name := range e.names {
		for _, have := range s.extras {
			if NormalizeName(have) == name {
				return truth(!e.negate)
			}
		}
	}
	return truth(e.negate)
}

// groupExpr asks whether a dependency group is active (PEP 751).
type groupExpr struct {
	name   string
	negate bool
}

func (e groupExpr) eval(s *scope) answer {
	for have := range strings.SplitSeq(s.env["dependency_groups"], ",") {
		if NormalizeName(strings.TrimSpace(have)) == e.name {
			return truth(!e.negate)
		}
	}
	return truth(e.negate)
}
