package project

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// TestAgainstFlytekit reads a project here and by importing it with the real flytekit, and compares every name.
func TestAgainstFlytekit(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON")
	if python == "" {
		t.Skip("needs IMGSPECD_TEST_FLYTEKIT_PYTHON, a Python that has flytekit")
	}
	needPython(t)
	dir := t.TempDir()
	lay(t, dir, map[string]string{
		"uv.lock": "version = 1\n", "pyproject.toml": "", "conf/a.yaml": "a: 1\n", "src/m.py": "x = 1\n", "r.txt": "numpy\n",
		"acme/__init__.py": "", "acme/settings.py": "REGISTRY = 'ghcr.io/Acme'\n",
		"acme/images.py": "from flytekit import ImageSpec\nfrom .settings import REGISTRY\netl = ImageSpec(name='etl', registry=REGISTRY, requirements='uv.lock')\n",
		"wf.py": `
import os
from pathlib import Path
from flytekit import ImageSpec
from flytekit.constants import CopyFileDetection
from acme.images import etl
HERE = Path(__file__).parent
PKGS = ["numpy", 'quo"te', "it's"]
a = ImageSpec(name="A", packages=PKGS + ["x"], env={"Z": "é\n", "A": None}, python_version=3.1)
b = etl.with_packages("q").with_commands(["echo 'hi'"])
c = ImageSpec(name="c", base_image=etl, registry=os.getenv("REG"), tag_format="v-{spec_hash:.8}")
d = ImageSpec(name="d", copy=["conf", "r.txt"], requirements=HERE / "r.txt")
e = ImageSpec(name="e", source_root="src", source_copy_mode=CopyFileDetection.ALL)
f = ImageSpec(name="f", source_root=str(HERE), source_copy_mode=CopyFileDetection.NO_COPY)
g = ImageSpec(name="g", builder_options={1: (1.0, True), "p": HERE, "f": 1e16}, entrypoint=[])
h = ImageSpec.from_env(name="h", pinned_packages=["flytekit"])
i = ImageSpec(name="i", source_root=".", registry="localhost:30000")
`})
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	prog := "import wf, sys, flytekit\nprint(flytekit.__version__, '%d.%d' % sys.version_info[:2], sys.prefix)\n" +
		"for n in '" + strings.Join(names, "") + "':\n    s = getattr(wf, n); print(n, s.image_name(), s.id)\n"
	cmd := exec.Command(python, "-B", "-c", prog)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REG=ghcr.io/me", "PYTHONPATH="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("import with flytekit: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	head := strings.Fields(lines[0])
	asVenv(t, dir, head[1], head[2])
	res := read(t, &Reader{}, dir, Options{Env: map[string]string{"REG": "ghcr.io/me"}})
	if res.Flytekit != head[0] || res.Python != head[1] {
		t.Errorf("flytekit %s, Python %s, want %v", res.Flytekit, res.Python, head)
	}
	var got bytes.Buffer
	for _, f := range res.Specs {
		if !slices.Contains(names, f.Label) {
			continue
		}
		n, err := imagespec.Name(f.Spec, imagespec.Options{Dir: f.Cwd, Flytekit: res.Flytekit, Machine: "x86_64"})
		if err != nil {
			t.Errorf("%s: %v", f.Label, err)
		}
		fmt.Fprintln(&got, f.Label, n.Name, n.ID)
	}
	if want := strings.Join(lines[1:], "\n") + "\n"; got.String() != want {
		t.Errorf("got\n%swant\n%s%s", got.String(), want, summary(res))
	}
}

// asVenv makes the environment of the interpreter that of the project.
func asVenv(t *testing.T, dir, minor, prefix string) {
	t.Helper()
	venv := filepath.Join(dir, ".venv")
	lay(t, dir, map[string]string{".venv/pyvenv.cfg": "version_info = " + minor + ".1\n"})
	if err := os.MkdirAll(filepath.Join(venv, "lib", "python"+minor), 0o755); err != nil {
		t.Fatal(err)
	}
	site := filepath.Join("lib", "python"+minor, "site-packages")
	if err := os.Symlink(filepath.Join(prefix, site), filepath.Join(venv, site)); err != nil {
		t.Fatal(err)
	}
}
