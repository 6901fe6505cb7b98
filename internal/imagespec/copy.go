package imagespec

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Copy is one COPY instruction of the default builder's Dockerfile: Files go below Dest of the image's /root.
type Copy struct {
	Field string   // source_root or copy
	From  string   // as written in the spec
	Dest  string   // relative and clean; "." is /root itself
	Files []Copied // sorted by Rel, so that a folder stands before what is in it
}

// Copied is a folder or a file that is copied. What was a link in the project is what the link leads to.
type Copied struct {
	Rel    string      // below Copy.Dest
	Mode   fs.FileMode // a folder's or a regular file's, with permissions
	Path   string      // of a file, on this machine
	Size   int64
	Digest string // sha256 of a file's content, hex
}

// Refusal is why a spec that has a name cannot be built: what shall be copied is not there, or is not copied.
type Refusal struct {
	Field      string
	Reason     string
	Hint       string
	Deliberate bool // flytekit would build it
}

// ErrChanged says that a file was written while it was read.
var ErrChanged = errors.New("it changed while it was read")

// sourceDir is where the default builder puts the files of source_root in its build context.
const sourceDir = "src"

// buildContext is the directory that the default builder fills for docker build: files of source_root below
// sourceDir, those of copy as they lie in the project. Where the two meet they mix, as they do there. Left
// out are the files that the builder itself needs (Dockerfile, requirements_uv.txt, the lock), which
// copy=["."] would bring along.
type buildContext struct {
	nodes   map[string]Copied // by path
	copies  []instruction
	refused *Refusal
	missing []string
}

type instruction struct {
	field, from, path string
	dir               bool
}

func (c *buildContext) refuse(r Refusal) {
	if c.refused == nil {
		c.refused = &r
	}
}

// dir notes a folder and its mode.
func (c *buildContext) dir(at string, mode fs.FileMode) {
	if old, ok := c.nodes[at]; ok && !old.Mode.IsDir() {
		c.clash(at)
	}
	c.above(at)
	c.nodes[at] = Copied{Mode: fs.ModeDir | mode}
}

// file notes a file, and the folders above it where none are.
func (c *buildContext) file(at string, f Copied) {
	if old, ok := c.nodes[at]; ok && old.Mode.IsDir() {
		c.clash(at)
	}
	c.above(at)
	c.nodes[at] = f
}

func (c *buildContext) above(at string) {
	for dir := path.Dir(at); dir != "." && dir != "/"; dir = path.Dir(dir) {
		old, ok := c.nodes[dir]
		switch {
		case !ok:
			c.nodes[dir] = Copied{Mode: fs.ModeDir | 0o755}
		case !old.Mode.IsDir():
			c.clash(dir)
		}
	}
}

// clash refuses a path that copy and source_root want to be different things: they meet below src.
func (c *buildContext) clash(at string) {
	c.refuse(Refusal{Field: "copy", Reason: at + " is a file and a folder at once: flytekit's builder puts the files of source_root into " +
		sourceDir + " of the same directory", Hint: "rename " + at})
}

// finish lists what each instruction copies.
func (c *buildContext) finish(o Options) ([]Copy, error) {
	if len(c.copies) == 0 || c.refused != nil {
		return nil, nil
	}
	if err := c.leaveOut(o); err != nil {
		return nil, err
	}
	paths := c.sorted()
	var out []Copy
	for _, in := range c.copies {
		self, ok := c.nodes[in.path]
		if !ok && in.path != "." || in.dir != (in.path == "." || self.Mode.IsDir()) {
			c.refuse(Refusal{Field: in.field, Reason: "nothing is left of " + in.from + ": the .dockerignore in the working directory, which copy takes along, names it",
				Hint: `except it there with a line "!` + in.path + `"`})
			return nil, nil
		}
		cp := Copy{Field: in.field, From: in.from, Dest: in.path}
		switch {
		case !in.dir:
			self.Rel, cp.Dest = path.Base(in.path), path.Dir(in.path)
			cp.Files = []Copied{self}
		case in.path == ".":
			cp.Files = c.below(paths, "")
		default:
			cp.Files = c.below(paths, in.path+"/")
		}
		if in.field == "source_root" {
			cp.Dest = "."
		}
		out = append(out, cp)
	}
	return out, nil
}

func (c *buildContext) sorted() []string {
	paths := make([]string, 0, len(c.nodes))
	for p := range c.nodes {
		if p != "." {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// below lists what has a prefix, which of sorted paths is a run.
func (c *buildContext) below(sorted []string, prefix string) []Copied {
	from, _ := slices.BinarySearch(sorted, prefix)
	var out []Copied
	for _, p := range sorted[from:] {
		rel, ok := strings.CutPrefix(p, prefix)
		if !ok {
			break
		}
		f := c.nodes[p]
		f.Rel = rel
		out = append(out, f)
	}
	return out
}

// leaveOut takes away what docker does not read of a context: what the .dockerignore at its root names, which
// is there only if copy brings it. Docker's rules are not those that flytekit has for source_root.
func (c *buildContext) leaveOut(o Options) error {
	file, ok := c.nodes["Dockerfile.dockerignore"]
	if !ok || file.Mode.IsDir() {
		file, ok = c.nodes[".dockerignore"]
	}
	if !ok || file.Mode.IsDir() {
		return nil
	}
	patterns, err := ignorePatterns(file, o)
	if err != nil || len(patterns) == 0 {
		return err
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		c.refuse(Refusal{Field: "copy", Reason: file.Path + ": " + err.Error(), Hint: "docker refuses it too"})
		return nil //nolint:nilerr // it is told
	}
	kept := map[string]Copied{}
	seen := map[string]patternmatcher.MatchInfo{}
	for _, p := range c.sorted() {
		out, info, err := m.MatchesUsingParentResults(p, seen[path.Dir(p)])
		if err != nil {
			c.refuse(Refusal{Field: "copy", Reason: file.Path + ": " + err.Error(), Hint: "docker refuses it too"})
			return nil //nolint:nilerr // it is told
		}
		seen[p] = info
		if out {
			continue
		}
		kept[p] = c.nodes[p]
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) { // a folder is read for what is in it
			kept[dir] = c.nodes[dir]
		}
	}
	c.nodes = kept
	return nil
}

func ignorePatterns(file Copied, o Options) ([]string, error) {
	f, err := o.open(file.Path)
	if err != nil {
		return nil, fileError("copy", file.Path, file.Path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fileError("copy", file.Path, file.Path, err)
	}
	if input(file.Path, b, true).Digest != file.Digest {
		return nil, fileError("copy", file.Path, file.Path, ErrChanged)
	}
	return ignorefile.ReadAll(bytes.NewReader(b))
}
