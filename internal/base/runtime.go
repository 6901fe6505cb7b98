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

// Runtime is an environment with packages: that into which the default builder has micromamba put the Python, or the one in
// which Python itself lies.
type Runtime struct {
	Prefix string           // /opt/micromamba/envs/runtime, /usr/local
	Site   string           // its site-packages
	Venv   bool             // it is a virtual environment
	Dirs   map[string]Entry // its directories and those above it, by path, but for caches of bytecode
	Dists  []Dist           // what is installed in it, by name
}

// Dist is an installed package.
type Dist struct {
	Name, Version string   // the name normalized
	Paths         []string // what goes when uv uninstalls it: files, and directories as a whole
	Stuck         string   // why uv cannot uninstall it; empty: it can
}

// The files that say which others a package has.
var manifests = []string{"RECORD", "top_level.txt", "namespace_packages.txt"}

// isManifest says whether p is one of a package that is installed in an environment.
func isManifest(p string) bool {
	if !slices.Contains(manifests, path.Base(p)) || inVenv(p) {
		return false
	}
	info := path.Dir(p)
	ext := path.Ext(info)
	return (ext == ".dist-info" || ext == ".egg-info") && path.Base(path.Dir(info)) == "site-packages"
}

// runtimeOf says what is in runtimeDir, whose Python that is; nil: it is none that lies there itself.
func runtimeOf(t *tree, python *Python) *Runtime {
	if python == nil || !strings.HasPrefix(python.Path, runtimeDir+"/") {
		return nil
	}
	r := &Runtime{Prefix: runtimeDir, Dirs: map[string]Entry{}}
	take := func(p string, n *node) {
		if n.children != nil && path.Base(p) != "__pycache__" {
			r.Dirs[p] = Entry{Mode: n.mode, UID: n.uid, GID: n.gid}
		}
	}
	for dir := runtimeDir; dir != "/"; dir = path.Dir(dir) {
		take(dir, t.at(dir))
	}
	t.at(runtimeDir).each(runtimeDir, take)
	r.Site = path.Join(runtimeDir, "lib", libName(t, python, runtimeDir), "site-packages")
	r.read(t)
	return r
}

// siteOf says what is among the packages of Python itself. It is nil where these belong to the system, as in /usr: installers
// leave them alone.
func siteOf(t *tree, python *Python) *Runtime {
	if python == nil || inVenv(python.Link) {
		return nil
	}
	prefix := path.Dir(path.Dir(python.Link))
	lib := path.Join(prefix, "lib", libName(t, python, path.Dir(path.Dir(python.Path))))
	r := &Runtime{Prefix: prefix, Site: path.Join(lib, "site-packages"), Venv: t.follow(prefix+"/pyvenv.cfg") != nil, Dirs: map[string]Entry{}}
	if prefix == "/usr" || prefix == "/" || t.at(r.Site) == nil || t.at(r.Site).children == nil || t.follow(lib+"/EXTERNALLY-MANAGED") != nil {
		return nil
	}
	take := func(p string, n *node) {
		standard := strings.HasPrefix(p, lib+"/") && p != r.Site && !strings.HasPrefix(p, r.Site+"/")
		if n.children != nil && path.Base(p) != "__pycache__" && !standard {
			r.Dirs[p] = Entry{Mode: n.mode, UID: n.uid, GID: n.gid}
		}
	}
	for dir := prefix; dir != "/"; dir = path.Dir(dir) {
		take(dir, t.at(dir))
	}
	t.at(prefix).each(prefix, take)
	r.read(t)
	return r
}

// libName is the directory of a Python's library.
func libName(t *tree, python *Python, prefix string) string {
	name := "python3." + minorOf(t, python.Path, prefix)
	if python.FreeThreaded && !strings.HasSuffix(name, "t") {
		name += "t"
	}
	return name
}

// read looks at what is installed in Site.
func (r *Runtime) read(t *tree) {
	at := t.at(r.Site)
	if at == nil {
		return
	}
	for child, n := range at.children {
		if d, ok := r.dist(t, path.Join(r.Site, child), n); ok {
			r.Dists = append(r.Dists, d)
		}
	}
	slices.SortFunc(r.Dists, func(a, b Dist) int { return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version) })
}

// dist reads what is installed from the directory that says so, as uv does: name and version are in its name.
func (r *Runtime) dist(t *tree, at string, n *node) (Dist, bool) {
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
		d.Paths = r.recordPaths(t, n.children["RECORD"].file.content)
	}
	return d, true
}

// recordPaths lists what goes when the files in a RECORD are removed: with them go the bytecode beside them, and
// directories that are then empty, but none above site.
func (r *Runtime) recordPaths(t *tree, record []byte) []string {
	site := r.Site
	in := csv.NewReader(bytes.NewReader(record))
	in.FieldsPerRecord, in.LazyQuotes = -1, true
	lines, err := in.ReadAll()
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
		if n := t.at(p); n == nil || n.children != nil || !strings.HasPrefix(p, r.Prefix+"/") {
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
