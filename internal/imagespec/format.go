package imagespec

import (
	"strconv"
	"strings"
	"unicode"
)

// formatHash is Python's format.format(spec_hash=hash).
func formatHash(format, hash string) (string, error) { return (&formatter{hash: hash}).run(format, 2) }

type formatter struct{ hash string }

func valueError(text string) error {
	return &PythonError{Type: "ValueError", Field: "tag_format", Message: text}
}

// run expands one level; depth is how often fields may nest.
func (f *formatter) run(format string, depth int) (string, error) {
	if depth == 0 {
		return "", valueError("Max string recursion exceeded")
	}
	var out strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		switch {
		case c != '{' && c != '}':
			out.WriteByte(c)
			i++
		case i+1 < len(format) && format[i+1] == c:
			out.WriteByte(c)
			i += 2
		case c == '}':
			return "", valueError("Single '}' encountered in format string")
		case i+1 == len(format):
			return "", valueError("Single '{' encountered in format string")
		default:
			end := fieldEnd(format, i+1)
			if end < 0 {
				return "", valueError("expected '}' before end of string")
			}
			s, err := f.field(format[i+1:end], depth)
			if err != nil {
				return "", err
			}
			out.WriteString(s)
			i = end + 1
		}
	}
	return out.String(), nil
}

// fieldEnd finds the brace that closes the field that begins at i. A bracket hides braces.
func fieldEnd(s string, i int) int {
	level, bracket := 1, false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case bracket:
			bracket = c != ']'
		case c == '[' && level == 1 && !strings.ContainsAny(s[:i][strings.LastIndexByte(s[:i], '{')+1:], ":!"):
			bracket = true
		case c == '{':
			level++
		case c == '}':
			if level--; level == 0 {
				return i
			}
		}
	}
	return -1
}

// field evaluates name[index]!conversion:spec.
func (f *formatter) field(field string, depth int) (string, error) {
	name, conv, spec, err := splitField(field)
	if err != nil {
		return "", err
	}
	value, err := f.lookup(name)
	if err != nil {
		return "", err
	}
	switch conv {
	case "", "s":
	case "r":
		value = Repr(Str(value))
	case "a":
		value = ascii(value)
	default:
		return "", valueError("Unknown conversion specifier " + conv)
	}
	if strings.ContainsAny(spec, "{}") {
		if spec, err = f.run(spec, depth-1); err != nil {
			return "", err
		}
	}
	return formatStr(value, spec)
}

func splitField(field string) (name, conv, spec string, err error) {
	bracket := false
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == '[':
			bracket = true
		case c == ']':
			bracket = false
		case c == '{' && !bracket:
			return "", "", "", valueError("unexpected '{' in field name")
		case c == ':' && !bracket:
			return field[:i], "", field[i+1:], nil
		case c == '!' && !bracket:
			conv, spec, colon := strings.Cut(field[i+1:], ":")
			switch {
			case conv == "" && !colon:
				return "", "", "", valueError("end of string while looking for conversion specifier")
			case len([]rune(conv)) != 1:
				return "", "", "", valueError("expected ':' after conversion specifier")
			}
			return field[:i], conv, spec, nil
		}
	}
	return field, "", "", nil
}

func (f *formatter) lookup(name string) (string, error) {
	first, rest := name, ""
	if i := strings.IndexAny(name, ".["); i >= 0 {
		first, rest = name[:i], name[i:]
	}
	if _, err := strconv.Atoi(first); first == "" || err == nil {
		if first == "" {
			first = "0"
		}
		return "", &PythonError{Type: "IndexError", Field: "tag_format", Message: "Replacement index " + first + " out of range for positional args tuple"}
	}
	if first != "spec_hash" {
		return "", &PythonError{Type: "KeyError", Field: "tag_format", Message: Repr(Str(first))}
	}
	value := f.hash
	for rest != "" {
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 {
			return "", &Unsupported{Field: "tag_format", Reason: "an attribute of spec_hash"}
		}
		n, err := strconv.Atoi(rest[1:end])
		switch {
		case err != nil || strings.ContainsAny(rest[1:end], "+-"):
			return "", &PythonError{Type: "TypeError", Field: "tag_format", Message: "string indices must be integers, not 'str'"}
		case n >= len(value):
			return "", &PythonError{Type: "IndexError", Field: "tag_format", Message: "string index out of range"}
		}
		value, rest = value[n:n+1], rest[end+1:]
	}
	return value, nil
}

// ascii is ascii(str): repr with every character outside ASCII escaped. A tag has none, so it is repr.
func ascii(s string) string { return Repr(Str(s)) }

// formatStr is format(str, spec): [[fill]align][0][width][.precision][s].
func formatStr(value, spec string) (string, error) {
	if spec == "" {
		return value, nil
	}
	c := []rune(spec)
	fill, align, i := ' ', '<', 0
	switch {
	case len(c) > 1 && isAlign(c[1]):
		fill, align, i = c[0], c[1], 2
	case isAlign(c[0]):
		align, i = c[0], 1
	}
	explicit := i > 0
	if i < len(c) && strings.ContainsRune("+- ", c[i]) {
		if c[i] == ' ' {
			return "", valueError("Space not allowed in string format specifier")
		}
		return "", valueError("Sign not allowed in string format specifier")
	}
	if i < len(c) && c[i] == 'z' {
		return "", valueError("Negative zero coercion (z) not allowed in format specifier with 's'")
	}
	if i < len(c) && c[i] == '#' {
		return "", valueError("Alternate form (#) not allowed in string format specifier")
	}
	if i < len(c) && c[i] == '0' && !(explicit && i == 2) {
		fill, i = '0', i+1 // as Python 3.10 and newer; older ones refuse it
	}
	width, i, ok := digits(c, i)
	if !ok {
		return "", valueError("Too many decimal digits in format string")
	}
	if i < len(c) && (c[i] == ',' || c[i] == '_') {
		return "", valueError("Cannot specify '" + string(c[i]) + "' with 's'.")
	}
	precision := -1
	if i < len(c) && c[i] == '.' {
		start := i + 1
		if precision, i, ok = digits(c, start); !ok {
			return "", valueError("Too many decimal digits in format string")
		}
		if i == start {
			return "", valueError("Format specifier missing precision")
		}
	}
	switch {
	case len(c)-i > 1:
		return "", valueError("Invalid format specifier '" + spec + "' for object of type 'str'")
	case len(c)-i == 1 && c[i] != 's':
		return "", valueError("Unknown format code '" + string(c[i]) + "' for object of type 'str'")
	case align == '=':
		return "", valueError("'=' alignment not allowed in string format specifier")
	}
	return pad(value, fill, align, width, precision), nil
}

func isAlign(c rune) bool { return strings.ContainsRune("<>=^", c) }

// maxWidth keeps a format from making a tag that no registry takes anyway out of all memory.
const maxWidth = 1 << 16

func digits(c []rune, i int) (n, next int, ok bool) {
	for ; i < len(c) && unicode.IsDigit(c[i]) && c[i] < 0x80; i++ {
		if n = n*10 + int(c[i]-'0'); n > maxWidth {
			return 0, i, false
		}
	}
	return n, i, true
}

func pad(value string, fill, align rune, width, precision int) string {
	r := []rune(value)
	if precision >= 0 && precision < len(r) {
		r = r[:precision]
	}
	missing := width - len(r)
	if missing <= 0 {
		return string(r)
	}
	left := 0
	switch align {
	case '>':
		left = missing
	case '^':
		left = missing / 2
	}
	f := string(fill)
	return strings.Repeat(f, left) + string(r) + strings.Repeat(f, missing-left)
}
