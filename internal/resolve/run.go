package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Limits on what uv may say. A lock of 1,000 packages for one environment has about 1 MB.
const (
	maxLock   = 64 << 20
	maxStderr = 256 << 10
)

// run has uv resolve a job.
func (r *Resolver) run(ctx context.Context, j *job) ([]byte, error) {
	uv, err := r.uv()
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(r.deps.Tmp, "resolve-")
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	defer os.RemoveAll(tmp)
	env, err := r.environ(j, tmp)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	args, err := r.args(j, tmp)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	run, cancel := context.WithTimeoutCause(ctx, r.deps.Timeout, errTooLong)
	defer cancel()
	cmd := exec.CommandContext(run, uv, args...)
	cmd.Dir, cmd.Env = j.dir, env
	if cmd.Dir == "" {
		cmd.Dir = tmp
	}
	cmd.Stdin = strings.NewReader(strings.Join(j.composed.requirements, "\n") + "\n")
	out, said := &capped{max: maxLock}, &capped{max: maxStderr}
	cmd.Stdout, cmd.Stderr = out, said
	// uv starts git, Python and keyring; all of them end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second

	began := r.deps.Now()
	err = cmd.Run()
	r.deps.Log.Debug("uv has resolved", slog.String("key", j.key), slog.Duration("took", r.deps.Now().Sub(began)), slog.Bool("ok", err == nil))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(context.Cause(run), errTooLong):
		return nil, &Error{Kind: TimedOut, Reason: fmt.Sprintf("uv did not resolve the requirements within %s", r.deps.Timeout)}
	case err != nil:
		return nil, explain(err, said.String(), j)
	case out.over:
		return nil, &Error{Kind: Failed, Reason: fmt.Sprintf("the resolution is longer than %d MB", maxLock>>20)}
	case !bytes.Contains(out.Bytes(), []byte("lock-version")):
		return nil, &Error{Kind: Outdated, Reason: "uv gave no pylock.toml", Hint: outdatedHint}
	}
	return j.hashes.keep(out.Bytes())
}

var errTooLong = errors.New("resolving took too long")

// args is uv's command line, for files that it puts into tmp. No credential stands on it.
func (r *Resolver) args(j *job, tmp string) ([]string, error) {
	args := []string{
		"pip", "compile", "--no-build", "--format", "pylock.toml", "--no-header", "--no-annotate",
		"--python-version", j.python, "--python-platform", j.platform,
		// Settings come from a pyproject.toml only if it is the one that is asked for; text has none, as in the default builder.
		"--project", tmp,
	}
	if r.deps.Python != "" {
		args = append(args, "--python", r.deps.Python)
	} else {
		args = append(args, "--system") // not that of a virtual environment
	}
	if j.fresh {
		args = append(args, "--refresh")
	}
	if r.deps.Offline {
		args = append(args, "--offline")
	}
	put := func(name string, text []byte) (string, error) {
		file := filepath.Join(tmp, name)
		return file, os.WriteFile(file, text, 0o600)
	}
	for option, lines := range map[string][]string{"constraint": j.composed.constraints, "override": j.composed.overrides} {
		if len(lines) == 0 {
			continue
		}
		file, err := put(option+".txt", []byte(strings.Join(lines, "\n")+"\n"))
		if err != nil {
			return nil, err
		}
		args = append(args, "--"+option, file)
	}
	args = append(args, j.options.args...)
	if len(j.prefer) > 0 {
		// The file that uv writes to: it keeps to the versions that it finds there.
		file, err := put("pylock.toml", asLock(j.prefer))
		if err != nil {
			return nil, err
		}
		args = append(append(args, j.options.renew...), "--output-file", file)
	}
	if j.project != nil {
		file, err := put("pyproject.toml", j.project.text)
		if err != nil {
			return nil, err
		}
		args = append(args, file)
	}
	return append(args, "-"), nil
}

// asLock writes versions as a lock that says nothing else.
func asLock(pins []Pin) []byte {
	var b strings.Builder
	b.WriteString("lock-version = \"1.0\"\ncreated-by = \"imgspecd\"\n")
	for _, p := range pins {
		fmt.Fprintf(&b, "\n[[packages]]\nname = %q\nversion = %q\n", p.Name, p.Version)
	}
	return []byte(b.String())
}

// capped keeps the first max bytes.
type capped struct {
	bytes.Buffer
	max  int
	over bool
}

func (c *capped) Write(b []byte) (int, error) {
	n := len(b)
	if room := c.max - c.Len(); len(b) > room {
		b, c.over = b[:max(room, 0)], true
	}
	c.Buffer.Write(b)
	return n, nil
}
