// Package project says which image specs a directory holds, without running any of its code.
//
// Read lists the Python files (files.go), has discover.py evaluate those that speak of ImageSpec
// from Python's ast (discover.go), adds the tables [[tool.imgspecd.image]] of pyproject.toml and
// [[image]] of imgspecd.toml (declared.go), and finds the flytekit release and Python that the project uses (environment.go).
// What one file gave is kept by its content and by all that it depends on, so that a save of a
// lockfile starts no Python.
//
// It never imports a user's module, never starts a user's interpreter, and never guesses: a spec that
// cannot be known without running code is Unreadable, with line, field and reason.
package project

import (
	"context"
	"log/slog"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// Cache keeps what was found in a file, over restarts. It is safe for concurrent use.
type Cache interface {
	Found(key string) ([]byte, bool)
	PutFound(key string, value []byte) error
}

// Options are the settings of one project.
type Options struct {
	Env      map[string]string // the environment that specs are evaluated in; a variable that is not here is unset
	Cwd      string            // working directory of runs; default: the project's directory
	Flytekit string            // version of flytekit for a project that does not say one; default: the newest known
}

// Result is what a project holds.
type Result struct {
	Specs          []Found
	Unreadable     []Unreadable
	Inputs         []string // files whose content decides the result; absolute
	Dirs           []string // directories that hold Python files: a new file there may hold a spec; absolute, bounded
	Variables      []string // environment variables that specs read, set or not
	Flytekit       string   // version of flytekit that names the images
	FlytekitSource string   // where it was read: "venv", "lock", "config" or "default"
	Python         string   // the project's Python, "3.11"; "" if nothing says
	PythonSource   string   // "venv", ".python-version", "requires-python" or ""
}

// Source says where a spec stands. It has the fields of api.Source.
type Source struct {
	Kind     string // KindFound or KindDeclared
	File     string // relative to the project
	Line     int
	Variable string
}

// The kinds of sources.
const (
	KindFound    = "found"
	KindDeclared = "declared"
)

// Found is one image spec.
type Found struct {
	Spec      imagespec.Spec
	Source    Source
	Label     string   // unique in the project: the variable, the declared name, or file:line
	Cwd       string   // where its relative paths start; absolute
	RunRoot   string   // the project root that pyflyte run would take for its file; absolute
	Variables []string // environment variables that it read
	Stale     string   // why it is an older result: its file does not parse now
}

// Unreadable is a spec that cannot be known, or a file that cannot be read.
type Unreadable struct {
	File   string // relative to the project
	Line   int
	Field  string
	Reason string
}

// Reader reads projects. It is safe for concurrent use once its fields are set.
type Reader struct {
	Python string       // the interpreter that reads files: a path, or a name on PATH; any CPython 3.8 or newer. Default python3
	Cache  Cache        // may be nil
	Log    *slog.Logger // may be nil

	stats stats
}

// Read says what the project in dir holds. Its error is about the project as a whole: the directory is
// gone, or no Python can read its files. All else is in the Result.
func (r *Reader) Read(ctx context.Context, dir string, o Options) (Result, error) {
	p, err := r.open(dir, o)
	if err != nil {
		return Result{}, err
	}
	if err := p.findSpecs(ctx); err != nil {
		return Result{}, err
	}
	p.declared(p.toml)
	p.declared(p.own)
	return p.result(), nil
}
