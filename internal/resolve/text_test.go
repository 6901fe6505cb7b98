package resolve

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// The expected lines are what flytekit 1.16.31's default builder writes into requirements_uv.txt.
func TestFlytekitIsAdded(t *testing.T) {
	for in, added := range map[string]bool{
		"flytekit": false, "flytekit==1.0": false, "flytekit[a]>=1": false, "flytekit @ git+https://x": false, "flytekit.x": false,
		"Flytekit": true, "flytekit-extra": true, "flytekit_x": true, "flytekitplugins-spark": true, "-r flytekit": true, "# flytekit": true, "": true, "flytekité": true,
	} {
		req := packages(in)
		if got := slices.Contains(req.lines(), "flytekit==1.16.31"); got != added {
			t.Errorf("%q: added %v, want %v", in, got, added)
		}
		req = Request{Requirements: []byte("x\n  " + in + "\t\n"), Flytekit: "1.16.31"}
		if got := slices.Contains(req.lines(), "flytekit==1.16.31"); got != added {
			t.Errorf("%q in a file: added %v, want %v", in, got, added)
		}
	}
	for _, v := range []string{"", "1.17.0.dev3"} {
		if got := (Request{Flytekit: v}).lines(); !slices.Equal(got, []string{"flytekit"}) {
			t.Errorf("version %q: %v", v, got)
		}
	}
}

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"a.txt":       "-r sub/b.txt # more\n--constraint=c.txt\n",
		"sub/b.txt":   "--requirement \\\n  ../d.txt\n-cb2.txt\n",
		"sub/b2.txt":  "-r b.txt",
		"c.txt":       "x<2",
		"d.txt":       "# -r no.txt\nx # -r no.txt\n",
		"override.in": "",
	})
	req := Request{Requirements: []byte(`-r "a.txt"`), Dir: dir, PipExtraArgs: "--override override.in"}
	r := newRig(t, nil)
	got, err := r.Inputs(req)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i], _ = filepath.Rel(dir, got[i])
	}
	if d := cmp.Diff([]string{"override.in", "a.txt", "sub/b.txt", "d.txt", "sub/b2.txt", "c.txt"}, got); d != "" {
		t.Error(d)
	}
	req.Requirements = []byte("-r no.txt")
	var e *Error
	if _, err := r.Inputs(req); !errors.As(err, &e) || e.Kind != Invalid || !strings.Contains(err.Error(), "no.txt, which does not exist") {
		t.Errorf("error %v", err)
	}
}

func TestOddFiles(t *testing.T) {
	for text, want := range map[string]string{
		"-r /dev/zero": "not a regular file", "-c .": "not a regular file", "-r https://u:c4nary@h/r.txt": "no file of this machine",
		"--frob x": "an option that uv does not know", "x\x0b-e .": "control character", "-e git+https://u:c4nary@h/x": "an editable install",
	} {
		_, err := newRig(t, nil).Inputs(Request{Requirements: []byte(text), Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestExtraArgs(t *testing.T) {
	for in, want := range map[string]string{
		"--frobnicate":                     "cannot go by --frobnicate",
		"--trusted-host h":                 "must not decide whom this machine trusts",
		"--index-url":                      "--index-url has no value",
		"'x":                               "a quote is not closed",
		"pandas":                           "cannot go by pandas",
		"https://u:c4nary@h/x":             "cannot go by https://h/x",
		"--keyring-provider subprocess -q": "",
	} {
		o, err := Request{PipExtraArgs: in}.options()
		if want == "" && (err != nil || len(o.args) > 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c4nary")) {
			t.Errorf("%s: %v, error %v, want %q", in, o.args, err, want)
		}
	}
	got, err := split(`a 'b c'"d\"e" f\ g '' h`)
	if d := cmp.Diff([]string{"a", `b cd"e`, "f g", "", "h"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestLogins(t *testing.T) {
	req := Request{
		PipIndex: "https://u:p@i/simple", PipExtraArgs: "--index https://t@j/simple", PipExtraIndexURL: []string{"https://plain"},
		Requirements: []byte("-i https://u:p@i/simple\nx @ https://a:b@k/x.whl ; python_version > '3'\ny @ git+https://c:d@l/y"),
	}
	if d := cmp.Diff([]string{"https://u:p@i/simple", "https://t@j/simple", "https://a:b@k/x.whl", "https://c:d@l/y"}, newRig(t, nil).Logins(req)); d != "" {
		t.Error(d)
	}
}

func TestTarget(t *testing.T) {
	env := func(python, arch, libc string, minor int) pypa.Environment {
		return pypa.Environment{Python: python, OS: "linux", Arch: arch, Libc: pypa.Libc{Kind: libc, Major: map[string]int{"glibc": 2, "musl": 1}[libc], Minor: minor}}
	}
	for _, tt := range []struct {
		env  pypa.Environment
		want string
	}{
		{env("3.12.7", "amd64", "glibc", 36), "3.12.7 x86_64-manylinux_2_36"},
		{env("3.14.0rc2", "arm64", "glibc", 41), "3.14.0 aarch64-manylinux_2_40"},
		{env("3.9.1", "amd64", "glibc", 30), "3.9.1 x86_64-manylinux_2_28"},
		{env("3.9.1", "amd64", "glibc", 17), "3.9.1 x86_64-manylinux_2_17"},
		{env("3.12.7", "arm64", "musl", 2), "3.12.7 aarch64-unknown-linux-musl"},
		{env("3.12.7", "amd64", "glibc", 12), " : too old"},
		{env("3.12.7", "s390x", "glibc", 36), " : cannot resolve for linux/s390x"},
		{env("x", "amd64", "glibc", 36), " : version of Python"},
	} {
		python, platform, err := target(tt.env)
		got := python + " " + platform
		want, reason, _ := strings.Cut(tt.want, ": ")
		if got != want || (err != nil) != (reason != "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("%v: %s, error %v, want %s", tt.env, got, err, tt.want)
		}
	}
}

// Each file is what a uv said: a first line with its release and what is wanted, then its stderr.
func TestExplain(t *testing.T) {
	files, err := filepath.Glob("testdata/said/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, said, _ := strings.Cut(string(b), "\n")
		kind, want, _ := strings.Cut(head, "|")
		e := explain(errors.New("exit status 1"), said, &job{})
		if string(e.Kind) != kind || e.Error() != want {
			t.Errorf("%s:\n%s|%s, want\n%s|%s", f, e.Kind, e.Error(), kind, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("x\r-e .\n# \\\n--editable=y\n--no-index -e .", "", "")
	f.Add("-r a.txt\n--constraint=b \\\n c # d\n-i https://u:p@h/x", `--pre -f 'x' "y\"`, "error: a\n  cause: b\n\nhint: c\n d")
	f.Fuzz(func(t *testing.T, text, args, said string) {
		for _, l := range logicalLines(text) {
			if l == "" || strings.TrimSpace(l) != l {
				t.Errorf("line %q", l)
			}
		}
		c, err := compose(t.TempDir(), text, &options{}, func(s string) string { return s })
		for _, l := range slices.Concat(c.requirements, c.constraints, c.overrides) {
			// No line may be an option, or more than a line, for any reader.
			if err == nil && (l[0] == '-' || strings.ContainsFunc(l, odd) || strings.TrimSpace(l) != l || strings.HasSuffix(l, "\\")) {
				t.Errorf("line %q", l)
			}
		}
		req := Request{Requirements: []byte(text), Packages: []string{text}, PipExtraArgs: args}
		if o, err := req.options(); err == nil {
			for _, a := range o.args {
				if user.MatchString(a) && !strings.Contains(a, "=") {
					t.Errorf("argument %q", a)
				}
			}
		}
		if e := explain(errors.New("x"), said, &job{}); e.Reason == "" || user.MatchString(e.Error()) {
			t.Errorf("error %q", e.Error())
		}
		if lines := req.lines(); !anyFlytekit(lines) {
			t.Error("no flytekit")
		}
	})
}
