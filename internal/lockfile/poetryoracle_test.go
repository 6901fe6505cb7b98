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
			answers := askPoetry(t, python, name, environments())
			for i, env := range environments() {
				got := map[string]string{}
				artifacts, err := l.Select(env)
				for _, a := range artifacts {
					got[a.Name] = a.Filename
					if a.Direct != nil {
						got[a.Name] = sourceKind(a)
					}
				}
				switch a := answers[i]; {
				case err != nil && a.Error == "":
					t.Errorf("%s: Select fails with %v, poetry does not: %v", env, err, a.Files)
				case err == nil && a.Error != "":
					t.Errorf("%s: poetry fails with %s, Select does not", env, a.Error)
				case err == nil:
					if diff := cmp.Diff(a.Files, got); diff != "" {
						t.Errorf("%s: -poetry +Select\n%s", env, diff)
					}
				}
			}
		})
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

type poetryAnswer struct {
	Files map[string]string `json:"files"`
	Error string            `json:"error"`
}

func askPoetry(t *testing.T, python, fixture string, envs []pypa.Environment) []poetryAnswer {
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
	cmd := exec.Command(python, "testdata/poetry_oracle.py", filepath.Join("testdata/poetry", fixture))
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ask poetry: %v\n%s", err, stderr.String())
	}
	var answers []poetryAnswer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
