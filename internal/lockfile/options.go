package lockfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// option is one that a tool knows.
type option struct {
	name   string                      // without a value or an alias, as messages have it
	value  bool                        // one follows
	again  bool                        // may be given more than once
	plain  bool                        // its values are names of packages, extras or groups
	split  func(value string) []string // nil: a value is one name
	oneOf  []string
	set    func(c *Choice, value string) // nil: it changes nothing that is installed
	refuse *ArgsError
}

// optionReader takes words apart into options, with the rules that uv's and poetry's parsers share. Both refuse what they do not know.
type optionReader struct {
	tool   string // "uv sync", for messages
	known  map[string]option
	equals bool // a short option's value may follow an equals sign, which is not part of it
	seen   map[string]int
	choice Choice
	words  []string
}

func (r *optionReader) read() error {
	r.seen = map[string]int{}
	for len(r.words) > 0 {
		w := r.words[0]
		r.words = r.words[1:]
		var err error
		switch {
		case len(w) > 2 && strings.HasPrefix(w, "--"):
			name, value, given := strings.Cut(w, "=")
			err = r.take(name, value, given)
		case len(w) > 1 && w[0] == '-' && w[1] != '-':
			err = r.short(w)
		default:
			err = r.unknown(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// short reads a word of short options: flags in a row, the last of which may have a value.
func (r *optionReader) short(w string) error {
	for i, letter := range w {
		if i == 0 {
			continue
		}
		name := "-" + string(letter)
		rest := w[i+len(string(letter)):]
		o, ok := r.known[name]
		switch {
		case !ok:
			return r.unknown(name)
		case o.value && rest != "":
			if r.equals {
				rest = strings.TrimPrefix(rest, "=")
			}
			return r.take(name, rest, true)
		}
		if err := r.take(name, "", false); err != nil {
			return err
		}
	}
	return nil
}

// take goes by one option; given says that its value stands in the same word.
func (r *optionReader) take(name, value string, given bool) error {
	o, ok := r.known[name]
	switch {
	case !ok:
		return r.unknown(name)
	case o.refuse != nil:
		e := *o.refuse
		e.Reason = name + " " + e.Reason
		return &e
	case given && !o.value:
		return &ArgsError{Reason: fmt.Sprintf("%s takes no value", name)}
	}
	r.seen[o.name]++
	if r.seen[o.name] > 1 && !o.again {
		return &ArgsError{Reason: fmt.Sprintf("the argument %s cannot be used multiple times, and flytekit adds some of its own", o.name)}
	}
	if o.value && !given {
		if len(r.words) == 0 || strings.HasPrefix(r.words[0], "-") {
			return &ArgsError{Reason: fmt.Sprintf("%s has no value", name)}
		}
		value, r.words = r.words[0], r.words[1:]
	}
	return r.apply(o, name, value)
}

func (r *optionReader) apply(o option, name, value string) error {
	if o.oneOf != nil && !slices.Contains(o.oneOf, value) {
		return &ArgsError{Reason: fmt.Sprintf("%s is not one of %s", name, strings.Join(o.oneOf, ", "))}
	}
	if !o.plain {
		if o.set != nil {
			o.set(&r.choice, value)
		}
		return nil
	}
	values := []string{value}
	if o.split != nil {
		values = o.split(value)
	}
	for _, v := range values {
		if !pypa.IsName(v) {
			return &ArgsError{Reason: fmt.Sprintf("a value of %s is not a name: %q", name, withoutLogin(v))}
		}
		o.set(&r.choice, pypa.NormalizeName(v))
	}
	return nil
}

func atCommas(s string) []string { return strings.Split(s, ",") }

func atSpaces(s string) []string { return strings.Split(s, " ") }

func (r *optionReader) unknown(word string) error {
	return &ArgsError{Reason: fmt.Sprintf("unexpected argument %q, which `%s` does not know", withoutLogin(word), r.tool)}
}

// exclude refuses two options of one pair.
func (r *optionReader) exclude(pairs ...[2]string) error {
	for _, p := range pairs {
		if r.seen[p[0]] > 0 && r.seen[p[1]] > 0 {
			return &ArgsError{Reason: fmt.Sprintf("the argument %s cannot be used with %s", p[0], p[1])}
		}
	}
	return nil
}

// options is how the tables of known options are filled.
type options map[string]option

// flags adds options without a value that have no effect here.
func (o options) flags(names ...string) {
	for _, n := range names {
		o[n] = option{name: n}
	}
}

// refused adds options that are not gone by.
func (o options) refused(e ArgsError, names ...string) {
	for _, n := range names {
		o[n] = option{name: n, refuse: &e}
	}
}

func (o options) flag(name string, set func(c *Choice)) {
	o[name] = option{name: name, set: func(c *Choice, _ string) { set(c) }}
}

// names adds an option whose values are names and go into a list.
func (o options) names(name string, split func(string) []string, list func(c *Choice) *[]string) {
	o[name] = option{name: name, value: true, again: true, plain: true, split: split, set: func(c *Choice, value string) {
		if l := list(c); !slices.Contains(*l, value) {
			*l = append(*l, value)
		}
	}}
}

// alias lets an option be called otherwise as well.
func (o options) alias(name string, others ...string) {
	for _, other := range others {
		o[other] = o[name]
	}
}
