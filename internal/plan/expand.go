package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// expander reads one word of a Dockerfile from left to right.
type expander struct {
	rest string
	env  variables
}

// text reads up to one of the stop characters, which stays unread, or to the end.
func (e *expander) text(stop string) (string, error) {
	var out strings.Builder
	for e.rest != "" && !strings.ContainsRune(stop, rune(e.rest[0])) {
		part, err := e.piece()
		if err != nil {
			return "", err
		}
		out.WriteString(part)
	}
	return out.String(), nil
}

func (e *expander) piece() (string, error) {
	switch e.rest[0] {
	case '\'':
		e.skip(1)
		end := strings.IndexByte(e.rest, '\'')
		if end < 0 {
			return "", fmt.Errorf("a single quote is not closed")
		}
		return e.take(end, 1), nil
	case '"':
		e.skip(1)
		return e.double()
	case '$':
		return e.dollar()
	case '\\':
		e.skip(1)
		return e.char(), nil
	}
	return e.char(), nil
}

// double reads the rest of a double-quoted string.
func (e *expander) double() (string, error) {
	var out strings.Builder
	for e.rest != "" {
		switch e.rest[0] {
		case '"':
			e.skip(1)
			return out.String(), nil
		case '$':
			value, err := e.dollar()
			if err != nil {
				return "", err
			}
			out.WriteString(value)
		case '\\':
			e.skip(1)
			if e.rest == "" {
				return "", fmt.Errorf("a double quote is not closed")
			}
			if !strings.ContainsRune("\"$\\", rune(e.rest[0])) {
				out.WriteByte('\\')
			}
			out.WriteString(e.char())
		default:
			out.WriteString(e.char())
		}
	}
	return "", fmt.Errorf("a double quote is not closed")
}

// dollar reads $NAME, ${NAME} or ${NAME<op>word}; any other dollar means itself.
func (e *expander) dollar() (string, error) {
	e.skip(1)
	if !strings.HasPrefix(e.rest, "{") {
		name := e.name()
		if name == "" {
			return "$", nil
		}
		value, _ := e.env.get(name)
		return value, nil
	}
	e.skip(1)
	name := e.name()
	if name == "" {
		return "", fmt.Errorf("${...} has no name")
	}
	value, set := e.env.get(name)
	if strings.HasPrefix(e.rest, "}") {
		e.skip(1)
		return value, nil
	}
	colon := strings.HasPrefix(e.rest, ":")
	if colon {
		e.skip(1)
		set = set && value != ""
	}
	if e.rest == "" {
		return "", fmt.Errorf("${%s is not closed", name)
	}
	op := e.rest[0]
	e.skip(1)
	word, err := e.text("}")
	if err != nil {
		return "", err
	}
	if e.rest == "" {
		return "", fmt.Errorf("${%s is not closed", name)
	}
	e.skip(1)
	return substitute(name, value, set, op, word)
}

func substitute(name, value string, set bool, op byte, word string) (string, error) {
	switch {
	case op == '-' && set, op == '?' && set:
		return value, nil
	case op == '-', op == '+' && set:
		return word, nil
	case op == '+':
		return "", nil
	case op == '?':
		return "", fmt.Errorf("%s: %s", name, strings.TrimSpace(word+" (it is not set)"))
	}
	return "", fmt.Errorf("${%s%c...} is not supported", name, op)
}

// name reads a variable's name: letters, digits and underscores; a leading digit makes it all digits;
// a special parameter is one character.
func (e *expander) name() string {
	if e.rest == "" {
		return ""
	}
	if strings.ContainsRune("@*#?-$!", rune(e.rest[0])) {
		return e.take(1, 0)
	}
	digits := e.rest[0] >= '0' && e.rest[0] <= '9'
	n := 0
	for n < len(e.rest) {
		c := e.rest[n]
		isDigit := c >= '0' && c <= '9'
		if !isDigit && (digits || c != '_' && (c|0x20 < 'a' || c|0x20 > 'z')) {
			break
		}
		n++
	}
	return e.take(n, 0)
}

func (e *expander) skip(n int) { e.rest = e.rest[n:] }

// take returns the next n bytes and skips more beyond them.
func (e *expander) take(n, more int) string {
	s := e.rest[:n]
	e.skip(n + more)
	return s
}

// char takes one character; nothing is left of a word that ends.
func (e *expander) char() string {
	_, n := utf8.DecodeRuneInString(e.rest)
	return e.take(n, 0)
}
