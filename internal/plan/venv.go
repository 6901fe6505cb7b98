package plan

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Locked reports whether a spec's requirements are a lock, which the default builder
// installs into an environment of its own; all else goes where its Python is.
func Locked(spec imagespec.Spec) bool {
	file := spec.Requirements()
	return file != "" && lockfile.Kind(file).IsLock()
}

// Prefix is the environment that packages go into. The default builder has micromamba
// put a Python into runtimeDir; here it is a virtual environment of the base's Python.
func Prefix(spec imagespec.Spec) string {
	if Locked(spec) || HasExec(spec) {
		return venvDir
	}
	return runtimeDir
}

// scheme is where packages go in a virtual environment of that Python.
func scheme(prefix string, python *base.Python) wheel.Scheme {
	name := "python" + minor(python.Version)
	headers := prefix + "/include/site/" + name
	if prefix == runtimeDir && strings.HasPrefix(python.Path, runtimeDir+"/") {
		headers = prefix + "/include/" + name + threads(python) // it is no virtual environment
	}
	return wheel.Scheme{
		Prefix:       prefix,
		SitePackages: prefix + "/lib/" + name + threads(python) + "/site-packages",
		Scripts:      prefix + "/bin",
		Headers:      headers,
		Interpreter:  prefix + "/bin/python",
	}
}

// threads is what a free-threaded build adds to its minor, in names of its own.
func threads(python *base.Python) string {
	if python.FreeThreaded {
		return "t"
	}
	return ""
}

// minor is the first two parts of a Python version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// makeVenv lays out an empty virtual environment as uv does. Left out: uv's lock
// file; the activation scripts of shells that are no Unix shell; the name of uv and
// the project's prompt in pyvenv.cfg, which say who made it. The activation scripts
// are our own, shorter ones: same names, same variables, same deactivate.
//
// A base may have an environment there already, as one made of an ImageSpec has. uv
// would change it package by package; the outcome is that of a new one that holds all.
// Where its layers are known they are left out (bare), else it is hidden as a whole.
//
// With system it sees what the interpreter has installed itself.
func (t *tree) makeVenv(s wheel.Scheme, python *base.Python, owner Owner, system bool) {
	dir := func(p string) { t.put(File{Path: p, Mode: fs.ModeDir | 0o755, Owner: owner}) }
	file := func(p, text string) { t.put(File{Path: p, Mode: 0o644, Owner: owner, Data: []byte(text)}) }
	link := func(p, target string) { t.put(File{Path: p, Mode: fs.ModeSymlink | 0o777, Owner: owner, Link: target}) }

	for _, d := range parents(s.Prefix) { // handed over with what is in it
		if _, ok := t.files[d]; !ok && strings.HasPrefix(d, "/opt/micromamba") {
			dir(d)
		}
	}
	_, old := t.files[s.Prefix]
	t.put(File{Path: s.Prefix, Mode: fs.ModeDir | 0o755, Owner: owner, Opaque: old})
	file(s.Prefix+"/.gitignore", "*")
	file(s.Prefix+"/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
	file(s.Prefix+"/pyvenv.cfg", "home = "+path.Dir(python.Path)+"\nimplementation = CPython\nversion_info = "+
		python.Version+"\ninclude-system-site-packages = "+strconv.FormatBool(system)+"\n")
	dir(s.Scripts)
	link(s.Scripts+"/python", python.Path)
	link(s.Scripts+"/python3", "python")
	link(s.Scripts+"/python"+minor(python.Version), "python")
	if python.FreeThreaded {
		link(s.Scripts+"/python"+minor(python.Version)+"t", "python")
	}
	for name, text := range activation() {
		file(s.Scripts+"/"+name, strings.ReplaceAll(text, "@VENV@", s.Prefix))
	}
	for _, d := range parents(s.SitePackages) {
		if strings.HasPrefix(d, s.Prefix+"/") {
			dir(d)
		}
	}
	dir(s.SitePackages)
	link(s.Prefix+"/lib64", "lib")
}

// bare takes the environment that packages go into out of what is known of the base, if its layers are to be left out.
func (in Input) bare() Input {
	if in.Installed == nil {
		return in
	}
	in.Base.Files = maps.Clone(in.Base.Files)
	delete(in.Base.Files, Prefix(in.Spec))
	all := len(in.Base.DiffIDs)
	in.Base.DiffIDs = slices.DeleteFunc(slices.Clone(in.Base.DiffIDs), func(id string) bool { return slices.Contains(in.Installed.Layers, id) })
	in.Base.Layers -= all - len(in.Base.DiffIDs)
	return in
}
