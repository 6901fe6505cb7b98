package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// Pythons finds interpreters of this host that compile for an image.
type Pythons interface {
	Find(ctx context.Context, version string) (bytecode.Python, bool)
}

// bytecode says how the packages of an image with that Python are compiled. Where
// they are not though they could be, the note says why.
func (p *Pipeline) bytecode(ctx context.Context, s Spec, image base.Python, platform string) (code *plan.Bytecode, note string, err error) {
	mode := s.Policy.Bytecode
	if mode == "" || mode == config.BytecodeOff || p.Pythons == nil {
		return nil, "", nil
	}
	const skipped = "packages are not compiled ahead, so the first import in each container takes longer: "
	if image.FreeThreaded { // whose files could bear the names of the other build's, and nobody has compared them
		if mode == config.BytecodeOn {
			return nil, "", &plan.Unsupported{Field: "base_image", Reason: "bytecode = \"on\" for a free-threaded Python", Hint: `set bytecode = "auto"`}
		}
		return nil, skipped + "the image's Python is a free-threaded build", nil
	}
	version := image.Version
	python, ok := p.Pythons.Find(ctx, version)
	if err := ctx.Err(); err != nil {
		return nil, "", context.Cause(ctx)
	}
	if ok {
		return &plan.Bytecode{Python: python, All: mode == config.BytecodeOn}, "", nil
	}
	if python, ok = bytecode.Of(version); ok && p.Executor.Executes(ctx, platform) {
		return &plan.Bytecode{Python: python, All: mode == config.BytecodeOn}, "", nil // the image's own
	}
	minor := version
	if parts := strings.SplitN(version, ".", 3); len(parts) > 2 {
		minor = parts[0] + "." + parts[1]
	}
	missing := fmt.Sprintf("this machine has no CPython %s, the image's, to compile them with, and no BuildKit that executes for %s", minor, platform)
	if mode == config.BytecodeOn {
		return nil, "", &api.Error{
			Code: api.CodeInvalid, Message: "bytecode = \"on\", but " + strings.Replace(missing, "them", "packages", 1),
			Hint: "uv python install " + minor + ", or put python" + minor + " on the daemon's PATH, or set bytecode = \"auto\"",
		}
	}
	return nil, skipped + missing + " (uv python install " + minor + ")", nil
}
