package project

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// reading is one Read under way.
type reading struct {
	r    *Reader
	dir  string
	cwd  string
	env  map[string]string
	site []string    // site-packages of the project's environment
	set  string      // digest of the settings
	toml declaration // of pyproject.toml
	own  declaration // of imgspecd.toml
	res  Result

	files map[string]bool
	vars  map[string]bool
}

func (r *Reader) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

func (r *Reader) open(dir string, o Options) (*reading, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read project: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("read project: %s is not a directory", dir)
	}
	dir = filepath.Clean(dir)
	p := &reading{r: r, dir: dir, cwd: o.Cwd, env: o.Env, files: map[string]bool{}, vars: map[string]bool{}}
	if p.cwd == "" {
		p.cwd = dir
	}
	if p.env == nil {
		p.env = map[string]string{}
	}
	p.readToml()
	p.environment(o)
	p.set = p.settings()
	return p, nil
}

func (p *reading) inputs(paths ...string) {
	for _, path := range paths {
		p.files[path] = true
	}
}

func (p *reading) variables(names []string) {
	for _, n := range names {
		p.vars[n] = true
	}
}

func (p *reading) rel(path string) string {
	rel, err := filepath.Rel(p.dir, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

// add adds a spec, and the files that it names to the inputs.
func (p *reading) add(f Found) {
	f.Cwd = p.cwd
	p.res.Specs = append(p.res.Specs, f)
	for s, ok := f.Spec, true; ok; s, ok = s.BaseSpec() {
		req := s.Requirements()
		if req == "" {
			continue
		}
		if !filepath.IsAbs(req) {
			req = filepath.Join(p.cwd, req)
		}
		p.inputs(req)
		if base := filepath.Base(req); base == "uv.lock" || base == "poetry.lock" {
			p.inputs(filepath.Join(filepath.Dir(req), "pyproject.toml"))
		}
	}
}

func (p *reading) result() Result {
	r := p.res
	r.Inputs = slices.Sorted(maps.Keys(p.files))
	r.Variables = slices.Sorted(maps.Keys(p.vars))
	slices.SortStableFunc(r.Unreadable, func(a, b Unreadable) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	label(r.Specs)
	return r
}

// label gives every spec a name that is unique in the project: its variable or declared name where no other
// has it, else with the file's name in front, else file and line.
func label(specs []Found) {
	ways := []func(Found) string{
		func(f Found) string { return f.Source.Variable },
		func(f Found) string {
			if f.Source.Variable == "" {
				return stem(f.Source.File) + ":" + strconv.Itoa(f.Source.Line)
			}
			return stem(f.Source.File) + "." + f.Source.Variable
		},
		func(f Found) string { return f.Source.File + ":" + strconv.Itoa(f.Source.Line) },
	}
	left := make([]int, len(specs))
	for i := range left {
		left[i] = i
	}
	taken := map[string]bool{}
	for _, way := range ways {
		count := map[string]int{}
		for _, i := range left {
			count[way(specs[i])]++
		}
		var next []int
		for _, i := range left {
			l := way(specs[i])
			if l == "" || count[l] > 1 || taken[l] {
				next = append(next, i)
				continue
			}
			specs[i].Label = l
		}
		for l := range count {
			taken[l] = true
		}
		left = next
	}
	for n, i := range left { // several on one line, as a comprehension makes them
		specs[i].Label = ways[2](specs[i]) + "#" + strconv.Itoa(n+1)
	}
}

func stem(file string) string { return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) }

// runRoot is the folder that pyflyte run takes as the project root of a script: the first above it that is
// no package.
func runRoot(file string) string {
	dir := filepath.Dir(file)
	for {
		if _, err := os.Lstat(filepath.Join(dir, "__init__.py")); err != nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
