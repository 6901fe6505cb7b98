package lockfile

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// uvChoices are arguments for all fixtures; a name that a fixture does not have is an error in both.
var uvChoices = []string{
	"", "--dev", "--group dev", "--all-groups", "--no-default-groups", "--no-dev", "--only-dev", "--locked", "--frozen", "--upgrade", "--only-install-project",
	"--all-extras", "--no-all-extras", "--all-extras --no-all-extras", "--all-extras --all-extras", "--extra nope", "--no-extra nope", "--group nope",
	"--no-group nope", "--only-group nope", "--package nope", "--all-packages", "--no-install-local", "--no-install-workspace", "--only-install-local",
	"--only-install-workspace", "--only-install-workspace --only-install-package attrs", "--no-install-package attrs --no-install-package nope",
	"--only-install-package attrs --no-install-package attrs", "--no-editable", "--no-editable --editable", "--inexact --exact", "--only-install-package='attrs'",
	"--no-build", "--no-build --build", "--no-binary --no-build", "--no-build-package docopt", "--no-build-package 'docopt attrs'", "--no-install-package 'a b'",
	`--only-install-package "attrs" -qvn`, "-vv --no-progress --color never", "--color", "--color no", "--link-mode copy", "--link-mode x", "--ext a", "attrs", "--dev=true",
	"--extra", "--extra=", "--extra -q", "--package nope --all-packages", `--no-install-package "at""trs" --no-install-package \click`, "--keyring-provider x",
	"--extra-index-url=https://example.org/simple -f https://example.org/links --index-strategy first-index", "-i=https://pypi.org/simple",
	"--no-group 'dev nope'", "-n --no-cache-dir", "--all-groups --no-default-groups --dev", "--python-preference only-managed",
	"--verbose -q", "--isolated --native-tls --no-system-certs", "--compile --no-compile-bytecode --reinstall", "--", "-", "--no-frozen --no-locked", "-Pattrs",
}

// uvChoicesOf are those that mean something for one fixture.
var uvChoicesOf = map[string][]string{
	"groups": {"--group docs", "--group DOCS --group lint", "--no-group test", "--only-group docs", "--only-group docs --no-group docs", "--group docs --no-group docs",
		"--only-group docs --only-group Base_Set --no-group base.set", "--only-group dev", "--only-group docs --group docs", "--only-group docs --all-groups",
		"--only-group docs --all-extras", "--only-group docs --dev", "--all-groups --no-group docs", "--group empty --no-default-groups", "--only-group docs --extra a",
		"--group docs,lint", "--no-group 'docs test'", "--package groups", "--package groups --package groups"},
	"extras": {"--extra one", "--extra ONE", "--extra all", "--extra one --extra two", "--extra one,two", "--extra 'one two'", "--all-extras --no-extra two",
		"--extra one --no-extra one", "--extra all --no-extra one", "--no-extra one,two", "--extra one --all-extras", "--only-group self", "--no-group self --extra one",
		"--only-group self --no-extra one", "--only-group self --extra one", "--package extras.project --extra one", "--all-packages --extra one", "--extra two --no-install-package attrs"},
	"workspace": {"--package lib", "--package leaf", "--package lib --package leaf", "--package workspace", "--package six", "--package lib --group dev",
		"--package leaf --group dev", "--all-packages --group dev", "--package lib --extra x", "--package lib --all-extras", "--no-install-workspace --no-install-local",
		"--only-install-workspace --no-install-workspace", "--only-install-local --no-install-package leaf", "--no-editable-package leaf"},
	"conflicts": {"--extra cpu", "--extra gpu", "--extra cpu --extra gpu", "--all-extras --no-extra gpu", "--all-extras --no-extra gpu --no-extra slow", "--package tool",
		"--package tool --extra fast", "--package tool --extra slow", "--all-packages --extra slow", "--all-packages --extra cpu", "--extra slow",
		"--all-packages --all-extras", "--package tool --all-extras"},
	"groupconflicts": {"--group new", "--group new --no-group old", "--only-group new", "--only-group new --only-group old", "--all-groups --no-group new",
		"--group new --no-default-groups", "--all-groups --no-group old"},
	"nonproject": {"--package member-a", "--package member-a --group extra-tools", "--package member-a --package Member.B", "--package member-a --group nope",
		"--only-group extra-tools", "--no-group extra-tools", "--only-group extra-tools --package member-a", "--package a"},
	"selfextra": {"--extra cpu", "--extra gpu", "--extra gpu --no-group run", "--extra other", "--package mid --extra quick", "--only-group run", "--no-group run",
		"--no-group run --extra other --extra cpu"},
	"members": {"--extra fast", "--extra empty", "--package lib", "--package lib --extra color", "--package lib --group test", "--package lib --no-default-groups",
		"--package tool", "--package lib --package tool", "--package members --extra fast", "--all-packages --extra color", "--all-packages --all-extras", "--all-packages --no-group test",
		"--group none", "--group run", "--all-packages --group run", "--package tool --no-install-workspace", "--package tool --only-install-workspace",
		"--package tool --only-install-local", "--package tool --no-install-local", "--all-packages --only-install-workspace", "--package lib --only-group run",
		"--package lib --all-groups", "--only-install-package members", "--package tool --only-install-package tool", "--package lib --group none", "--package tool --group test", "--package lib --group rootonly", "--package lib --group libtoo", "--package lib --only-group rootonly",
		"--package tool --all-groups", "--package lib --package tool --group rootonly", "--package lib --package tool --group libtoo", "--package lib --no-group rootonly --all-groups", "--package tool --group libtoo --group run",
		"--only-install-workspace --only-install-local", "--no-build --no-install-package loose", "--no-build --no-install-package loose --no-editable", "--no-binary --no-build --no-install-package loose",
		"--package lib --no-build --no-binary --only-group run", "--no-binary --no-build --only-install-package lib", "--no-binary --no-build --only-install-package loose",
		"--no-build --only-install-package lib --no-editable-package lib", "--only-install-local --only-install-package members"},
	"sdist": {"--no-binary-package six --no-build-package six", "--no-binary-package markupsafe --no-build-package markupsafe", "--no-build --no-install-package docopt --no-install-package markupsafe --no-install-package six",
		"--no-build --no-binary-package docopt", "--no-build --no-binary-package 'docopt markupsafe'"},
	"v040": {"--extra nope --all-packages", "--group dev --no-group dev"},
}

// TestChoiceAsUV has sh give the real uv each list of arguments behind which flytekit's stand, and compares what it would install, or
// that it refuses, with what ParseArgs and Select say. The lock is as flytekit takes it: --locked.
func TestChoiceAsUV(t *testing.T) {
	uv := findUV(t)
	envs := []pypa.Environment{environments()[1], environments()[6], environments()[9]}
	for fixture, own := range uvChoicesOf {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			u := parseFixture(t, fixture)
			for n, env := range envs {
				o := newOracle(t, uv, fixture, env)
				lock, _ := readFixture(t, fixture)
				if err := os.WriteFile(filepath.Join(o.dir, "uv.lock"), lock, 0o644); err != nil {
					t.Fatal(err)
				}
				o.env = slices.DeleteFunc(o.env, func(v string) bool { return strings.HasPrefix(v, "UV_NO_CONFIG=") })
				args := own
				if n == 0 {
					args = slices.Concat(own, uvChoices)
				}
				for _, a := range args {
					compareChoice(t, o, u, env, a)
				}
			}
		})
	}
}

func compareChoice(t *testing.T, o *oracle, u *UV, env pypa.Environment, args string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `uv() { "$UV" "$@" --dry-run --offline --python "$PYTHON"; }; uv sync `+args+" --locked --no-dev --no-install-project")
	cmd.Dir, cmd.Env = o.dir, append(slices.Clone(o.env), "UV="+o.uv, "PYTHON="+o.python)
	out, uvErr := cmd.CombinedOutput()
	choice, err := ParseArgs(FormatUV, args)
	var artifacts []Artifact
	if err == nil {
		artifacts, err = u.Select(env, choice)
	}
	if (err != nil) != (uvErr != nil) {
		t.Errorf("%s: %q: error is %v; uv says %v: %s", env, args, err, uvErr, out)
		return
	}
	quiet := strings.Contains(args, "-q") || strings.Contains(args, "json") // then uv does not tell
	if err != nil || quiet {
		return
	}
	names := []string{}
	for _, a := range artifacts {
		names = append(names, a.Name)
	}
	if diff := cmp.Diff(append([]string{}, installed(string(out))...), names); diff != "" {
		t.Errorf("%s: %q: -uv +Select\n%s", env, args, diff)
	}
}

// poetryChoices are arguments for all fixtures of poetry.
var poetryChoices = []string{
	"", "--no-root", "--all-extras", "--all-groups", "--only main", "--without main", "--without dev", "--only dev", "--only main,dev", "--only 'main, dev'", "--only main --only dev",
	"--with dev --without dev", "--only dev --with main", "--with nope", "--without nope,nip --with nope", "--only nope", "-E nope", "--extras nope", "--all-extras -E nope",
	"--all-groups --with dev", "--all-groups --without main", "--all-groups --only main", "--no-directory", "--sync --compile -n -v -q --no-cache --no-interaction --no-plugins --no-ansi", "-nvvv",
	"--only-root", "--only MAIN", "--with lint", "--only lint", "--without lint", "--with lint --without dev", "-E yaml", "-Efast", "--extras 'fast  yaml'", "--extras=fast -E yaml", "--extras fast,yaml",
	"--all-extras --only main", "--all-extras --without main", "--all-extras --all-groups", "-E ffi", "-E pg", "-E async", "-E async --only main", "-E pg --only dev", "-E pg --all-groups",
	"--with docs", "--only docs", "--with extra-tools", "--only extra_tools -E yaml", "--without extra.tools", "--nope", "word", "--extras", "--no-root=1", "-x", "-E fast --only dev", "--with ''", "--ext fast",
}

// TestChoiceAsPoetry gives the real poetry each list of arguments, behind which flytekit's stands.
func TestChoiceAsPoetry(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_POETRY")
	if python == "" {
		t.Skip("IMGSPECD_TEST_POETRY does not name a Python that has poetry")
	}
	for _, name := range poetryFixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsePoetryFixture(t, name)
			env := environments()[2]
			answers := askPoetry(t, python, filepath.Join("testdata/poetry", name), env, poetryChoices)
			for i, args := range poetryChoices {
				choice, err := ParseArgs(FormatPoetry, args)
				var artifacts []Artifact
				if err == nil {
					artifacts, err = l.Select(env, choice)
				}
				a := answers[i]
				if (err != nil) != (a.Error != "") {
					t.Errorf("%q: error is %v, poetry has %q and %v", args, err, a.Error, a.Files)
					continue
				}
				got := map[string]string{}
				for _, a := range artifacts {
					got[a.Name] = a.Filename
					if a.Direct != nil {
						got[a.Name] = sourceKind(a)
					}
				}
				if diff := cmp.Diff(a.Files, got); err == nil && diff != "" {
					t.Errorf("%q: -poetry +Select\n%s", args, diff)
				}
			}
		})
	}
}

func askPoetry(t *testing.T, python, dir string, env pypa.Environment, args []string) []answer {
	t.Helper()
	var questions []map[string]any
	for _, a := range args {
		questions = append(questions, map[string]any{"python": env.Python, "machine": "x86_64", "libc": []any{env.Libc.Kind, env.Libc.Major, env.Libc.Minor}, "args": a})
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/poetry_oracle.py", dir)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ask the oracle: %v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
