package lockfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// onDisk reads below testdata/requirements.
var onDisk = Files{
	Read: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata/requirements", name)) },
	Getenv: func(name string) (string, bool) {
		v, ok := map[string]string{"INDEX_USER": "me", "INDEX_TOKEN": "s3cret"}[name]
		return v, ok
	},
}

// inMemory reads from a map.
func inMemory(files map[string]string) Files {
	return Files{
		Read: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, errors.New("no such file")
			}
			return []byte(text), nil
		},
		Getenv: onDisk.Getenv,
	}
}

type pipAnswer struct {
	Error string `json:"error"`
	Lines []struct {
		Text       string   `json:"text"`
		Editable   bool     `json:"editable"`
		Constraint bool     `json:"constraint"`
		At         string   `json:"at"`
		Hashes     []string `json:"hashes"`
	} `json:"lines"`
	Indexes    []string `json:"indexes"`
	FindLinks  []string `json:"find_links"`
	NoBinary   []string `json:"no_binary"`
	OnlyBinary []string `json:"only_binary"`
	Pre        *bool    `json:"pre"` // newer ones keep it elsewhere
	Prefer     bool     `json:"prefer_binary"`
}

// TestRequirementsAsPip compares with pip's own reader. IMGSPECD_TEST_PIP names a Python that has pip; python3 is asked otherwise.
func TestRequirementsAsPip(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_PIP")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pip._internal.req.req_file").Run(); err != nil {
		t.Skip("no Python that has pip")
	}
	for _, name := range []string{"basic/requirements.txt", "basic/latin.txt", "basic/wide.txt", "hashed/requirements.txt", "cycle/requirements.txt"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(python, "../requirements_oracle.py", name)
			cmd.Dir = "testdata/requirements"
			cmd.Env = append(os.Environ(), "INDEX_USER=me", "INDEX_TOKEN=s3cret", "PIP_CONFIG_FILE="+os.DevNull)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want pipAnswer
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
			r, err := ParseRequirements(name, onDisk)
			if (err != nil) != (want.Error != "") {
				t.Fatalf("error is %v, pip's is %q", err, want.Error)
			}
			if err == nil {
				compareWithPip(t, r, want)
			}
		})
	}
}

func compareWithPip(t *testing.T, r *Requirements, want pipAnswer) {
	t.Helper()
	var got, theirs []string
	add := func(l RequirementLine, constraint bool) {
		hashes := slices.Sorted(slices.Values(l.Hashes))
		got = append(got, fmt.Sprint(l.Text, l.Editable, constraint, hashes))
	}
	for _, l := range r.Lines {
		add(l, false)
	}
	for _, l := range r.Constraints {
		add(l, true)
	}
	for _, l := range want.Lines {
		theirs = append(theirs, fmt.Sprint(strings.TrimSpace(l.Text), l.Editable, l.Constraint, l.Hashes))
	}
	slices.Sort(got)
	slices.Sort(theirs)
	if diff := cmp.Diff(theirs, got); diff != "" {
		t.Errorf("lines: -pip +ours\n%s", diff)
	}
	o := r.Options
	indexes := slices.DeleteFunc(append([]string{o.Index}, o.ExtraIndexes...), func(s string) bool { return s == "" })
	sets := func(f FormatControl) []string {
		names := append([]string{}, f.Names...)
		if f.All {
			names = append(names, ":all:")
		}
		slices.Sort(names)
		return names
	}
	if diff := cmp.Diff([]any{want.Indexes, want.FindLinks, want.NoBinary, want.OnlyBinary, want.Prefer},
		[]any{append([]string{}, indexes...), append([]string{}, o.FindLinks...), sets(o.NoBinary), sets(o.OnlyBinary), o.PreferBinary}); diff != "" {
		t.Errorf("options: -pip +ours\n%s", diff)
	}
	if want.Pre != nil && *want.Pre != o.Pre {
		t.Errorf("--pre is %v", o.Pre)
	}
}

func TestRequirementLines(t *testing.T) {
	for _, c := range []struct {
		text string
		want RequirementLine
	}{
		{"./pkg[a, b]", RequirementLine{Path: "dir/pkg"}},
		{"-e .", RequirementLine{Path: "dir", Editable: true}},
		{"--editable=../other[x] ; python_version > '3'", RequirementLine{Path: "other", Editable: true}},
		{"-e/abs/pkg", RequirementLine{Path: "/abs/pkg", Editable: true}},
		{"wheels/odd_name-1.0-py3-none-any.whl", RequirementLine{Path: "dir/wheels/odd_name-1.0-py3-none-any.whl"}},
		{"file:///srv/odd-1.0.tar.gz", RequirementLine{Path: "/srv/odd-1.0.tar.gz"}},
		{"odd @ ./odd", RequirementLine{Path: "dir/odd"}},
		{"https://example.org/odd-1.0-py3-none-any.whl#sha256=00", RequirementLine{Hashes: []string{"sha256:00"}}},
	} {
		r, err := ParseRequirements("dir/r.txt", inMemory(map[string]string{"dir/r.txt": c.text + "\n"}))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if len(r.Lines) != 1 {
			t.Errorf("%s: %d lines", c.text, len(r.Lines))
			continue
		}
		got := r.Lines[0]
		if got.Path != c.want.Path || got.Editable != c.want.Editable || !slices.Equal(got.Hashes, c.want.Hashes) {
			t.Errorf("%s: is %+v", c.text, got)
		}
	}
}

func TestRequirementErrors(t *testing.T) {
	deep := map[string]string{}
	for i := range 30 {
		deep[fmt.Sprintf("%d.txt", i)] = fmt.Sprintf("-r %d.txt\n", i+1)
	}
	wide := map[string]string{"r.txt": strings.Repeat("-r s.txt\n", 300), "s.txt": "a\n"}
	for _, c := range []struct {
		name, text string
		more       map[string]string
		file       string
		line       int
		want       string
	}{
		{"missing file", "a\n\n-r gone.txt\n", nil, "r.txt", 3, "read gone.txt: no such file"},
		{"cycle", "-r sub/a.txt\n", map[string]string{"sub/a.txt": "x\n-r ../r.txt\n"}, "sub/a.txt", 2, "r.txt includes itself"},
		{"deep", "-r 0.txt\n", deep, "18.txt", 1, "too many files"},
		{"wide", "", wide, "r.txt", 200, "too many files"},
		{"from the network", "-r https://me:s3cret@example.org/r.txt\n", nil, "r.txt", 1, "https://****@example.org/r.txt"},
		{"unknown option", "a\n--frobnicate\n", nil, "r.txt", 2, "--frobnicate is not known"},
		{"no value", "--index-url\n", nil, "r.txt", 1, "has no value"},
		{"open quote", "-r 'a\n", nil, "r.txt", 1, "a quote is not closed"},
		{"odd requirement", "a\nb c\n", nil, "r.txt", 2, `read requirement "b c"`},
		{"odd version", "a >= banana\n", nil, "r.txt", 1, "banana"},
		{"odd marker", "a ; banana == 'x'\n", nil, "r.txt", 1, `"banana" is no variable`},
		{"short hash", "a==1 --hash=sha256:00\n", nil, "r.txt", 1, "is not a digest of sha256"},
		{"weak hash", "a==1 --hash=md5:00\n", nil, "r.txt", 1, "is not of sha256"},
		{"two indexes", "-i https://a.example.org\n-i https://b.example.org\n", nil, "r.txt", 2, "given twice"},
		{"lone hash", "--hash=sha256:00\n", nil, "r.txt", 1, "stands with no requirement"},
		{"option of a line", "a==1 --no-index\n", nil, "r.txt", 1, "cannot stand on the line"},
		{"constraint by path", "-c c.txt\n", map[string]string{"c.txt": "\n./dir\n"}, "c.txt", 2, "a constraint is"},
		{"conflict", "a\n<<<<<<< HEAD\nb\n", nil, "r.txt", 2, "a merge conflict"},
		{"not text", "a\x00b\n", nil, "r.txt", 0, "NUL"},
		{"not UTF-8", "\xff\n", nil, "r.txt", 0, "not UTF-8"},
		{"line in a joined one", "a\\\n\\\n==b==c\nd\n", nil, "r.txt", 1, "b==c"},
		{"large", strings.Repeat("# x\n", maxRequirementBytes/4+1), nil, "r.txt", 0, "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"r.txt": c.text}
			for name, text := range c.more {
				files[name] = text
			}
			_, err := ParseRequirements("r.txt", inMemory(files))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if e.File != c.file || e.Line != c.line || !strings.Contains(e.Reason, c.want) || strings.Contains(e.Error(), "s3cret") {
				t.Errorf("error is %q, want %s:%d: %s", e, c.file, c.line, c.want)
			}
		})
	}
}

func TestPins(t *testing.T) {
	r, err := ParseRequirements("hashed/requirements.txt", onDisk)
	if err != nil {
		t.Fatal(err)
	}
	pins, hashed, open, err := r.Pins(bookworm)
	if err != nil || open != nil || !hashed || len(pins) != 2 || pins[0].Version != "3.7" || len(pins[0].Hashes) != 2 {
		t.Errorf("pins are %+v, hashed %v, open %+v, error %v", pins, hashed, open, err)
	}
	for text, want := range map[string]string{
		"a==1\nb>=2\n":                            "open 2",
		"a==1\nb==2.*\n":                          "open 2",
		"a==1\n-e .\n":                            "open 2",
		"a==1.0\nA[x]==1\n":                       "pinned",
		"a==1\na==1.0.1\n":                        "error",
		"a==1\na==2 ; sys_platform == 'win32'\n":  "pinned",
		"a==1\na[x]==1\n":                         "pinned",
		"a==1 ; platform_release == '6.1'\n":      "error",
		"a>1 ; python_version < '3'\nb===1-odd\n": "pinned",
	} {
		r, err := ParseRequirements("r.txt", inMemory(map[string]string{"r.txt": text}))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		pins, hashed, open, err := r.Pins(bookworm)
		got := "pinned"
		switch {
		case err != nil:
			got = "error"
		case open != nil:
			got = fmt.Sprint("open ", open.Line)
		case hashed || len(pins) != 1:
			got = fmt.Sprintf("%v %v", hashed, pins)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What is read is read the same when it is written flat.
func TestFlat(t *testing.T) {
	r, err := ParseRequirements("basic/requirements.txt", onDisk)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseRequirements("r.txt", inMemory(map[string]string{"r.txt": r.Flat()}))
	if err != nil {
		t.Fatal(err)
	}
	if again.Flat() != r.Flat() || len(again.Lines) != len(r.Lines) {
		t.Errorf("flat twice:\n%s\nflat once:\n%s", again.Flat(), r.Flat())
	}
}

func FuzzParseRequirements(f *testing.F) {
	for _, name := range []string{"basic/requirements.txt", "basic/wide.txt", "basic/latin.txt", "hashed/requirements.txt"} {
		f.Add(string(readFile(f, path.Join("testdata/requirements", name))), "idna==3.7\n")
	}
	f.Add("-r s.txt\n-c s.txt\n-e ./x[y] ; os_name == 'posix'\n", "-r r.txt\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		files := inMemory(map[string]string{"r.txt": first, "s.txt": second})
		r, err := ParseRequirements("r.txt", files)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T is not an *Error: %v", err, err)
			}
			return
		}
		if _, _, _, err := r.Pins(bookworm); err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T is not an *Error: %v", err, err)
			}
		}
		for _, l := range r.Lines {
			if strings.ContainsAny(l.Text, "\n\r\x00") {
				t.Errorf("a requirement of several lines: %q", l.Text)
			}
			if l.Name == "" && l.Path == "" && l.URL == "" {
				t.Errorf("a requirement of nothing: %+v", l)
			}
		}
	})
}
