package resolve

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// RunDir is the directory in which a Run expects its files; uv may write to it.
const RunDir = "/dev/shm/imgspecd"

// RunPython stands in the arguments of a Run for the interpreter.
const RunPython = "{python}"

// Run is uv's own part of a resolution that is made elsewhere: what it is called with. Files, Env and Stdin may hold credentials.
type Run struct {
	Args  []string
	Env   []string          // besides what is there
	Files map[string][]byte // by name, in RunDir
	Stdin []byte
}

// runThere resolves a job where packages may be built.
func (r *Resolver) runThere(ctx context.Context, j *job, build func(context.Context, Run) ([]byte, error)) ([]byte, error) {
	tmp, err := os.MkdirTemp(r.deps.Tmp, "resolve-")
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	defer os.RemoveAll(tmp)
	args, err := r.args(j, tmp)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	run := Run{Files: map[string][]byte{}, Env: r.awayEnv(j), Stdin: []byte(strings.Join(j.composed.requirements, "\n") + "\n")}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--no-build", "--system":
		case "--python":
			i++
		default:
			run.Args = append(run.Args, strings.ReplaceAll(args[i], tmp, RunDir))
		}
	}
	run.Args = append(run.Args[:2:2], append([]string{"--python", RunPython}, run.Args[2:]...)...) // after "pip compile"
	files, err := os.ReadDir(tmp)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	for _, f := range files {
		if run.Files[f.Name()], err = os.ReadFile(filepath.Join(tmp, f.Name())); err != nil {
			return nil, fmt.Errorf("resolve: %w", err)
		}
	}
	lock, err := build(ctx, run)
	switch {
	case err != nil:
		return nil, err
	case len(lock) > maxLock:
		return nil, &Error{Kind: Failed, Reason: fmt.Sprintf("the resolution is longer than %d MB", maxLock>>20)}
	case !bytes.Contains(lock, []byte("lock-version")):
		return nil, &Error{Kind: Outdated, Reason: "uv gave no pylock.toml", Hint: outdatedHint}
	}
	return j.hashes.keep(lock)
}

// awayEnv is what of the environment matters elsewhere: which indexes are asked, and how.
func (r *Resolver) awayEnv(j *job) []string {
	var out []string
	for _, kv := range r.indexEnv(j) {
		if name, _, _ := strings.Cut(kv, "="); name != "UV_CONFIG_FILE" && (deciding[name] || strings.HasPrefix(name, "UV_INDEX_")) {
			out = append(out, kv)
		}
	}
	return out
}
