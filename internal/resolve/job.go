package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// job is a request made ready for uv.
type job struct {
	key      string
	dir      string // where relative paths start
	python   string // --python-version
	platform string // --python-platform
	composed composed
	project  *project // nil: no pyproject.toml
	options  options
	prefer   []Pin // versions to take where they satisfy
	hashes   hashPins
	fresh    bool
	unset    []string // variables that the text uses and uv does not get
}

// prepare reads all that a request names, and takes its key.
func (r *Resolver) prepare(req Request) (*job, error) {
	j := &job{dir: req.Dir, fresh: req.Fresh, prefer: req.Installed}
	var err error
	if j.python, j.platform, err = target(req.Environment); err != nil {
		return nil, err
	}
	if err := r.read(req, j); err != nil {
		return nil, err
	}
	if j.hashes, err = r.readHashPins(j, req.Environment); err != nil {
		return nil, err
	}
	j.unset = r.unset(j.composed.texts)
	j.key = r.keyOf(j)
	return j, nil
}

// read fills in what a request's files and options say.
func (r *Resolver) read(req Request, j *job) (err error) {
	if j.options, err = req.options(); err != nil {
		return err
	}
	if j.options.exact && len(req.Installed) > 0 {
		return &Error{
			Kind: Invalid, Reason: "pip_extra_args: --exact would take away what the base image has installed",
			Hint: "leave it out, or name all packages in one spec",
		}
	}
	lines := req.lines()
	if req.Pyproject != "" {
		j.dir = filepath.Dir(req.Pyproject)
		if j.project, err = readProject(req.Pyproject); err != nil {
			return err
		}
		if !j.project.flytekit && !anyFlytekit(lines) {
			lines = append(lines, req.flytekit())
		}
	}
	j.composed, err = compose(j.dir, strings.Join(lines, "\n"), &j.options, r.expand)
	return err
}

// Inputs lists the files that req reads besides its Requirements: those that these include, and its pyproject.toml. They are
// what must be watched. With an error, they are those that were read before it.
func (r *Resolver) Inputs(req Request) ([]string, error) {
	j := &job{dir: req.Dir}
	err := r.read(req, j)
	files := j.composed.files
	if req.Pyproject != "" {
		files = append([]string{req.Pyproject}, files...)
	}
	return files, err
}

// Logins lists the addresses in req that hold credentials. They are not in the answer; who fetches what it names must be
// told of them (index.Client.Learn).
func (r *Resolver) Logins(req Request) []string {
	j := &job{dir: req.Dir}
	_ = r.read(req, j) // what can be read; Resolve tells of the rest
	texts := append([]string{req.PipIndex, req.PipExtraArgs}, req.PipExtraIndexURL...)
	texts = append(texts, j.composed.texts...)
	if j.project != nil {
		texts = append(texts, string(j.project.text))
	}
	var out []string
	for _, t := range texts {
		for _, u := range withUser.FindAllString(r.expand(t), -1) {
			if !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}

// lines is what the default builder writes into requirements_uv.txt: the stripped lines, the packages, and flytekit unless
// a line begins with its name.
func (req Request) lines() []string {
	var lines []string
	if len(req.Requirements) > 0 {
		text := newlines.Replace(string(req.Requirements))
		for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			lines = append(lines, strings.TrimSpace(l))
		}
	}
	lines = append(lines, req.Packages...)
	if req.Pyproject == "" && !req.Alone && !anyFlytekit(lines) {
		lines = append(lines, req.flytekit())
	}
	return lines
}

// flytekit is what the default builder adds.
func (req Request) flytekit() string {
	if req.Flytekit == "" || strings.Contains(req.Flytekit, "dev") {
		return "flytekit"
	}
	return "flytekit==" + req.Flytekit
}

func anyFlytekit(lines []string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return leading(l) == "flytekit" })
}

// keyOf hashes all that decides the answer but the day. Credentials of indexes are left out: a new password is no new question.
func (r *Resolver) keyOf(j *job) string {
	public := func(lines []string) []string {
		out := make([]string, len(lines))
		for i, l := range lines {
			out[i] = redact(r.expand(l))
		}
		return out
	}
	q := struct {
		Format                               int
		Python, Platform, Project            string
		Requirements, Constraints, Overrides []string
		Default                              string
		Args, Extra, Links, Environment      []string
		Installed, Renew                     []string `json:",omitempty"`
		Hashes                               string   `json:",omitempty"`
	}{
		Format: 1, Python: j.python, Platform: j.platform,
		Requirements: public(j.composed.requirements), Constraints: public(j.composed.constraints), Overrides: public(j.composed.overrides),
		Default: redact(j.options.index), Extra: public(j.options.extra), Links: public(j.options.findLinks), Args: j.options.args,
	}
	if j.project != nil {
		q.Project = redact(string(j.project.text))
	}
	for _, kv := range r.indexEnv(j) {
		if name, _, _ := strings.Cut(kv, "="); deciding[name] {
			q.Environment = append(q.Environment, redact(kv))
		}
	}
	for _, p := range j.prefer {
		q.Installed = append(q.Installed, p.Name+"=="+p.Version)
	}
	if len(j.prefer) > 0 {
		q.Renew = j.options.renew
	}
	switch {
	case j.hashes.required:
		q.Hashes = "required"
	case len(j.hashes.of) > 0:
		q.Hashes = "checked" // they stand in Requirements
	}
	b, err := json.Marshal(q)
	if err != nil {
		panic("resolve: a key cannot be written: " + err.Error()) // of strings, it always can
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
