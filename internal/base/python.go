package base

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	minorInName   = regexp.MustCompile(`python3\.(\d+)`)
	threadsInName = regexp.MustCompile(`^python3\.\d+[a-su-z]*t`)
	patchlevel    = regexp.MustCompile(`(?m)^#define\s+PY_VERSION\s+"(3\.\d+\.\d+[^"+]*)\+?"`)
)

// python finds the interpreter that dirs (PATH) lead to; nil when there is none. One
// that packages cannot be chosen for is an ErrUnusable.
func python(t *tree, dirs, env []string) (*Python, error) {
	link, n, real := onPath(t, dirs)
	if n == nil {
		return nil, nil
	}
	return cpython(t, link, n, real, env)
}

// cpython says what an interpreter is.
func cpython(t *tree, link string, n *node, real string, env []string) (*Python, error) {
	f := n.file.facts
	name := path.Base(real)
	switch {
	case strings.Contains(name, "pypy") || f.pypy:
		return nil, because(ErrUnusable, "its Python (%s) is PyPy; only CPython is supported", real)
	case strings.Contains(name, "graalpy"):
		return nil, because(ErrUnusable, "its Python (%s) is GraalPy; only CPython is supported", real)
	case strings.HasPrefix(f.magic, "#!"):
		return nil, because(ErrUnusable, "its Python (%s) is a script (%s), which cannot be followed without running it", real, f.magic)
	}
	prefix := path.Dir(path.Dir(real))
	minor := minorOf(t, real, prefix)
	free := f.threads || threadsInName.MatchString(name) || onlyThreads(t, prefix, minor, f)
	if free {
		minor += "t"
	}
	v, err := pythonFull(t, n, real, minor, env)
	if err != nil {
		return nil, err
	}
	return &Python{Path: real, Link: link, Version: v, FreeThreaded: free}, nil
}

// onlyThreads says whether an interpreter that leaves all to its library can only be the free-threaded build: that build's
// installation makes python3.N a second name of python3.Nt.
func onlyThreads(t *tree, prefix, minor string, f facts) bool {
	if minor == "" || len(f.pythons) > 0 || len(libraries(t, prefix, minor)) > 0 {
		return false
	}
	for _, lib := range libraries(t, prefix, minor+"t") {
		if lib.file.facts.threads {
			return true
		}
	}
	return false
}

// onPath looks for python3, then python, then the newest python3.N, then the newest python3.Nt. An interpreter
// that itself lies in the virtual environment, as a copy, goes with that.
func onPath(t *tree, dirs []string) (link string, n *node, real string) {
	names := []string{"python3", "python"}
	for _, suffix := range []string{"", "t"} {
		for _, dir := range dirs {
			names = append(names, minors(t.lookup(dir), suffix)...)
		}
	}
	for _, name := range names {
		for _, dir := range dirs {
			link := path.Join(dir, name)
			n, real := t.walk(link, maxLinks)
			if n != nil && n.file != nil && n.mode&0o111 != 0 && !inVenv(real) && !strings.Contains(path.Base(real), "python2") {
				return link, n, real
			}
		}
	}
	return "", nil, ""
}

// minors lists python3.N of a directory, newest first; with the suffix, which is not part of N.
func minors(dir *node, suffix string) []string {
	if dir == nil {
		return nil
	}
	var ns []int
	for name := range dir.children {
		if m := minorInName.FindStringSubmatch(name); m != nil && m[0]+suffix == name {
			n, _ := strconv.Atoi(m[1])
			ns = append(ns, n)
		}
	}
	slices.Sort(ns)
	slices.Reverse(ns)
	names := make([]string, len(ns))
	for i, n := range ns {
		names[i] = fmt.Sprintf("python3.%d%s", n, suffix)
	}
	return names
}

// pythonFull finds the full version: in the header beside the interpreter, else in
// the interpreter's or its library's own data, where the text of sys.version begins.
// minor ends in "t" for a free-threaded build, as its directories do.
func pythonFull(t *tree, n *node, real, minor string, env []string) (string, error) {
	prefix := path.Dir(path.Dir(real))
	var versions []string
	for _, h := range headers(t, prefix, minor) {
		if m := patchlevel.FindSubmatch(h.file.content); m != nil {
			versions = append(versions, string(m[1]))
		}
	}
	versions = append(versions, n.file.facts.pythons...)
	if minor != "" {
		for _, lib := range libraries(t, prefix, minor) {
			versions = append(versions, lib.file.facts.pythons...)
		}
	}
	for _, e := range env { // official images say it; an image made from one may not have kept it true
		if v, ok := strings.CutPrefix(e, "PYTHON_VERSION="); ok {
			versions = append(versions, v)
		}
	}
	minor = strings.TrimSuffix(minor, "t")
	for _, v := range versions {
		if minor == "" || v == "3."+minor || strings.HasPrefix(v, "3."+minor+".") {
			return v, nil
		}
	}
	return "", because(ErrUnusable, "the version of its Python (%s) cannot be found", real)
}

// minorOf tells the minor version from the name, or from the only lib/python3.N beside it.
func minorOf(t *tree, real, prefix string) string {
	if m := minorInName.FindStringSubmatch(path.Base(real)); m != nil {
		return m[1]
	}
	for _, suffix := range []string{"", "t"} {
		if lib := minors(t.lookup(path.Join(prefix, "lib")), suffix); len(lib) == 1 {
			return strings.TrimSuffix(strings.TrimPrefix(lib[0], "python3."), suffix)
		}
	}
	return ""
}

func headers(t *tree, prefix, minor string) (found []*node) {
	if minor == "" {
		return nil
	}
	if n := t.follow(path.Join(prefix, "include", "python3."+minor, "patchlevel.h")); n != nil {
		found = append(found, n)
	}
	return found
}

// libraries finds libpython, that of the interpreter's own prefix first.
func libraries(t *tree, prefix, minor string) (found []*node) {
	name := "libpython3." + minor + ".so.1.0"
	for _, dir := range append([]string{path.Join(prefix, "lib"), path.Join(prefix, "lib64")}, libcDirs...) {
		d := t.lookup(dir)
		if d == nil {
			continue
		}
		if n := t.follow(path.Join(dir, name)); n != nil {
			found = append(found, n)
		}
		for sub := range d.children {
			if strings.Contains(sub, "-linux-") {
				if n := t.follow(path.Join(dir, sub, name)); n != nil {
					found = append(found, n)
				}
			}
		}
	}
	return found
}
