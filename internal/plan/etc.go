package plan

import (
	"bytes"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// table is an account file: lines of fields between colons.
type table [][]string

func (t *tree) table(path string) table {
	data, _ := t.content(path)
	var lines table
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, strings.Split(line, ":"))
		}
	}
	return lines
}

func (t table) find(name string) []string {
	for _, line := range t {
		if line[0] == name {
			return line
		}
	}
	return nil
}

// ids lists the numbers of a column.
func (t table) ids(column int) []int {
	var ids []int
	for _, line := range t {
		if column < len(line) {
			if id, err := strconv.Atoi(line[column]); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// appendLine adds a line to a file; a new file belongs to root.
func (t *tree) appendLine(path, line string, mode fs.FileMode) {
	data, _ := t.content(path)
	data = slices.Clip(bytes.Clone(data))
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	t.edit(path, append(data, line+"\n"...), mode, Owner{})
}

// settings are those of /etc/login.defs: a name, white space, a value.
type settings map[string]string

func (t *tree) loginDefs() settings {
	data, _ := t.content("/etc/login.defs")
	defs := settings{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(strings.ReplaceAll(line, "\t", " "), " "); ok && !strings.HasPrefix(name, "#") {
			defs[name] = strings.Trim(value, " \"")
		}
	}
	return defs
}

func (s settings) text(name, otherwise string) string {
	if v, ok := s[name]; ok {
		return v
	}
	return otherwise
}

// number reads a number as C does: 0x is hexadecimal, a leading 0 octal.
func (s settings) number(name string, otherwise int) int {
	n, err := strconv.ParseInt(s[name], 0, 64)
	if err != nil {
		return otherwise
	}
	return int(n)
}

// aging is a column of /etc/shadow: empty when the setting is missing or off.
func (s settings) aging(name string) string {
	n := s.number(name, -1)
	if n < 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// useraddDefault is a setting of /etc/default/useradd: NAME=value.
func (t *tree) useraddDefault(name, otherwise string) string {
	data, _ := t.content("/etc/default/useradd")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok && value != "" {
			return value
		}
	}
	return otherwise
}
