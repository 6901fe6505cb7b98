package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/resolve"
)

// resolveThere resolves in a step on the base: there packages may be built to learn what they need.
func (p *Pipeline) resolveThere(s Spec, at place) func(context.Context, resolve.Run) ([]byte, error) {
	return func(ctx context.Context, run resolve.Run) ([]byte, error) {
		uv, err := p.Builder.UV(ctx, at.base.Info.Platform)
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(p.Tmp, "resolve-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		var env strings.Builder
		env.WriteString("# variables of uv\n")
		for _, kv := range run.Env {
			name, value, _ := strings.Cut(kv, "=")
			fmt.Fprintf(&env, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
		}
		st := plan.Resolve(plan.Resolution{
			Base: at.base.Info, Args: run.Args, Python: resolve.RunPython, Dir: resolve.RunDir,
			Env: []byte(env.String()), Stdin: run.Stdin, Files: run.Files, Secrets: s.secrets(), Now: p.Now().UTC().Format(time.RFC3339Nano),
		}).WithUV(uv)
		at.step.begin(st, ": some of the packages must be built to learn what they need")
		if err := p.Executor.Fill(ctx, at.base.Image, st, dir, at.step.log); err != nil {
			return nil, err
		}
		at.step.end(st, "done")
		return os.ReadFile(filepath.Join(dir, plan.ResolvedFile))
	}
}
