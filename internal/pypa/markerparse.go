package pypa

import (
	"fmt"
	"strings"
)

// maxMarkerDepth bounds how deep parentheses may nest; uv writes two levels.
const maxMarkerDepth = 100

// ParseMarker reads an environment marker of PEP 508.
func ParseMarker(s string) (Marker, error) {
	p := markerParser{in: s}
	root, err := p.or(0)
	if err == nil && p.space() < len(s) {
		err = fmt.Errorf("unexpected %q", s[p.pos:])
	}
	if err != nil {
		return Marker{}, fmt.Errorf("read marker %q: %w", s, err)
	}
	return Marker{root: root, text: s}, nil
}

type markerParser struct {
	in  string
	pos int
}

// space skips white space and returns where it ended.
func (p *markerParser) space() int {
	for p.pos < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos
}

// word takes the given key word, if it comes next.
func (p *markerParser) word(w string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.in[p.pos:], w)
	if !ok || rest != "" && isWordByte(rest[0]) {
		return false
	}
	p.pos += len(w)
	return true
}

func isWordByte(c byte) bool {
	return c == '_' || c == '.' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func (p *markerParser) or(depth int) (expr, error) {
	first, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	all := orExpr{first}
	for p.word("or") {
		next, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *markerParser) and(depth int) (expr, error) {
	first, err := p.atom(depth)
	if err != nil {
		return nil, err
	}
	all := andExpr{first}
	for p.word("and") {
		next, err := p.atom(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *markerParser) atom(depth int) (expr, error) {
	if p.space() < len(p.in) && p.in[p.pos] == '(' {
		if depth == maxMarkerDepth {
			return nil, fmt.Errorf("it nests deeper than %d", maxMarkerDepth)
		}
		p.pos++
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.space() == len(p.in) || p.in[p.pos] != ')' {
			return nil, fmt.Errorf("a parenthesis is not closed")
		}
		p.pos++
		return inner, nil
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	op, err := p.operator()
	if err != nil {
		return nil, err
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return comparison(left, op, right)
}

var markerOps = [...]string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

func (p *markerParser) operator() (string, error) {
	if p.word("in") {
		return "in", nil
	}
	if p.word("not") {
		if p.word("in") {
			return "not in", nil
		}
		return "", fmt.Errorf("\"in\" is missing after \"not\"")
	}
	p.space()
	for _, op := range markerOps {
		if strings.HasPrefix(p.in[p.pos:], op) {
			p.pos += len(op)
			return op, nil
		}
	}
	return "", fmt.Errorf("an operator is missing at %q", p.in[p.pos:])
}

func (p *markerParser) operand() (operand, error) {
	start := p.space()
	if start == len(p.in) {
		return operand{}, fmt.Errorf("it ends where a variable or a string should come")
	}
	if q := p.in[start]; q == '\'' || q == '"' {
		n := strings.IndexByte(p.in[start+1:], q)
		if n < 0 {
			return operand{}, fmt.Errorf("a quote is not closed")
		}
		p.pos = start + n + 2
		return operand{text: p.in[start+1 : start+1+n]}, nil
	}
	for p.pos < len(p.in) && isWordByte(p.in[p.pos]) {
		p.pos++
	}
	name, ok := markerVariable(p.in[start:p.pos])
	if !ok {
		return operand{}, fmt.Errorf("%q is no variable of markers", p.in[start:min(len(p.in), max(p.pos, start+1))])
	}
	return operand{text: name, variable: true}, nil
}

// markerVariable returns a variable's present name; some are also known by those of PEP 345.
func markerVariable(s string) (string, bool) {
	switch s {
	case "python_version", "python_full_version", "os_name", "sys_platform", "platform_release", "platform_system",
		"platform_version", "platform_machine", "platform_python_implementation", "implementation_name",
		"implementation_version", "extra", "extras", "dependency_groups":
		return s, true
	case "os.name":
		return "os_name", true
	case "sys.platform":
		return "sys_platform", true
	case "platform.version":
		return "platform_version", true
	case "platform.machine":
		return "platform_machine", true
	case "platform.python_implementation", "python_implementation":
		return "platform_python_implementation", true
	}
	return "", false
}

func comparison(left operand, op string, right operand) (expr, error) {
	for _, o := range [...]operand{left, right} {
		if !o.variable {
			continue
		}
		switch o.text {
		case "extra":
			return extraComparison(left, op, right)
		case "extras", "dependency_groups":
			return containerComparison(left, op, right)
		}
	}
	switch {
	case left.variable && isVersionVariable(left.text) && !right.variable:
		return versionComparison(left.text, op, right.text)
	case right.variable && isVersionVariable(right.text) && !left.variable && op != "in" && op != "not in":
		return versionComparison(right.text, turned(op), left.text)
	case op == "~=":
		return nil, fmt.Errorf("~= compares versions only")
	}
	return stringExpr{left, right, op}, nil
}

func isVersionVariable(s string) bool {
	return s == "python_version" || s == "python_full_version" || s == "implementation_version"
}

// turned returns the operator that says the same with its sides exchanged.
func turned(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

func versionComparison(variable, op, text string) (expr, error) {
	if op != "in" && op != "not in" {
		spec, err := newSpecifier(op, strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		return versionExpr{variable, spec}, nil
	}
	list := versionListExpr{variable: variable, negate: op == "not in"}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		v, err := ParseVersion(word)
		if err != nil {
			return nil, err
		}
		list.list = append(list.list, v)
	}
	return list, nil
}

func extraComparison(left operand, op string, right operand) (expr, error) {
	if left.variable == right.variable {
		return nil, fmt.Errorf("extra can be compared with a string only")
	}
	value := left.text
	if left.variable {
		value = right.text
	}
	switch op {
	case "==", "===":
		return extraExpr{[]string{NormalizeName(value)}, false}, nil
	case "!=":
		return extraExpr{[]string{NormalizeName(value)}, true}, nil
	case "in", "not in":
		e := extraExpr{negate: op == "not in"}
		for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ' ' || r == ',' }) {
			e.names = append(e.names, NormalizeName(word))
		}
		return e, nil
	}
	return nil, fmt.Errorf("extra cannot be compared with %s", op)
}

func containerComparison(left operand, op string, right operand) (expr, error) {
	if left.variable || !right.variable || op != "in" && op != "not in" {
		return nil, fmt.Errorf("extras and dependency_groups can only be asked whether a string is in them")
	}
	name, negate := NormalizeName(left.text), op == "not in"
	if right.text == "extras" {
		return extraExpr{[]string{name}, negate}, nil
	}
	return groupExpr{name, negate}, nil
}
