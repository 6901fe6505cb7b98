package lockfile

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// TestSelectAsPoetry asks the real poetry what it would install of every fixture in every environment (testdata/poetry_oracle.py), and compares the
// files with those that Select chooses. IMGSPECD_TEST_POETRY names a Python that has poetry.
func TestSelectAsPoetry(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_POETRY")
	if python == "" {
		t.Skip("IMGSPECD_TEST_POETRY does not name a Python that has poetry")
	}
	for _, name := range poetryFixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsePoetryFixture(t, name)
			answers := askPython(t, python, environments(), "testdata/poetry_oracle.py", filepath.Join("testdata/poetry", name))
			compareAnswers(t, l, answers, sourceKind)
		})
	}
}

func compareAnswers(t *testing.T, l Lock, answers []answer, kind func(Artifact) string) {
	t.Helper()
	for i, env := range environments() {
		got := map[string]string{}
		artifacts, err := l.Select(env, Choice{})
		for _, a := range artifacts {
			got[a.Name] = a.Filename
			if a.Direct != nil {
				got[a.Name] = kind(a)
			}
		}
		switch a := answers[i]; {
		case err != nil && a.Error == "":
			t.Errorf("%s: Select fails with %v, the oracle does not: %v", env, err, a.Files)
		case err == nil && a.Error != "":
			t.Errorf("%s: the oracle fails with %s, Select does not", env, a.Error)
		case err == nil:
			if diff := cmp.Diff(a.Files, got); diff != "" {
				t.Errorf("%s: -oracle +Select\n%s", env, diff)
			}
		}
	}
}

// sourceKind returns the type of a package's source as poetry.lock calls it.
func sourceKind(a Artifact) string {
	switch {
	case a.URL != "" && a.Filename == "":
		return "git"
	case a.URL != "":
		return "url"
	case a.Filename == "":
		return "directory"
	}
	return "file"
}

// answer is what an oracle says for one environment: for each package its file, or the kind of source of one that has none in an index.
type answer struct {
	Files map[string]string `json:"files"`
	Error string            `json:"error"`
}

// askPython puts some environments to an oracle written in Python.
func askPython(t *testing.T, python string, envs []pypa.Environment, args ...string) []answer {
	t.Helper()
	type question struct {
		Python  string `json:"python"`
		Machine string `json:"machine"`
		Libc    []any  `json:"libc"`
	}
	var questions []question
	for _, e := range envs {
		machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[e.Arch]
		questions = append(questions, question{e.Python, machine, []any{e.Libc.Kind, e.Libc.Major, e.Libc.Minor}})
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, args...)
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
