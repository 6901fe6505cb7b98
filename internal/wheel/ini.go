package wheel

import (
	"strings"
	"unicode"
)

// option is one "name = value" of an INI file.
type option struct{ name, value string }

// parseINI reads entry_points.txt by the rules of Python's configparser that the
// standard names, as pip and uv (from 0.13 on) do: "=" alone separates, a comment
// has a line of its own, nothing may come twice, and a line that is indented deeper
// than an option goes on with its value. uv 0.5 also took comments at the end of a
// line, ":" and duplicates; wheels that have these are refused.
func parseINI(text string) (map[string][]option, error) {
	p := iniParser{sections: map[string][]option{}}
	number := 0
	for line := range strings.SplitSeq(newlines.Replace(text), "\n") {
		number++
		if err := p.line(line); err != "" {
			return nil, refuse("line %d: %s", number, err)
		}
	}
	return p.sections, nil
}

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

type iniParser struct {
	sections map[string][]option
	section  string
	inside   bool // of a section
	open     bool // the last option may go on
	indent   int
}

func (p *iniParser) line(line string) (problem string) {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return ""
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	list := p.sections[p.section]
	if p.open && indent > p.indent {
		list[len(list)-1].value += "\n" + text
		return ""
	}
	p.indent, p.open = indent, false
	if end := strings.LastIndexByte(text, ']'); text[0] == '[' && end > 1 {
		p.section, p.inside = text[1:end], true
		if _, ok := p.sections[p.section]; ok {
			return "the section is there twice"
		}
		p.sections[p.section] = nil
		return ""
	}
	if !p.inside {
		return "it stands before any section"
	}
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return "it is neither a section nor of the form name = value"
	}
	for _, o := range list {
		if o.name == name {
			return "the name is there twice"
		}
	}
	p.sections[p.section] = append(list, option{name, strings.TrimSpace(value)})
	p.open = true
	return ""
}
