package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// project is a directory with a pyproject.toml, a lock and a Python file with one ImageSpec.
type project struct {
	t   *testing.T
	dir string
}

// spec is the ImageSpec of a project.
type spec struct {
	name     string
	registry string // empty: none
	base     string
}

// science is the project that the figures are about.
var science = []string{"flytekit==1.16.31", "pandas", "pyarrow", "scikit-learn", "httpx==0.28.1"}

// newProject writes a project; it has no lock yet.
func newProject(t *testing.T, s spec, dependencies ...string) *project {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &project{t: t, dir: filepath.Join(dir, "demo-"+random())}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.require(dependencies...)
	registry := ""
	if s.registry != "" {
		registry = fmt.Sprintf("    registry=%q,\n", s.registry)
	}
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec, task, workflow

image = ImageSpec(
    name=%q,
%s    base_image=%q,
    requirements="uv.lock",
)


@task(container_image=image)
def hello() -> str:
    return "hello"


@workflow
def wf() -> str:
    return hello()
`, s.name, registry, s.base))
	return p
}

func (p *project) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// require writes pyproject.toml.
func (p *project) require(dependencies ...string) {
	p.t.Helper()
	quoted := make([]string, len(dependencies))
	for i, d := range dependencies {
		quoted[i] = fmt.Sprintf("    %q,\n", d)
	}
	p.write("pyproject.toml", fmt.Sprintf(`[project]
name = "demo"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = [
%s]

[dependency-groups]
dev = ["iniconfig"]
`, strings.Join(quoted, "")))
}

// uv runs the real uv in the project, with the flytekit environment's Python.
func (p *project) uv(args ...string) {
	p.t.Helper()
	need(p.t, varUV, varFlytekit)
	command{dir: p.dir, env: []string{
		"UV_PYTHON=" + os.Getenv(varFlytekit), "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "VIRTUAL_ENV=",
	}}.run(p.t, os.Getenv(varUV), args...)
}

// lock makes uv.lock, as its user would.
func (p *project) lock() *project {
	p.t.Helper()
	p.uv("lock")
	return p
}

// edit changes a file by replacing text that has to be there.
func (p *project) edit(name, old, replacement string) {
	p.t.Helper()
	s := p.read(name)
	if !strings.Contains(s, old) {
		p.t.Fatalf("%s does not hold %q", name, old)
	}
	p.write(name, strings.ReplaceAll(s, old, replacement))
}

// flytekit runs Python code beside the project's files in the environment with the real flytekit.
func (p *project) flytekit(code string, env ...string) string {
	p.t.Helper()
	need(p.t, varFlytekit)
	return command{dir: p.dir, env: append(env, "PYTHONDONTWRITEBYTECODE=1"), in: code}.run(p.t, os.Getenv(varFlytekit), "-")
}
