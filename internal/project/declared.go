package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// declaration is what pyproject.toml or imgspecd.toml says to imgspecd.
type declaration struct {
	file           string   // relative to the project
	path           []string // of the array of tables that hold specs
	requiresPython string
	images         []table
	err            error // it does not parse
	line           int
}

// table is one [[tool.imgspecd.image]] or, in imgspecd.toml, [[image]]: the fields of ImageSpec under their own names.
type table struct {
	line   int
	fields *imagespec.Dict
	lines  map[string]int
}

// readDeclaration reads a file of a project. It keeps the order of members, as flytekit hashes it.
func readDeclaration(dir, file string, path ...string) declaration {
	d := declaration{file: file, path: path}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return d
	}
	// The strict reader finds what the reader below lets pass: double keys, wrong dates.
	var all struct {
		Project struct {
			RequiresPython string `toml:"requires-python"`
		}
	}
	if err := toml.Unmarshal(b, &all); err != nil {
		d.err, d.line = err, 1
		var at *toml.DecodeError
		if errors.As(err, &at) {
			d.line, _ = at.Position()
		}
		return d
	}
	d.requiresPython = all.Project.RequiresPython
	d.err = d.tables(b)
	return d
}

func (d *declaration) tables(b []byte) error {
	var p unstable.Parser
	p.Reset(b)
	var within []string // the path of the current table below the last image; nil outside
	inside := false
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.ArrayTable, unstable.Table:
			path := keys(e.Key())
			n := len(d.path)
			inside = len(path) >= n && equal(path[:n], d.path)
			switch {
			case !inside:
			case e.Kind == unstable.ArrayTable && len(path) == n:
				d.images = append(d.images, table{line: keyLine(&p, e), fields: imagespec.NewDict(), lines: map[string]int{}})
				within = nil
			case len(d.images) == 0 || e.Kind == unstable.ArrayTable:
				return fmt.Errorf("line %d: image is an array of tables: write [[%s]]", keyLine(&p, e), strings.Join(d.path, "."))
			default:
				within = path[n:]
				d.last().lines[within[0]] = keyLine(&p, e)
				if err := setIn(d.last().fields, within, imagespec.NewDict()); err != nil {
					return err
				}
			}
		case unstable.KeyValue:
			if !inside || len(d.images) == 0 {
				continue
			}
			path := append(append([]string{}, within...), keys(e.Key())...)
			if _, ok := d.last().lines[path[0]]; !ok {
				d.last().lines[path[0]] = keyLine(&p, e)
			}
			v, err := tomlValue(e.Value())
			if err == nil {
				err = setIn(d.last().fields, path, v)
			}
			if err != nil {
				return fmt.Errorf("line %d: %s: %w", keyLine(&p, e), strings.Join(path, "."), err)
			}
		}
	}
	return p.Error()
}

func (d *declaration) last() *table { return &d.images[len(d.images)-1] }

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

func keys(it unstable.Iterator) []string {
	var out []string
	for it.Next() {
		out = append(out, string(it.Node().Data))
	}
	return out
}

func keyLine(p *unstable.Parser, e *unstable.Node) int {
	it := e.Key()
	if !it.Next() {
		return 0
	}
	return p.Shape(it.Node().Raw).Start.Line
}

// setIn sets a value at a dotted path.
func setIn(d *imagespec.Dict, path []string, v imagespec.Value) error {
	for _, k := range path[:len(path)-1] {
		next, ok := d.Get(k)
		if !ok {
			next = imagespec.NewDict()
			if err := d.Set(imagespec.Str(k), next); err != nil {
				return err
			}
		}
		inner, ok := next.(*imagespec.Dict)
		if !ok {
			return fmt.Errorf("%s is no table", k)
		}
		d = inner
	}
	return d.Set(imagespec.Str(path[len(path)-1]), v)
}

func tomlValue(n *unstable.Node) (imagespec.Value, error) {
	switch n.Kind {
	case unstable.String:
		return imagespec.Str(n.Data), nil
	case unstable.Bool:
		return imagespec.Bool(string(n.Data) == "true"), nil
	case unstable.Integer:
		i, err := strconv.ParseInt(strings.ReplaceAll(string(n.Data), "_", ""), 0, 64)
		return imagespec.NewInt(i), err
	case unstable.Float:
		f, err := strconv.ParseFloat(strings.ReplaceAll(string(n.Data), "_", ""), 64)
		return imagespec.Float(f), err
	case unstable.Array:
		list := imagespec.List{}
		for it := n.Children(); it.Next(); {
			v, err := tomlValue(it.Node())
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case unstable.InlineTable:
		d := imagespec.NewDict()
		for it := n.Children(); it.Next(); {
			v, err := tomlValue(it.Node().Value())
			if err == nil {
				err = setIn(d, keys(it.Node().Key()), v)
			}
			if err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return nil, fmt.Errorf("a %s is no value of an ImageSpec", n.Kind)
}

// declared adds the specs of pyproject.toml or imgspecd.toml.
func (p *reading) declared(d declaration) {
	file := d.file
	if d.err != nil {
		p.res.Unreadable = append(p.res.Unreadable, Unreadable{File: file, Line: d.line, Reason: "it cannot be read: " + d.err.Error()})
		return
	}
	for _, t := range d.images {
		spec, field, err := t.spec()
		if err != nil {
			line := t.lines[field]
			if line == 0 {
				line = t.line
			}
			p.res.Unreadable = append(p.res.Unreadable, Unreadable{File: file, Line: line, Field: field, Reason: err.Error()})
			continue
		}
		name := ""
		if spec.Get("name") != nil {
			name = spec.ImageName()
		}
		p.add(Found{Spec: spec, Source: Source{Kind: KindDeclared, File: file, Line: t.line, Variable: name}, RunRoot: p.dir})
	}
}

func (t table) spec() (spec imagespec.Spec, field string, err error) {
	for i, k := range t.fields.Keys {
		field = string(k.(imagespec.Str))
		v := t.fields.Values[i]
		if !imagespec.Known(field) {
			return spec, field, errors.New("ImageSpec has no such field")
		}
		if v, err = declaredValue(field, v); err != nil {
			return spec, field, err
		}
		if spec, err = spec.With(field, v); err != nil {
			return spec, field, err
		}
	}
	return spec, "", nil
}

// declaredValue gives the fields for whose types TOML has no words the values that Python code would.
func declaredValue(field string, v imagespec.Value) (imagespec.Value, error) {
	switch field {
	case "source_copy_mode":
		text, _ := v.(imagespec.Str)
		mode, ok := imagespec.ParseCopyMode(string(text))
		if !ok {
			return nil, errors.New("want LOADED_MODULES, ALL or NO_COPY")
		}
		return mode, nil
	case "pip_secret_mounts":
		list, ok := v.(imagespec.List)
		if !ok {
			return v, nil
		}
		out := make(imagespec.List, len(list))
		for i, e := range list {
			out[i] = e
			if pair, ok := e.(imagespec.List); ok {
				out[i] = imagespec.Tuple(pair)
			}
		}
		return out, nil
	case "base_image":
		d, ok := v.(*imagespec.Dict)
		if !ok {
			return v, nil
		}
		spec, field, err := table{fields: d}.spec()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		return spec, nil
	}
	return v, nil
}

func (p *reading) readToml() {
	p.toml = readDeclaration(p.dir, "pyproject.toml", "tool", "imgspecd", "image")
	p.own = readDeclaration(p.dir, "imgspecd.toml", "image")
	p.inputs(filepath.Join(p.dir, "imgspecd.toml"))
}
