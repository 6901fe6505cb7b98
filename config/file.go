package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

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

// maxFile bounds a settings file, for a project's comes from anywhere, and the
// TOML decoder takes time in the square of a table's keys (go-toml 2.4, 2026).
const maxFile = 256 << 10

// readFile reads a settings file. In a repository it may be a link to a device or
// a pipe, which a plain read would never come back from.
func readFile(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, &FileError{File: file, Reason: "it is not a regular file"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		return nil, &FileError{File: file, Reason: fmt.Sprintf("it is larger than %d KiB", maxFile>>10)}
	}
	return data, err
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
	flat := flatten(doc)
	for _, k := range keys {
		if raw, given := at(doc, k.name); given && k.isTable() {
			maps.DeleteFunc(flat, func(name string, _ any) bool { return strings.HasPrefix(name, k.name+".") })
			flat[k.name] = raw
		}
	}
	for name, raw := range flat {
		where := place(file, lines[strings.Join(append(slices.Clone(prefix), name), ".")])
		if l.source == "project" && (name == image || strings.HasPrefix(name, image+".")) {
			continue
		}
		if _, known := find(name); !known {
			errs = append(errs, fmt.Errorf("%s: %s is not a setting%s", where, name, suggest(name)))
			continue
		}
		l.set(name, raw, where)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// at is the value of a key in nested tables.
func at(doc map[string]any, name string) (any, bool) {
	section, rest, nested := strings.Cut(name, ".")
	v, given := doc[section]
	if !nested {
		return v, given
	}
	sub, _ := v.(map[string]any)
	return at(sub, rest)
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
	f := finder{lines: map[string]int{}, newlines: newlines(data)}
	f.parser.Reset(data)
	var table []string
	for f.parser.NextExpression() {
		e := f.parser.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			f.keyValue(e, table)
		case unstable.Table, unstable.ArrayTable:
			table = f.key(e, nil)
		default: // a comment
		}
	}
	return f.lines
}

// finder collects where keys stand.
type finder struct {
	parser   unstable.Parser
	newlines []int // offsets, so that each key costs a binary search and not a count from the top
	lines    map[string]int
}

func newlines(data []byte) []int {
	var out []int
	for i, b := range data {
		if b == '\n' {
			out = append(out, i)
		}
	}
	return out
}

// key notes the key of n, below prefix, and returns it.
func (f *finder) key(n *unstable.Node, prefix []string) []string {
	name, line := slices.Clone(prefix), 0
	for it := n.Key(); it.Next(); {
		part := it.Node()
		name = append(name, string(part.Data))
		line, _ = slices.BinarySearch(f.newlines, int(part.Raw.Offset))
	}
	dotted := strings.Join(name, ".")
	if _, seen := f.lines[dotted]; !seen { // of an array of tables, the first
		f.lines[dotted] = line + 1
	}
	return name
}

// keyValue notes the key of n, and those of an inline table that is its value.
func (f *finder) keyValue(n *unstable.Node, prefix []string) {
	name := f.key(n, prefix)
	if v := n.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			f.keyValue(it.Node(), name)
		}
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
