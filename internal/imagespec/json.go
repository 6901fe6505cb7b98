package imagespec

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// ParseKwargs reads an ImageSpec's keyword arguments from JSON. What JSON lacks is written as an object
// with one marked member: {"__tuple__": [...]}, {"__dict__": [[key, value], ...]}, {"__path__": "a/b"},
// {"__float__": "inf"}, {"__copymode__": "ALL"}, {"__imagespec__": {...}}. The order of members counts,
// as does the difference between 1 and 1.0; integers may be of any size.
func ParseKwargs(b []byte) (Spec, error) {
	p := parser{in: string(b)}
	members, err := p.top()
	if err != nil {
		return Spec{}, fmt.Errorf("read the spec's JSON: %w", err)
	}
	return specOf(members)
}

// ParseValue reads one value in the form of ParseKwargs.
func ParseValue(b []byte) (Value, error) {
	p := parser{in: string(b)}
	v, err := p.value(0)
	if err == nil {
		err = p.end()
	}
	return v, err
}

// ParseCall reads a method call, ["with_packages", [["a"]]], and applies it to a spec.
func ParseCall(s Spec, b []byte) (Spec, error) {
	v, err := ParseValue(b)
	if err != nil {
		return s, fmt.Errorf("read the spec's calls: %w", err)
	}
	if call, ok := v.(List); ok && len(call) == 2 {
		method, isStr := call[0].(Str)
		args, isList := call[1].(List)
		if isStr && isList {
			return s.Call(string(method), args)
		}
	}
	return s, fmt.Errorf("read the spec's calls: want [method, [arguments]]")
}

type member struct {
	key   string
	value Value
}

func specOf(members []member) (Spec, error) {
	s := Spec{fields: map[string]Value{}}
	for _, m := range members {
		next, err := s.With(m.key, m.value)
		if err != nil {
			return s, err
		}
		s = next
	}
	return s, nil
}

// parser is a JSON reader that keeps what encoding/json loses: member order, how numbers are written,
// and lone surrogates.
type parser struct {
	in string
	at int
}

const maxDepth = 100

func (p *parser) top() ([]member, error) {
	p.blank()
	if p.at >= len(p.in) || p.in[p.at] != '{' {
		return nil, p.fail("want an object")
	}
	members, err := p.object(0)
	if err != nil {
		return nil, err
	}
	return members, p.end()
}

func (p *parser) fail(what string) error { return fmt.Errorf("at byte %d: %s", p.at, what) }

func (p *parser) end() error {
	if p.blank(); p.at < len(p.in) {
		return p.fail("text after the end")
	}
	return nil
}

func (p *parser) blank() {
	for p.at < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.at]) >= 0 {
		p.at++
	}
}

// eat moves past c if it comes next.
func (p *parser) eat(c byte) bool {
	p.blank()
	if p.at < len(p.in) && p.in[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	p.blank()
	if p.at >= len(p.in) {
		return nil, p.fail("ends early")
	}
	for word, v := range map[string]Value{"null": None{}, "true": Bool(true), "false": Bool(false)} {
		if strings.HasPrefix(p.in[p.at:], word) {
			p.at += len(word)
			return v, nil
		}
	}
	switch c := p.in[p.at]; {
	case c == '"':
		s, err := p.text()
		return Str(s), err
	case c == '[':
		return p.array(depth)
	case c == '{':
		members, err := p.object(depth)
		if err != nil {
			return nil, err
		}
		return valueOf(members)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	return nil, p.fail("want a value")
}

func (p *parser) array(depth int) (Value, error) {
	p.at++
	list := List{}
	if p.eat(']') {
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.eat(']') {
			return list, nil
		}
		if !p.eat(',') {
			return nil, p.fail("want , or ]")
		}
	}
}

func (p *parser) object(depth int) ([]member, error) {
	p.at++
	var members []member
	if p.eat('}') {
		return nil, nil
	}
	for {
		p.blank()
		if p.at >= len(p.in) || p.in[p.at] != '"' {
			return nil, p.fail("want a member's name")
		}
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if !p.eat(':') {
			return nil, p.fail("want :")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, v})
		if p.eat('}') {
			return members, nil
		}
		if !p.eat(',') {
			return nil, p.fail("want , or }")
		}
	}
}

func (p *parser) number() (Value, error) {
	start := p.at
	for p.at < len(p.in) && strings.IndexByte("+-0123456789.eE", p.in[p.at]) >= 0 {
		p.at++
	}
	text := p.in[start:p.at]
	if !json.Valid([]byte(text)) {
		return nil, p.fail("bad number " + text)
	}
	if strings.ContainsAny(text, ".eE") {
		f, _ := strconv.ParseFloat(text, 64) // out of range is infinite, as in Python
		return Float(f), nil
	}
	n, _ := new(big.Int).SetString(text, 10)
	return Int{n}, nil
}

func (p *parser) text() (string, error) {
	p.at++
	var out []byte
	for p.at < len(p.in) {
		c := p.in[p.at]
		switch {
		case c == '"':
			p.at++
			return string(out), nil
		case c < 0x20:
			return "", p.fail("control character in a string")
		case c != '\\':
			r, n := decode(p.in[p.at:])
			if r == '\uFFFD' && n == 1 {
				return "", p.fail("not UTF-8")
			}
			out = append(out, p.in[p.at:p.at+n]...)
			p.at += n
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = appendChar(out, r)
		}
	}
	return "", p.fail("string does not end")
}

func (p *parser) escape() (rune, error) {
	rest := p.in[p.at+1:]
	if rest == "" {
		return 0, p.fail("string does not end")
	}
	if i := strings.IndexByte(`"\/bfnrt`, rest[0]); i >= 0 {
		p.at += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	hi, ok := hex4(rest)
	if !ok {
		return 0, p.fail("bad escape")
	}
	p.at += 6
	if hi >= 0xd800 && hi <= 0xdbff && strings.HasPrefix(p.in[p.at:], `\`) {
		if lo, ok := hex4(p.in[p.at+1:]); ok && lo >= 0xdc00 && lo <= 0xdfff {
			p.at += 6
			return 0x10000 + (hi-0xd800)<<10 + (lo - 0xdc00), nil
		}
	}
	return hi, nil
}

func hex4(s string) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:5], 16, 16)
	return rune(n), err == nil
}

// valueOf turns an object into a dict, or into what its one marked member says.
func valueOf(members []member) (Value, error) {
	if len(members) == 1 {
		if v, marked, err := markedValue(members[0]); marked || err != nil {
			return v, err
		}
	}
	d := NewDict()
	for _, m := range members {
		if err := d.Set(Str(m.key), m.value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func markedValue(m member) (Value, bool, error) {
	bad := fmt.Errorf("%s holds a value of the wrong kind", m.key)
	list, isList := m.value.(List)
	text, isStr := m.value.(Str)
	switch m.key {
	case "__tuple__":
		if isList {
			return Tuple(list), true, nil
		}
	case "__dict__":
		if isList {
			d, err := pairs(list)
			return d, true, err
		}
	case "__path__":
		if isStr {
			return NewPath(string(text)), true, nil
		}
	case "__float__":
		if f, ok := map[Str]float64{"inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN()}[text]; ok {
			return Float(f), true, nil
		}
		if f, err := strconv.ParseFloat(string(text), 64); isStr && err == nil {
			return Float(f), true, nil
		}
	case "__copymode__":
		if mode, ok := copyMode(string(text)); ok {
			return mode, true, nil
		}
	case "__imagespec__":
		if d, ok := m.value.(*Dict); ok {
			s, err := specOfDict(d)
			return s, true, err
		}
	default:
		return nil, false, nil
	}
	return nil, true, bad
}

func pairs(list List) (*Dict, error) {
	d := NewDict()
	for _, e := range list {
		pair, ok := e.(List)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("__dict__ holds something that is no [key, value]")
		}
		if err := d.Set(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func specOfDict(d *Dict) (Spec, error) {
	members := make([]member, len(d.Keys))
	for i := range d.Keys {
		k, _ := d.Keys[i].(Str)
		members[i] = member{string(k), d.Values[i]}
	}
	return specOf(members)
}
