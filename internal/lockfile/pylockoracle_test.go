package lockfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func pylockFixtures(t testing.TB) []string { return directories(t, "testdata/pylock") }

func parsePylockFixture(t testing.TB, name string) *Pylock {
	t.Helper()
	l, err := ParsePylock("pylock.toml", readFile(t, filepath.Join("testdata/pylock", name, "pylock.toml")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSelectAsPackaging compares Select with the selection of packaging.pylock. IMGSPECD_TEST_PACKAGING names a Python that has packaging 26.3
// or newer; any that has poetry 2.5 does.
func TestSelectAsPackaging(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_PACKAGING")
	if python == "" {
		python = os.Getenv("IMGSPECD_TEST_POETRY")
	}
	if python == "" {
		t.Skip("IMGSPECD_TEST_PACKAGING does not name a Python that has packaging")
	}
	if out, err := exec.Command(python, "-c", "import packaging.pylock").CombinedOutput(); err != nil {
		t.Skipf("%s has no packaging.pylock: %s", python, out)
	}
	for _, name := range pylockFixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsePylockFixture(t, name)
			answers := askPython(t, python, environments(), "testdata/pylock_oracle.py", filepath.Join("testdata/pylock", name, "pylock.toml"))
			compareAnswers(t, l, answers, func(a Artifact) string {
				if kind := sourceKind(a); kind != "url" && kind != "file" {
					return kind
				}
				return "archive"
			})
		})
	}
}
