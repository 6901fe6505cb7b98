package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// imports are what tasks begin with, each timed in containers that never did it before.
var imports = []string{"pandas, sklearn", "flytekit"}

// started is how long imports took in an image that was made with a setting of bytecode.
type started struct {
	bytecode string
	took     [][]time.Duration // by index in imports
}

// measureImports makes the image with and without bytecode, of downloaded wheels, and times imports in each.
func measureImports(ctx context.Context, m machine, s *scale, proj *project, wheels string, r *report) error {
	if m.docker == "" {
		return nil
	}
	for _, m.bytecode = range []string{"off", "auto"} {
		o, err := startOurs(ctx, m, s, wheels)
		if err != nil {
			return err
		}
		img, err := o.force(ctx, proj)
		if err != nil {
			return err
		}
		got, err := m.imports(ctx, img.Name)
		if err != nil {
			return err
		}
		r.started = append(r.started, started{m.bytecode, got})
		if err := o.stop(); err != nil {
			return err
		}
		if err := o.remove(); err != nil {
			return err
		}
	}
	return nil
}

// timed prints how long an import takes, in nanoseconds.
const timed = "import time; t = time.perf_counter_ns(); import %s; print(time.perf_counter_ns() - t)"

func (m machine) imports(ctx context.Context, image string) ([][]time.Duration, error) {
	docker := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "docker", append([]string{"--host", m.docker}, args...)...)
		cmd.Dir = filepath.Dir(m.work)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("docker %s: %w\n%s", args[0], err, tail(string(out)))
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := docker("pull", "--quiet", image); err != nil {
		return nil, err
	}
	defer func() { _, _ = docker("rmi", "--force", image) }() // it is the bench's own
	took := make([][]time.Duration, len(imports))
	for i, what := range imports {
		for range 5 {
			out, err := docker("run", "--rm", image, "python", "-c", fmt.Sprintf(timed, what))
			if err != nil {
				return nil, err
			}
			n, err := strconv.ParseInt(out[strings.LastIndexByte(out, '\n')+1:], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("import %s: %w", what, err)
			}
			took[i] = append(took[i], time.Duration(n))
		}
	}
	return took, nil
}
