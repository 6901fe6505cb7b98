package imagespec

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A vector is one line of testdata/tags.jsonl, made by running the flytekit release that it names.
type vector struct {
	Flytekit  string
	Case      string
	Kwargs    json.RawMessage
	Calls     []json.RawMessage
	Files     map[string]json.RawMessage
	Git       []string
	GitAdd    []string `json:"git_add"`
	Cwd       string
	Machine   string
	Tag       *string
	ID        *string
	ImageName *string             `json:"image_name"`
	Order     map[string][]string `json:"scandir_order"`
	Error     string
}

// TestVectors compares with what flytekit computed: tag, id and name, or the exception that it raised.
func TestVectors(t *testing.T) {
	f, err := os.Open("testdata/tags.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		t.Run(v.Flytekit+" "+v.Case, func(t *testing.T) { t.Parallel(); v.check(t) })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func (v vector) check(t *testing.T) {
	dir := t.TempDir()
	v.lay(t, dir)
	fill := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("{CASE}"), []byte(dir)) }
	s, err := ParseKwargs(fill(v.Kwargs))
	for _, c := range v.Calls {
		if err == nil {
			s, err = ParseCall(s, fill(c))
		}
	}
	var n Named
	if err == nil {
		n, err = Name(s, Options{
			Dir: filepath.Join(dir, v.Cwd), Flytekit: v.Flytekit, Machine: v.Machine,
			Modules: []string{}, // the vectors were made in a process that had loaded none of the files
			ReadDir: func(d string) ([]fs.DirEntry, error) { return v.ordered(dir, d) },
		})
	}
	rel, _, _ := parseRelease(v.Flytekit)
	var python *PythonError
	var unsupported *Unsupported
	switch {
	case rel.before(1, 13, 6):
		if !errors.As(err, &unsupported) {
			t.Fatalf("got %v, %v, want a refusal of an old flytekit", n.Tag, err)
		}
	case v.Error != "":
		if !errors.As(err, &python) || python.Type != v.Error {
			t.Fatalf("got %v, %#v, want %s", n.Tag, err, v.Error)
		}
	case err != nil:
		t.Fatal(err)
	default:
		v.compare(t, n)
	}
}

func (v vector) compare(t *testing.T, n Named) {
	if v.Tag != nil && n.Tag != *v.Tag {
		t.Errorf("tag %s, want %s, of %s", n.Tag, *v.Tag, n.Hashed)
	}
	if v.ID != nil && n.ID != *v.ID {
		t.Errorf("id %s, want %s", n.ID, *v.ID)
	}
	if v.ImageName != nil && n.Name != *v.ImageName {
		t.Errorf("name %s, want %s", n.Name, *v.ImageName)
	}
}

// ordered lists a directory in the order in which the vector's maker saw it.
func (v vector) ordered(root, dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	rel, _ := filepath.Rel(root, dir)
	if order, ok := v.Order[rel]; ok {
		slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
			return slices.Index(order, a.Name()) - slices.Index(order, b.Name())
		})
	}
	return entries, err
}

func (v vector) lay(t *testing.T, dir string) {
	t.Helper()
	for name, raw := range v.Files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := layFile(path, raw); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range v.Git {
		git(t, filepath.Join(dir, g), "init", "-q")
	}
	for _, f := range v.GitAdd {
		git(t, dir, "add", "-f", f)
	}
}

func layFile(path string, raw json.RawMessage) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	var f struct {
		Base64  string
		Text    string
		Mode    string
		Symlink string
		Dir     bool
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return err
	}
	switch {
	case f.Dir:
		return os.MkdirAll(path, 0o755)
	case f.Symlink != "":
		return os.Symlink(f.Symlink, path)
	case f.Base64 != "":
		b, err := base64.StdEncoding.DecodeString(f.Base64)
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o644)
	}
	mode := uint64(0o644)
	if f.Mode != "" {
		var err error
		if mode, err = strconv.ParseUint(f.Mode, 8, 32); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(f.Text), fs.FileMode(mode))
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// pyflyte run gives its project root to a task's own spec, not to the one in its base_image.
func TestRunRootIsNotForTheNestedSpec(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, RunRoot: dir}
	all := `{"source_copy_mode": {"__copymode__": "ALL"}}`
	s, err := ParseKwargs([]byte(all))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Name(s, o); err != nil {
		t.Errorf("a task's spec: %v", err)
	}
	if s, err = ParseKwargs([]byte(`{"base_image": {"__imagespec__": ` + all + `}}`)); err != nil {
		t.Fatal(err)
	}
	if n, err := Name(s, o); err == nil || !strings.Contains(err.Error(), "source_root") {
		t.Errorf("a nested spec is %s, and flytekit raises ValueError: %v", n.Name, err)
	}
}

// ID needs no file and no module, and is that of Name where Name has one.
func TestIDAlone(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	for _, kwargs := range []string{
		`{"name": "App", "packages": ["a"]}`, `{"base_image": {"__imagespec__": {"name": "B"}}, "env": {"B": "1", "A": "2"}}`,
	} {
		s, err := ParseKwargs([]byte(kwargs))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Name(s, o)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := ID(s, o); err != nil || id != n.ID {
			t.Errorf("%s: %s, %v, want %s", kwargs, id, err, n.ID)
		}
	}
	for _, kwargs := range []string{`{"requirements": "gone.txt"}`, `{"source_root": "/src", "source_copy_mode": {"__copymode__": "LOADED_MODULES"}}`} {
		s, err := ParseKwargs([]byte(kwargs))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := ID(s, o); err != nil || len(id) != 22 {
			t.Errorf("%s: %q, %v", kwargs, id, err)
		}
	}
}
