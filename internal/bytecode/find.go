package bytecode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Python is an interpreter of the host that compiles.
type Python struct {
	Path    string // of the interpreter itself, not of a launcher
	Version string // 3.11.7
	Tag     string // cpython-311, as in the names of .pyc files
	Magic   uint16 // with which its .pyc files begin
}

// magics are the numbers of CPython's releases, by minor. One that differs is another
// language than the image's, whatever it calls itself.
var magics = map[int]uint16{8: 3413, 9: 3425, 10: 3439, 11: 3495, 12: 3531, 13: 3571, 14: 3627}

// Finder looks for Pythons on this host. Its fields are set before its first use.
type Finder struct {
	Path  []string // directories of PATH
	UV    string   // directory of the Pythons that uv manages; may be empty
	Pyenv string   // directory of pyenv's versions; may be empty

	mu    sync.Mutex
	known map[file]answer
}

// file is an interpreter's as it was when it answered.
type file struct {
	path  string
	size  int64
	mtime time.Time
}

// answer is of one that was asked; ok is false of one that cannot be used.
type answer struct {
	python Python
	ok     bool
}

// Find returns a Python of the version's minor: that version itself where the host
// has it, else the newest. ok is false where there is none.
func (f *Finder) Find(ctx context.Context, version string) (p Python, ok bool) {
	minor, err := minorOf(version)
	if err != nil {
		return Python{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Python
	for _, path := range f.candidates(minor) {
		if a := f.ask(ctx, path, minor); a.ok {
			all = append(all, a.python)
		}
	}
	if len(all) == 0 {
		return Python{}, false
	}
	return slices.MaxFunc(all, func(a, b Python) int { // the first of equals
		return cmp.Or(exact(a, version)-exact(b, version), cmp.Compare(patch(a.Version), patch(b.Version)))
	}), true
}

// ask probes a file, unless it has answered before and is the same still.
func (f *Finder) ask(ctx context.Context, path string, minor int) answer {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return answer{}
	}
	key := file{path, st.Size(), st.ModTime()}
	if a, ok := f.known[key]; ok {
		return a
	}
	p, err := probe(ctx, path, minor)
	if err != nil && !errors.Is(err, errOther) {
		return answer{} // it may answer the next time
	}
	if f.known == nil {
		f.known = map[file]answer{}
	}
	f.known[key] = answer{p, err == nil}
	return f.known[key]
}

var errOther = errors.New("it is no release of that CPython")

func exact(p Python, version string) int {
	if p.Version == version {
		return 1
	}
	return 0
}

func patch(version string) int {
	n, _ := strconv.Atoi(version[strings.LastIndexByte(version, '.')+1:])
	return n
}

func minorOf(version string) (int, error) {
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "3" {
		return 0, fmt.Errorf("%q is no version of Python 3", version)
	}
	return strconv.Atoi(parts[1])
}

// candidates are the files that may be such a Python, without pyenv's launchers, which
// say what a directory's Python is.
func (f *Finder) candidates(minor int) []string {
	name := "python3." + strconv.Itoa(minor)
	var all []string
	add := func(file string) {
		if real, err := filepath.EvalSymlinks(file); err == nil && !slices.Contains(all, real) {
			all = append(all, real)
		}
	}
	for _, dir := range f.Path {
		if filepath.IsAbs(dir) && filepath.Base(dir) != "shims" {
			add(filepath.Join(dir, name))
		}
	}
	for _, pattern := range []string{
		filepath.Join(f.UV, "cpython-3."+strconv.Itoa(minor)+".*", "bin", name),
		filepath.Join(f.Pyenv, "3."+strconv.Itoa(minor)+".*", "bin", name),
	} {
		if !filepath.IsAbs(pattern) {
			continue
		}
		files, _ := filepath.Glob(pattern) // a bad pattern finds nothing
		for _, file := range files {
			add(file)
		}
	}
	return all
}

// whoAreYou asks an interpreter who it is.
const whoAreYou = `import sys, json
from _frozen_importlib_external import MAGIC_NUMBER as m
v = sys.version_info
json.dump({"path": sys.executable, "name": sys.implementation.name, "version": "%d.%d.%d" % v[:3], "final": v[3] == "final", "tag": sys.implementation.cache_tag, "magic": int.from_bytes(m[:2], "little")}, sys.stdout)
`

// probe asks one candidate. An answer takes some 20 ms.
func probe(ctx context.Context, path string, minor int) (Python, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-B", "-c", whoAreYou)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "/", environment(), time.Second
	out, err := cmd.Output()
	if err != nil {
		return Python{}, fmt.Errorf("ask %s: %w", path, err)
	}
	var a struct {
		Path, Name, Version, Tag string
		Final                    bool
		Magic                    uint16
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return Python{}, fmt.Errorf("ask %s: %w", path, err)
	}
	tag := "cpython-3" + strconv.Itoa(minor)
	if a.Name != "cpython" || !a.Final || a.Tag != tag || a.Magic != magics[minor] {
		return Python{}, fmt.Errorf("ask %s: %w", path, errOther)
	}
	return Python{Path: path, Version: a.Version, Tag: a.Tag, Magic: a.Magic}, nil
}

// environment is all that an interpreter is told: nothing of the user's. The fixed seed
// orders the sets of Pythons before 3.11.
func environment() []string { return []string{"PYTHONHASHSEED=0", "LC_ALL=C"} }
