package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// versions of httpx: the project begins with the first and is changed to each of the others in turn.
var versions = []string{"0.28.1", "0.27.2", "0.27.0", "0.26.0", "0.25.2", "0.25.1", "0.25.0"}

// project is the project that is built: a directory, and a lock for each version of the package that changes.
type project struct {
	dir   string
	locks []files // by index in versions
}

type files struct{ pyproject, lock string }

const workflow = `from flytekit import ImageSpec, task, workflow

image = ImageSpec(
    name="bench",
    registry=%q,
    base_image=%q,
    requirements="uv.lock",%s
)


@task(container_image=image)
def hello() -> str:
    return "hello"


@workflow
def wf() -> str:
    return hello()
`

// newProject writes a project below dir; its locks are made by the real uv, changes of them with as little change as uv can do.
func newProject(ctx context.Context, m machine, dir, registry, base string, changes int) (*project, error) {
	p := &project{dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	env := ""
	if m.intercepted() { // uv in the peer's container has to be told; for us it is one more variable in the image
		env = "\n    env={\"SSL_CERT_FILE\": \"/etc/ssl/certs/ca-certificates.crt\"},"
	}
	if err := p.write("workflow.py", fmt.Sprintf(workflow, registry, base, env)); err != nil {
		return nil, err
	}
	for _, v := range versions[:1+changes] {
		pyproject := fmt.Sprintf(`[project]
name = "bench"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = ["flytekit==1.16.31", "pandas", "pyarrow", "scikit-learn", "httpx==%s"]
`, v)
		if err := p.write("pyproject.toml", pyproject); err != nil {
			return nil, err
		}
		if err := m.run(ctx, dir, m.uv, "lock", "--quiet", "--python", m.python); err != nil {
			return nil, err
		}
		lock, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
		if err != nil {
			return nil, err
		}
		p.locks = append(p.locks, files{pyproject: pyproject, lock: string(lock)})
	}
	return p, p.save(0)
}

// save writes the files of a version as uv does: pyproject.toml first, the lock in place.
func (p *project) save(version int) error {
	f := p.locks[version]
	if err := p.write("pyproject.toml", f.pyproject); err != nil {
		return err
	}
	return p.write("uv.lock", f.lock)
}

func (p *project) write(name, content string) error {
	return os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644)
}

// packages counts the packages of a version's lock.
func (p *project) packages(version int) int {
	return strings.Count(p.locks[version].lock, "[[package]]") - 1
}
