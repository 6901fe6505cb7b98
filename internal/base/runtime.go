package base

import (
	"bytes"
	"encoding/csv"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Runtime is the environment into which the default builder has micromamba put the Python, where there is one.
type Runtime struct {
	Dirs  map[string]Entry // its directories and those above it, by path, but for caches of bytecode
	Dists []Dist           // what is installed in it, by name
}

// Dist is an installed package.
type Dist struct {
	Name, Version string   // the name normalized
	Paths         []string // what goes when uv uninstalls it: files, and directories as a whole
	Stuck         string   // why uv cannot uninstall it; empty: it can
}

// The files that say which others a package has.
var manifests = []string{"RECORD", "top_level.txt", "namespace_packages.txt"}

// isManifest says whether p is one of a package that is installed in runtimeDir.
func isManifest(p string) bool {
	if !strings.HasPrefix(p, runtimeDir+"/") || !slices.Contains(manifests, path.Base(p)) {
		return false
	}
	ext := path.Ext(path.Dir(p))
	return ext == ".dist-info" || ext == ".egg-info"
}

// runtimeOf says what is in runtimeDir, whose Python that is; nil: it is none that lies there itself.
func runtimeOf(t *tree, python *Python) *Runtime {
	if python == nil || !strings.HasPrefix(python.Path, runtimeDir+"/") {
		return nil
	}
	r := &Runtime{Dirs: map[string]Entry{}}
	take := func(p string, n *node) {
		if n.children != nil && path.Base(p) != "__pycache__" {
			r.Dirs[p] = Entry{Mode: n.mode, UID: n.uid, GID: n.gid}
		}
	}
	for dir := runtimeDir; dir != "/"; dir = path.Dir(dir) {
		take(dir, t.at(dir))
	}
	t.at(runtimeDir).each(runtimeDir, take)
	name := "python3." + minorOf(t, python.Path, runtimeDir)
	if python.FreeThreaded && !strings.HasSuffix(name, "t") {
		name += "t"
	}
	site := path.Join(runtimeDir, "lib", name, "site-packages")
	at := t.at(site)
	if at == nil {
		return r
	}
	for child, n := range at.children {
		if d, ok := dist(t, path.Join(site, child), n); ok {
			r.Dists = append(r.Dists, d)
		}
	}
	slices.SortFunc(r.Dists, func(a, b Dist) int { return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version) })
	return r
}

// dist reads what is installed from the directory that says so, as uv does: name and version are in its name.
func dist(t *tree, at string, n *node) (Dist, bool) {
	ext := path.Ext(at)
	if ext != ".dist-info" && ext != ".egg-info" {
		return Dist{}, false
	}
	parts := strings.Split(strings.TrimSuffix(path.Base(at), ext), "-")
	if len(parts) < 2 {
		return Dist{}, false
	}
	d := Dist{Name: pypa.NormalizeName(parts[0]), Version: parts[1]}
	if _, err := pypa.ParseVersion(d.Version); err != nil {
		return Dist{}, false
	}
	switch {
	case n.children == nil:
		d.Stuck = "it was installed by distutils, which does not note what it installs"
	case ext == ".egg-info":
		d.Paths = eggPaths(t, at, n)
	case n.children["RECORD"] == nil || n.children["RECORD"].file == nil:
		d.Stuck = "it has no RECORD of what it installed"
	default:
		d.Paths = recordPaths(t, path.Dir(at), n.children["RECORD"].file.content)
	}
	return d, true
}

// recordPaths lists what goes when the files in a RECORD are removed: with them go the bytecode beside them, and
// directories that are then empty, but none above site.
func recordPaths(t *tree, site string, record []byte) []string {
	r := csv.NewReader(bytes.NewReader(record))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	lines, err := r.ReadAll()
	if err != nil {
		return nil
	}
	gone := map[string]bool{}
	dirs := map[string]bool{}
	for _, line := range lines {
		p := path.Join(site, line[0])
		if path.IsAbs(line[0]) {
			p = path.Clean(line[0])
		}
		if n := t.at(p); n == nil || n.children != nil || !strings.HasPrefix(p, runtimeDir+"/") {
			continue
		}
		gone[p] = true
		dirs[path.Dir(p)] = true
	}
	for dir := range dirs {
		for ; strings.HasPrefix(dir, site+"/"); dir = path.Dir(dir) {
			n := t.at(dir)
			if n.children["__pycache__"] != nil {
				gone[path.Join(dir, "__pycache__")] = true
			}
		}
	}
	// The deepest first: what is empty once all in it is gone goes too.
	var deep []string
	for dir := range dirs {
		for ; strings.HasPrefix(dir, site+"/"); dir = path.Dir(dir) {
			deep = append(deep, dir)
		}
	}
	slices.SortFunc(deep, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, dir := range deep {
		if empty(t.at(dir), dir, gone) {
			gone[dir] = true
		}
	}
	return topmost(gone)
}

func empty(n *node, dir string, gone map[string]bool) bool {
	for child := range n.children {
		if !gone[path.Join(dir, child)] {
			return false
		}
	}
	return true
}

// topmost leaves out what goes with a directory above it.
func topmost(gone map[string]bool) []string {
	var out []string
next:
	for p := range gone {
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			if gone[dir] {
				continue next
			}
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// eggPaths lists what goes when a package that setuptools has installed is removed: what is named in top_level.txt.
func eggPaths(t *tree, at string, n *node) []string {
	text := func(name string) []string {
		if f := n.children[name]; f != nil && f.file != nil {
			return strings.Fields(string(f.file.content))
		}
		return nil
	}
	out := []string{at}
	shared := text("namespace_packages.txt")
	for _, name := range text("top_level.txt") {
		if slices.Contains(shared, name) || strings.Contains(name, "..") {
			continue
		}
		p := path.Join(path.Dir(at), name)
		if d := t.at(p); d != nil && d.mode.Type() == fs.ModeDir {
			out = append(out, p)
			continue
		}
		for _, ext := range []string{".py", ".pyc", ".pyo"} {
			if t.at(p+ext) != nil {
				out = append(out, p+ext)
			}
		}
	}
	slices.Sort(out)
	return out
}
