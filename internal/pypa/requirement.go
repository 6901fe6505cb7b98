package pypa

import (
	"fmt"
	"strings"
)

// Requirement is a dependency specifier of PEP 508.
type Requirement struct {
	Name       string   // as written
	Extras     []string // as written
	Specifiers Specifiers
	URL        string // of "name @ url"; then there are no specifiers
	Marker     Marker
}

// ParseRequirement reads a dependency specifier: "name[extra] >= 1.0; marker" or "name[extra] @ url ; marker".
func ParseRequirement(s string) (Requirement, error) {
	r, err := parseRequirement(strings.TrimSpace(s))
	if err != nil {
		return Requirement{}, fmt.Errorf("read requirement %q: %w", s, err)
	}
	return r, nil
}

func parseRequirement(s string) (Requirement, error) {
	var r Requirement
	n := 0
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	r.Name = s[:n]
	if !IsName(r.Name) {
		return r, fmt.Errorf("it does not start with the name of a package")
	}
	rest := strings.TrimLeft(s[n:], whiteSpace)
	if strings.HasPrefix(rest, "[") {
		list, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return r, fmt.Errorf("the bracket of its extras is not closed")
		}
		var err error
		if r.Extras, err = extras(list); err != nil {
			return r, err
		}
		rest = strings.TrimLeft(after, whiteSpace)
	}
	if url, ok := strings.CutPrefix(rest, "@"); ok {
		return r, r.setURL(strings.TrimSpace(url))
	}
	versions, marker, marked := strings.Cut(rest, ";")
	versions = strings.TrimSpace(versions)
	if inner, ok := strings.CutPrefix(versions, "("); ok {
		if versions, ok = strings.CutSuffix(inner, ")"); !ok {
			return r, fmt.Errorf("the parenthesis of its versions is not closed")
		}
	}
	var err error
	if r.Specifiers, err = ParseSpecifiers(versions); err != nil {
		return r, err
	}
	return r, r.setMarker(marker, marked)
}

const whiteSpace = " \t\r\n"

// setURL takes what comes after "@". A semicolon can be part of a URL, so that only white space before it makes it end one.
func (r *Requirement) setURL(text string) error {
	end := strings.IndexAny(text, whiteSpace)
	if end < 0 {
		end = len(text)
	}
	r.URL = text[:end]
	if r.URL == "" {
		return fmt.Errorf("there is no URL after @")
	}
	rest := strings.TrimSpace(text[end:])
	if rest == "" {
		return nil
	}
	marker, ok := strings.CutPrefix(rest, ";")
	if !ok {
		return fmt.Errorf("unexpected %q after the URL", rest)
	}
	return r.setMarker(marker, true)
}

func (r *Requirement) setMarker(text string, marked bool) (err error) {
	if marked {
		r.Marker, err = ParseMarker(strings.TrimSpace(text))
	}
	return err
}

func extras(list string) ([]string, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var out []string
	for e := range strings.SplitSeq(list, ",") {
		if e = strings.TrimSpace(e); !IsName(e) {
			return nil, fmt.Errorf("%q is not the name of an extra", e)
		}
		out = append(out, e)
	}
	return out, nil
}

// IsName reports whether a text can be the name of a package, extra or group: letters, digits and, between them, "-", "_" and ".".
func IsName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return s != "" && isAlphanumeric(s[0]) && isAlphanumeric(s[len(s)-1])
}

func isNameByte(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' || c == '.' }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
