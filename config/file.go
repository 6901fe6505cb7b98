package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// image is the table of declared image specs, which may stand in a project's
// file beside the settings; package project reads it.
const image = "image"

// FileError is a settings file that cannot be read as such.
type FileError struct {
	File   string
	Line   int // 0: the file as a whole
	Reason string
}

func (e *FileError) Error() string { return place(e.File, e.Line) + ": " + e.Reason }

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// read lays the settings of one file over l. prefix is the table they stand in.
func (l layer) read(file string, data []byte, prefix []string) error {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		fe := &FileError{File: file, Reason: err.Error()}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			fe.Line, _ = de.Position()
			fe.Reason = strings.TrimPrefix(de.Error(), "toml: ")
		}
		return fe
	}
	for _, p := range prefix {
		doc, _ = doc[p].(map[string]any)
	}
	lines := keyLines(data)
	var errs []error
	for name, raw := range flatten(doc) {
		at := place(file, lines[strings.Join(append(slices.Clone(prefix), name), ".")])
		if l.source == "project" && (name == image || strings.HasPrefix(name, image+".")) {
			continue
		}
		if _, known := find(name); !known {
			errs = append(errs, fmt.Errorf("%s: %s is not a setting%s", at, name, suggest(name)))
			continue
		}
		l.set(name, raw, at)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// flatten turns {"log": {"level": x}} into {"log.level": x}. A table in the
// place of a value keeps its dots, and so becomes an unknown key.
func flatten(doc map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range doc {
		sub, table := v.(map[string]any)
		if !table {
			out[name] = v
			continue
		}
		for rest, v := range flatten(sub) {
			out[name+"."+rest] = v
		}
	}
	return out
}

// keyLines returns the line of every key in a document that parses.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	p := unstable.Parser{}
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var name []string
		line := 0
		for it := e.Key(); it.Next(); {
			n := it.Node()
			name = append(name, string(n.Data))
			line = p.Shape(n.Raw).Start.Line
		}
		if e.Kind == unstable.KeyValue {
			name = append(slices.Clone(table), name...)
			inlineLines(&p, e.Value(), name, lines)
		} else {
			table = name
		}
		if _, seen := lines[strings.Join(name, ".")]; !seen {
			lines[strings.Join(name, ".")] = line
		}
	}
	return lines
}

// inlineLines adds the keys of an inline table.
func inlineLines(p *unstable.Parser, v *unstable.Node, prefix []string, lines map[string]int) {
	if v.Kind != unstable.InlineTable {
		return
	}
	for it := v.Children(); it.Next(); {
		kv := it.Node()
		name, line := slices.Clone(prefix), 0
		for k := kv.Key(); k.Next(); {
			n := k.Node()
			name = append(name, string(n.Data))
			line = p.Shape(n.Raw).Start.Line
		}
		lines[strings.Join(name, ".")] = line
		inlineLines(p, kv.Value(), name, lines)
	}
}

// suggest names the key that was probably meant.
func suggest(name string) string {
	best, distance := "", 4
	for _, k := range keys {
		d := edits(strings.ToLower(name), k.name)
		if _, last, _ := strings.Cut(k.name, "."); last == name { // the section was forgotten
			d = 1
		}
		if d < distance {
			best, distance = k.name, d
		}
	}
	if best == "" {
		return "; `imgspecd config` lists them"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
