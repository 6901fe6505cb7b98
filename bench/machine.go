package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is what the bench works with; test/run --env sets the variables.
type machine struct {
	binary   string // imgspecd
	bytecode string // its setting
	registry string
	base     string // path of the base in the registry
	uv       string
	python   string // with flytekit
	docker   string // an engine in which images are tried; empty: none
	ca       string
	bin      string // buildkitd and buildctl
	work     string // everything that is written
}

func newMachine(binary, bytecode string) (machine, error) {
	m := machine{
		binary:   binary,
		bytecode: bytecode,
		registry: os.Getenv("IMGSPECD_TEST_REGISTRY"),
		uv:       os.Getenv("IMGSPECD_TEST_UV"),
		python:   os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON"),
		docker:   os.Getenv("IMGSPECD_TEST_DOCKER"),
		ca:       os.Getenv("IMGSPECD_TEST_CA_BUNDLE"),
		bin:      filepath.Join(os.Getenv("IMGSPECD_RIG_DIR"), "bin"),
	}
	_, m.base, _ = strings.Cut(os.Getenv("IMGSPECD_TEST_BASE_PYTHON"), "/")
	if m.registry == "" || m.uv == "" || m.python == "" || m.base == "" || m.ca == "" {
		return m, errors.New("the rig is not up: start this with bench/run")
	}
	var err error
	m.work, err = os.MkdirTemp("", "imgspecd-bench-")
	return m, err
}

// intercepted reports whether downloads need authorities that the public does not have.
func (m machine) intercepted() bool { return os.Getenv("SSL_CERT_FILE") != "" }

func (m machine) run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, tail(out.String()))
	}
	return nil
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// architecture is this machine's, as images name it.
func architecture() string { return runtime.GOARCH }

// noise hashes the same bytes again and again: how far the times are apart is how far this machine can be trusted now.
func noise() []time.Duration {
	b := make([]byte, 64<<20)
	out := make([]time.Duration, 9)
	for i := range out {
		start := time.Now()
		sha256.Sum256(b)
		out[i] = time.Since(start)
	}
	return out
}

// load is the number of processes that want a core, over the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// memory returns a field of /proc/PID/status, in bytes: VmRSS (now) or VmHWM (most so far).
func memory(pid int, field string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// cpu returns the processor time that a process has used.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel counts in hundredths for user space
}
