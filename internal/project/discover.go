package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// The reader in Python, in parts that are one program.
var (
	//go:embed discover_values.py
	valuesPy string
	//go:embed discover_expr.py
	exprPy string
	//go:embed discover_call.py
	callPy string
	//go:embed discover_import.py
	importPy string
	//go:embed discover.py
	mainPy string
)

func script() string { return valuesPy + exprPy + callPy + importPy + mainPy }

const (
	scriptLimit = 30 * time.Second
	maxAnswer   = 64 << 20
)

// answer is what the script prints.
type answer struct {
	Files []fileAnswer `json:"files"`
}

// fileAnswer is what one file holds, and all that decided it: kept as a whole.
type fileAnswer struct {
	File       string             `json:"file"`
	Error      *fileError         `json:"error,omitempty"`
	Specs      []specAnswer       `json:"specs,omitempty"`
	Unreadable []unreadableAnswer `json:"unreadable,omitempty"`
	Deps       map[string]string  `json:"deps"` // digest of each file; "" if it is not there
	Env        map[string]*string `json:"env"`  // what was read; null if it is not set
	Settings   string             `json:"settings,omitempty"`
}

type fileError struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

type specAnswer struct {
	Line      int             `json:"line"`
	Variable  string          `json:"variable"`
	ForcePush bool            `json:"force_push"`
	Variables []string        `json:"variables"`
	Kwargs    json.RawMessage `json:"kwargs"`
}

type unreadableAnswer struct {
	Line      int      `json:"line"`
	Field     string   `json:"field"`
	Reason    string   `json:"reason"`
	Variables []string `json:"variables"`
}

// request is what the script reads.
type request struct {
	Root   string            `json:"root"`
	Cwd    string            `json:"cwd"`
	Files  []string          `json:"files"`
	Env    map[string]string `json:"env"`
	Python []int             `json:"python"`
	Site   []string          `json:"site"`
	Limit  int               `json:"limit"`
}

// findSpecs evaluates the files that bear a mark, those that are not known from before by the script.
func (p *reading) findSpecs(ctx context.Context) error {
	files, err := pythonFiles(ctx, p.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", p.dir, err)
	}
	p.res.Dirs = watchDirs(p.dir, files)
	answers := map[string]fileAnswer{}
	var marked, fresh []string
	for _, f := range files {
		k := p.r.stats.look(f)
		switch {
		case k.size > maxSource:
			continue // no one writes a spec in a file of a megabyte
		case !k.marked:
			continue
		}
		marked = append(marked, f)
		if a, ok := p.cached(f); ok {
			answers[f] = a
		} else {
			fresh = append(fresh, f)
		}
	}
	if len(fresh) > 0 {
		got, err := p.evaluate(ctx, fresh)
		if err != nil {
			return err
		}
		for _, a := range got {
			answers[a.File] = a
		}
		p.keepAll(got)
	}
	for _, f := range marked {
		p.take(answers[f])
	}
	return nil
}

// evaluate runs the script. A file on which Python itself breaks is found by halves and reported alone.
func (p *reading) evaluate(ctx context.Context, files []string) ([]fileAnswer, error) {
	answers, err := p.run(ctx, files)
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) || ctx.Err() != nil {
		return answers, err
	}
	if len(files) == 1 {
		reason := "Python fails on it: " + lastLine(exit.Stderr, err.Error())
		return []fileAnswer{{File: files[0], Error: &fileError{Reason: reason}, Deps: map[string]string{files[0]: p.r.stats.look(files[0]).digest}}}, nil
	}
	half := len(files) / 2
	left, err := p.evaluate(ctx, files[:half])
	if err != nil {
		return nil, err
	}
	right, err := p.evaluate(ctx, files[half:])
	return append(left, right...), err
}

func lastLine(stderr []byte, otherwise string) string {
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return otherwise
}

// run starts the interpreter, isolated from the user's settings and without site: nothing but the standard
// library and the script is ever imported.
func (p *reading) run(ctx context.Context, files []string) ([]fileAnswer, error) {
	python := p.r.Python
	if python == "" {
		python = "python3"
	}
	path, err := exec.LookPath(python)
	if err != nil {
		return nil, fmt.Errorf("find a Python to read image specs with: %w (set python.path)", err)
	}
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	in, err := json.Marshal(request{
		Root: p.dir, Cwd: p.cwd, Files: files, Env: p.env, Python: p.version(), Site: p.site, Limit: maxSource,
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-X", "utf8", "-c", script())
	cmd.Dir = "/"
	cmd.Env = []string{"PYTHONHASHSEED=0"}
	cmd.Stdin = bytes.NewReader(in)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	start := time.Now()
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			exit.Stderr = problems.Bytes()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read image specs with %s: not done within %s", path, scriptLimit)
		}
		return nil, fmt.Errorf("read image specs with %s: %w", path, err)
	}
	p.r.log().Debug("evaluated files", "dir", p.dir, "files", len(files), "took", time.Since(start))
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return a.Files, nil
}

// version is the project's Python as numbers; nil if it is not known.
func (p *reading) version() []int {
	major, minor, ok := strings.Cut(p.res.Python, ".")
	if !ok {
		return nil
	}
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return []int{a, b}
}

// settings are what decides every file's result besides files and variables.
func (p *reading) settings() string {
	h := sha256.New()
	fmt.Fprintln(h, script(), p.dir, p.cwd, p.res.Python, p.site)
	return hex.EncodeToString(h.Sum(nil))
}

func cacheKey(kind, file string) string { return "project/" + kind + "/" + file }

// cached returns what a file gave before, if nothing that decided it has changed since.
func (p *reading) cached(file string) (fileAnswer, bool) {
	a, ok := p.load("file", file)
	if !ok || a.Settings != p.set {
		return a, false
	}
	for path, digest := range a.Deps {
		if p.r.stats.look(path).digest != digest {
			return a, false
		}
	}
	for name, value := range a.Env {
		now, isSet := p.env[name]
		if isSet != (value != nil) || isSet && now != *value {
			return a, false
		}
	}
	return a, true
}

func (p *reading) load(kind, file string) (a fileAnswer, ok bool) {
	if p.r.Cache == nil {
		return a, false
	}
	b, ok := p.r.Cache.Found(cacheKey(kind, file))
	return a, ok && json.Unmarshal(b, &a) == nil
}

// keepAll stores what files gave, many at once: a store makes each durable, which those that end together share.
func (p *reading) keepAll(answers []fileAnswer) {
	if p.r.Cache == nil {
		return
	}
	var g errgroup.Group
	g.SetLimit(64)
	for _, a := range answers {
		g.Go(func() error { p.keep(a); return nil })
	}
	_ = g.Wait() // keep reports what fails
}

// login is an address with a password in it, as JSON has it.
var login = regexp.MustCompile(`://[^\s/"'@<>\\]*:[^\s/"'@<>\\]*@`)

// keep stores what a file gave; a good result also stands in while the file does not parse.
func (p *reading) keep(a fileAnswer) {
	a.Settings = p.set
	b, err := json.Marshal(a)
	if login.Match(b) {
		return // a password stays where its user wrote it; such a file is parsed each time
	}
	if err == nil {
		err = p.r.Cache.PutFound(cacheKey("file", a.File), b)
	}
	if err == nil && a.Error == nil {
		err = p.r.Cache.PutFound(cacheKey("good", a.File), b)
	}
	if err != nil {
		p.r.log().Warn("keep what a file holds", "file", a.File, "error", err)
	}
}

// take adds what a file holds to the result.
func (p *reading) take(a fileAnswer) {
	p.inputs(a.File)
	for path, digest := range a.Deps {
		installed := slices.ContainsFunc(p.site, func(site string) bool { return strings.HasPrefix(path, site+"/") })
		if !installed && (digest != "" || filepath.Dir(path) == p.dir) { // what comes into a folder of its own is seen by Dirs
			p.inputs(path)
		}
	}
	rel := p.rel(a.File)
	stale := ""
	if a.Error != nil {
		u := Unreadable{File: rel, Line: a.Error.Line, Reason: a.Error.Reason}
		if good, ok := p.load("good", a.File); ok && len(good.Specs) > 0 {
			stale = fmt.Sprintf("%s:%d: %s", rel, a.Error.Line, a.Error.Reason)
			u.Reason += "; its specs are those of its last version that did"
			a = good
		}
		p.res.Unreadable = append(p.res.Unreadable, u)
	}
	for _, u := range a.Unreadable {
		p.variables(u.Variables)
		p.res.Unreadable = append(p.res.Unreadable, Unreadable{File: rel, Line: u.Line, Field: u.Field, Reason: u.Reason})
	}
	for _, s := range a.Specs {
		p.takeSpec(a.File, s, stale)
	}
}

func (p *reading) takeSpec(file string, s specAnswer, stale string) {
	p.variables(s.Variables)
	rel := p.rel(file)
	spec, err := imagespec.ParseKwargs(s.Kwargs)
	if err == nil && s.ForcePush {
		spec, err = spec.Call("force_push", nil)
	}
	if err != nil {
		p.res.Unreadable = append(p.res.Unreadable, Unreadable{File: rel, Line: s.Line, Reason: err.Error()})
		return
	}
	p.add(Found{
		Spec: spec, Source: Source{Kind: KindFound, File: rel, Line: s.Line, Variable: s.Variable},
		RunRoot: runRoot(file), Variables: slices.Clone(s.Variables), Stale: stale,
	})
}
