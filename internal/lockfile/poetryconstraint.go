package lockfile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// constraint is what versions a dependency of poetry allows: those of any one of some specifiers. The zero value allows all.
type constraint struct {
	any []pypa.Specifiers
}

func (c constraint) allows(v pypa.Version) bool {
	if len(c.any) == 0 {
		return true
	}
	for _, s := range c.any {
		if s.Contains(v) {
			return true
		}
	}
	return false
}

var (
	orSplit  = regexp.MustCompile(`\s*\|\|?\s*`)
	anything = regexp.MustCompile(`^(?i)v?[x*](\.[x*])*$`)
	oneTerm  = regexp.MustCompile(`^(\^|~=|~|==|=|!=|<=|>=|<|>)?\s*v?(.*?)((?:\.\*)*)$`)
)

// parseConstraint reads poetry's form of version constraints: "^1.2", "~1.2", "1.2.*", ">=1.2,<2.0 || >=3.0", besides those of PEP 440.
func parseConstraint(text string) (constraint, error) {
	var c constraint
	for _, alternative := range orSplit.Split(strings.TrimSpace(text), -1) {
		var terms []string
		words := splitAnd(alternative)
		if len(words) == 0 {
			return c, fmt.Errorf("read constraint %q: it names no version", text)
		}
		for _, term := range words {
			if anything.MatchString(term) {
				continue
			}
			spec, err := specifierOf(term)
			if err != nil {
				return c, fmt.Errorf("read constraint %q: %w", text, err)
			}
			terms = append(terms, spec)
		}
		if len(terms) == 0 {
			return constraint{}, nil
		}
		specs, err := pypa.ParseSpecifiers(strings.Join(terms, ","))
		if err != nil {
			return c, fmt.Errorf("read constraint %q: %w", text, err)
		}
		c.any = append(c.any, specs)
	}
	return c, nil
}

// splitAnd takes apart what commas or spaces join. A space after an operator joins nothing.
func splitAnd(text string) []string {
	var out []string
	open := false // the last word was an operator alone
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if open {
			out[len(out)-1] += word
		} else {
			out = append(out, word)
		}
		open = strings.Trim(word, "^~=<>!") == ""
	}
	return out
}

// specifierOf returns one term of a constraint as PEP 440 writes it.
func specifierOf(term string) (string, error) {
	m := oneTerm.FindStringSubmatch(term)
	if m == nil || m[2] == "" {
		return "", fmt.Errorf("%q is not a constraint", term)
	}
	op, text, wildcard := m[1], m[2], m[3] != ""
	v, err := pypa.ParseVersion(text)
	if err != nil {
		return "", err
	}
	switch op {
	case "^":
		return ">=" + text + ",<" + nextBreaking(v.Numbers()), nil
	case "~":
		numbers := v.Numbers()
		return ">=" + text + ",<" + bump(numbers, min(2, len(numbers))), nil
	case "", "=", "==":
		if wildcard {
			return "==" + text + ".*", nil
		}
		return "==" + text, nil
	case "!=":
		if wildcard {
			return "!=" + text + ".*", nil
		}
	case "~=":
		if len(v.Numbers()) == 1 { // poetry has it as PEP 440 does not
			return ">=" + text + ",<" + bump(v.Numbers(), 1), nil
		}
	}
	return op + text, nil
}

// nextBreaking returns the first version that "^" leaves out: the next of the first number that is not zero, among the first three.
func nextBreaking(numbers []uint64) string {
	for i, n := range numbers[:min(3, len(numbers))] {
		if n != 0 {
			return bump(numbers, i+1)
		}
	}
	return bump(numbers, min(3, len(numbers)))
}

// bump returns a version of the first n numbers, the last of them one higher.
func bump(numbers []uint64, n int) string {
	parts := make([]string, n)
	for i := range n {
		next := numbers[i]
		if i == n-1 {
			next++
		}
		parts[i] = fmt.Sprint(next)
	}
	return strings.Join(parts, ".")
}

// platformHolds reports whether poetry's constraint on sys.platform does: "linux", "!=win32", "linux || darwin".
func platformHolds(text, platform string) bool {
	for _, alternative := range orSplit.Split(strings.TrimSpace(text), -1) {
		holds := true
		for _, term := range splitAnd(alternative) {
			if name, ok := strings.CutPrefix(term, "!="); ok {
				holds = holds && strings.TrimSpace(name) != platform
				continue
			}
			name := strings.TrimSpace(strings.TrimLeft(term, "="))
			holds = holds && (name == platform || name == "*")
		}
		if holds {
			return true
		}
	}
	return false
}
