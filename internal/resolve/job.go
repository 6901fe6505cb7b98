package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// job is a request made ready for uv.
type job struct {
	key       string
	text      string // requirements, on uv's standard input
	pyproject string // path
	dir       string // where relative paths start
	python    string // --python-version
	platform  string // --python-platform
	options   options
	fresh     bool
	unset     []string // variables that the text uses and uv does not get
}

// prepare reads all that a request names, and takes its key.
func (r *Resolver) prepare(req Request) (*job, error) {
	j := &job{dir: req.Dir, fresh: req.Fresh}
	var err error
	if j.python, j.platform, err = target(req.Environment); err != nil {
		return nil, err
	}
	if j.options, err = req.options(); err != nil {
		return nil, err
	}
	lines := req.lines()
	var project []byte
	if req.Pyproject != "" {
		if project, err = os.ReadFile(req.Pyproject); err != nil {
			return nil, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pyproject.toml: %v", err)}
		}
		j.pyproject, j.dir = req.Pyproject, filepath.Dir(req.Pyproject)
		lines, err = projectLines(project, req)
	}
	if err != nil {
		return nil, err
	}
	j.text = strings.Join(lines, "\n") + "\n"
	files, err := includes(j.dir, j.text, j.options.files)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		j.options.noticeIndexes(string(f.data))
	}
	j.options.noticeIndexes(j.text)
	j.unset = r.unset(j.text, files)
	j.key = r.keyOf(j, project, files)
	return j, nil
}

// Inputs lists the files that r reads besides its Requirements: those that these include, and its pyproject.toml.
// They are what must be watched.
func (req Request) Inputs() ([]string, error) {
	o, err := req.options()
	if err != nil {
		return nil, err
	}
	dir := req.Dir
	var out []string
	if req.Pyproject != "" {
		dir = filepath.Dir(req.Pyproject)
		out = append(out, req.Pyproject)
	}
	files, err := includes(dir, strings.Join(req.lines(), "\n"), o.files)
	for _, f := range files {
		out = append(out, f.path)
	}
	return out, err
}

// lines is what the default builder writes into requirements_uv.txt: the stripped lines, the packages, and flytekit unless
// a line begins with its name.
func (req Request) lines() []string {
	var lines []string
	if len(req.Requirements) > 0 {
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(req.Requirements))
		for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			lines = append(lines, strings.TrimSpace(l))
		}
	}
	lines = append(lines, req.Packages...)
	if req.Pyproject == "" && !anyFlytekit(lines) {
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
	for _, l := range lines {
		if leading(l) == "flytekit" {
			return true
		}
	}
	return false
}

// projectLines are the lines that go with a pyproject.toml: the packages, and flytekit unless the project depends on it.
// Flytekit has no rule for such a file (it would read it as a requirements.txt and fail); this is its rule by meaning.
func projectLines(project []byte, req Request) ([]string, error) {
	var doc struct {
		Project *struct {
			Dependencies []string `toml:"dependencies"`
			Dynamic      []string `toml:"dynamic"`
		} `toml:"project"`
	}
	if err := toml.Unmarshal(project, &doc); err != nil {
		return nil, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pyproject.toml: %v", err)}
	}
	if doc.Project == nil {
		return nil, &Error{
			Kind: Invalid, Reason: "pyproject.toml has no [project] table, so it names no dependencies",
			Hint: "write them under [project] dependencies, or point requirements at the project's lock",
		}
	}
	lines := req.lines()
	for _, d := range doc.Project.Dependencies {
		if pypa.NormalizeName(requirementName(d)) == "flytekit" {
			return lines, nil
		}
	}
	if !anyFlytekit(lines) {
		lines = append(lines, req.flytekit())
	}
	return lines, nil
}

// keyOf hashes all that decides the answer but the day. Credentials of indexes are left out: a new password is no new question.
func (r *Resolver) keyOf(j *job, project []byte, files []included) string {
	type file struct{ Path, Data string }
	q := struct {
		Format                          int
		Python, Platform, Text, Project string
		Files                           []file
		Default                         string
		Args, Extra, Links, Environment []string
	}{
		Format: 1, Python: j.python, Platform: j.platform, Text: redact(r.expand(j.text)), Project: string(project),
		Args: j.options.args, Default: redact(j.options.index), Links: redactAll(j.options.findLinks),
	}
	for _, f := range files {
		rel, err := filepath.Rel(j.dir, f.path)
		if err != nil {
			rel = f.path
		}
		q.Files = append(q.Files, file{rel, redact(r.expand(string(f.data)))})
	}
	q.Extra = redactAll(j.options.extra)
	for _, kv := range r.indexEnv(j) {
		if name, _, _ := strings.Cut(kv, "="); deciding[name] {
			q.Environment = append(q.Environment, redact(kv))
		}
	}
	b, err := json.Marshal(q)
	if err != nil {
		panic("resolve: a key cannot be written: " + err.Error()) // of strings, it always can
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
