package pypa

import (
	"fmt"
	"strings"
)

// Specifiers is a set of version specifiers of PEP 440, all of which must hold: ">=3.10,<4". The zero value holds for every version.
type Specifiers struct {
	all  []specifier
	text string
}

type specifier struct {
	op       string
	version  Version
	wildcard bool   // "== 1.2.*"
	literal  string // of "===", in lower case
}

// Longer operators come first, so that the first that fits is the right one.
var specifierOps = [...]string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

// ParseSpecifiers reads a comma-separated list of specifiers; an empty one holds for every version.
func ParseSpecifiers(s string) (Specifiers, error) {
	set := Specifiers{text: s}
	for text := range strings.SplitSeq(s, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		one, err := parseSpecifier(text)
		if err != nil {
			return Specifiers{}, err
		}
		set.all = append(set.all, one)
	}
	return set, nil
}

func parseSpecifier(text string) (specifier, error) {
	for _, op := range specifierOps {
		if rest, ok := strings.CutPrefix(text, op); ok {
			return newSpecifier(op, strings.TrimSpace(rest))
		}
	}
	return specifier{}, fmt.Errorf("%q is not a version specifier: it starts with no operator", text)
}

func newSpecifier(op, text string) (specifier, error) {
	s := specifier{op: op}
	if op == "===" {
		if text == "" || strings.ContainsAny(text, " \t,;()") {
			return s, fmt.Errorf("\"===%s\" is not a version specifier", text)
		}
		s.literal = strings.ToLower(text)
		return s, nil
	}
	if rest, ok := strings.CutSuffix(text, ".*"); ok && (op == "==" || op == "!=") {
		s.wildcard, text = true, rest
	}
	var err error
	if s.version, err = ParseVersion(text); err != nil {
		return s, fmt.Errorf("read specifier %q: %w", op+text, err)
	}
	v := s.version
	switch {
	case s.wildcard && (v.IsPrerelease() || v.post.kind != "" || v.local != nil):
		return s, fmt.Errorf("%q is not a version specifier: only release numbers can precede .*", op+text)
	case op == "~=" && len(v.release) < 2:
		return s, fmt.Errorf("%q is not a version specifier: ~= needs two release numbers", op+text)
	case v.local != nil && op != "==" && op != "!=":
		return s, fmt.Errorf("%q is not a version specifier: a local version goes with == and != only", op+text)
	}
	return s, nil
}

// Contains reports whether all specifiers hold for v. Pre-releases are not treated apart: they are in
// where the order of versions puts them in, as packaging's contains(prereleases=True) has it.
func (s Specifiers) Contains(v Version) bool {
	for _, one := range s.all {
		if !one.contains(v) {
			return false
		}
	}
	return true
}

// Pin returns the version of specifiers that allow one version only, "" for others: "==1.0" or "===1.0", but neither "==1.*" nor ">=1,<=1".
func (s Specifiers) Pin() string {
	if len(s.all) != 1 || s.all[0].wildcard {
		return ""
	}
	switch one := s.all[0]; one.op {
	case "==":
		return one.version.String()
	case "===":
		return one.literal
	}
	return ""
}

// IsAny reports whether there are no specifiers, so that every version will do.
func (s Specifiers) IsAny() bool { return len(s.all) == 0 }

// String returns the specifiers as they were written.
func (s Specifiers) String() string { return s.text }

func (s specifier) contains(v Version) bool {
	switch s.op {
	case "===":
		return strings.ToLower(v.String()) == s.literal
	case "==":
		return s.equal(v)
	case "!=":
		return !s.equal(v)
	case "<=":
		return v.Public().Compare(s.version) <= 0
	case ">=":
		return v.Public().Compare(s.version) >= 0
	case "<":
		return s.less(v)
	case ">":
		return s.greater(v)
	}
	// "~=": at least this, with the same numbers but the last.
	n := len(s.version.release) - 1
	return v.Public().Compare(s.version) >= 0 && samePrefix(v, s.version.epoch, s.version.release[:n])
}

func (s specifier) equal(v Version) bool {
	if s.wildcard {
		return samePrefix(v, s.version.epoch, s.version.release)
	}
	if s.version.local == nil {
		v = v.Public()
	}
	return v.Compare(s.version) == 0
}

func samePrefix(v Version, epoch uint64, release []uint64) bool {
	if v.epoch != epoch {
		return false
	}
	for i, n := range release {
		if at(v.release, i) != n {
			return false
		}
	}
	return true
}

// less leaves out pre-releases of the named version itself: 1.0rc1 is not < 1.0.
func (s specifier) less(v Version) bool {
	bound := s.version
	if !bound.IsPrerelease() {
		bound.dev = part{kind: "dev"} // 1.0.dev0, the first of them
	}
	return v.Compare(bound) < 0
}

// greater leaves out post-releases and local versions of the named version itself: neither 1.0.post1 nor 1.0+x is > 1.0.
func (s specifier) greater(v Version) bool {
	if v.Public().Compare(s.version) <= 0 {
		return false
	}
	ownPost := s.version.post.kind == "" && s.version.dev.kind == "" && v.post.kind != "" &&
		v.pre == s.version.pre && v.Release().Compare(s.version.Release()) == 0
	return !ownPost
}
