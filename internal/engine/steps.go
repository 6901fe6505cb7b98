package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
)

// What must execute is a step. Steps below the packages make another base of a base: to the plan it is a base like any other. A step
// is executed once for its key; what it left is kept, so a change of a lock executes nothing of what lies below.

// Executor executes steps, in a BuildKit.
type Executor interface {
	Run(ctx context.Context, on v1.Image, s plan.Step, out func(line string)) (buildkit.Result, error)
	Fill(ctx context.Context, on v1.Image, s plan.Step, dir string, out func(line string)) error
}

// Steps keeps what steps left.
type Steps interface {
	Step(key string) (store.StepRecord, bool)
	PutStep(key string, r store.StepRecord) error
}

// errPending is for what is known only once a step has been executed.
var errPending = errors.New("a step has not been executed yet")

// stepper returns what a step left on an image.
type stepper func(ctx context.Context, on v1.Image, s plan.Step) (store.StepRecord, error)

// kept is the stepper of whoever may not execute anything.
func (p *Pipeline) kept(_ context.Context, _ v1.Image, s plan.Step) (store.StepRecord, error) {
	if rec, ok := p.Steps.Step(s.Key); ok {
		return rec, nil
	}
	return store.StepRecord{}, errPending
}

// execute is the stepper of a build.
func (p *Pipeline) execute(report progress.Func) stepper {
	return func(ctx context.Context, on v1.Image, s plan.Step) (store.StepRecord, error) {
		if rec, ok := p.Steps.Step(s.Key); ok {
			return rec, nil
		}
		unlock, err := p.executing.Lock(ctx, s.Key)
		if err != nil {
			return store.StepRecord{}, err
		}
		defer unlock()
		if rec, ok := p.Steps.Step(s.Key); ok { // another build has executed it meanwhile
			return rec, nil
		}
		report(progress.Event{Step: progress.Execute, Target: s.Title, ItemsTotal: 1, Note: "executing " + s.Title})
		r, err := p.Executor.Run(ctx, on, s, stepLog(report))
		if err != nil {
			return store.StepRecord{}, err
		}
		var rec store.StepRecord
		for _, l := range r.Layers {
			rec.Layers = append(rec.Layers, store.LayerRecord{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size, Installed: l.Installed, Files: l.Files})
		}
		how := "executed"
		if r.Cached {
			how = "BuildKit had it"
		}
		report(progress.Event{Step: progress.Execute, Target: s.Title, Items: 1, ItemsTotal: 1, Note: s.Title + ": " + how})
		return rec, p.Steps.PutStep(s.Key, rec)
	}
}

// stepLog writes what a step says into the build's log.
func stepLog(report progress.Func) func(line string) {
	return func(line string) { report(progress.Event{Step: progress.Execute, Note: "  " + line}) }
}

// prepare executes what lies below the packages, and returns the base that this makes, and what of it is still to be
// executed: then it is the base as far as it goes.
func (p *Pipeline) prepare(ctx context.Context, s Spec, b *base.Base, step stepper, report progress.Func) (*base.Base, []plan.Step, error) {
	steps := plan.Below(s.Fields, b.Info)
	if len(steps) == 0 {
		return b, nil, nil
	}
	img := b.Image
	for i, st := range steps {
		digest, err := img.Digest()
		if err != nil {
			return nil, nil, err
		}
		steps[i] = st.On(digest.String())
		rec, err := step(ctx, img, steps[i])
		if errors.Is(err, errPending) {
			return b, steps[i:], nil
		}
		if err != nil {
			return nil, nil, err
		}
		if img, err = p.Builder.Stack(img, rec.Layers, "imgspecd: "+st.Title, nil); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", st.Title, err)
		}
	}
	made, err := p.Bases.Inspect(ctx, img, b.Info.Platform, report)
	if err != nil {
		return nil, nil, fmt.Errorf("base %s after what was executed on it: %w", b.Info.Ref, err)
	}
	made.Info.Ref, made.Info.From = b.Info.Ref, b.Info.From
	return made, nil, nil
}

// finish executes what lies above the packages and files.
func (p *Pipeline) finish(ctx context.Context, pl *plan.Plan, img v1.Image, step stepper) (v1.Image, error) {
	if pl.Above == nil {
		return img, nil
	}
	rec, err := step(ctx, img, *pl.Above)
	if err != nil {
		return nil, err
	}
	return p.Builder.Stack(img, rec.Layers, "imgspecd: "+pl.Above.Title, nil)
}

// ofStep tells what kept a step from being executed.
func ofStep(err error, out *api.Error) bool {
	var failed *buildkit.StepError
	var platform *buildkit.PlatformError
	switch {
	case errors.As(err, &failed):
		out.Code, out.Output = api.CodeInvalid, failed.Tail
		out.Message = strings.TrimSuffix(out.Message, failed.Error()) + fmt.Sprintf("exit code %d", failed.Code)
		out.Hint = "the whole output is in its log (imgspecd logs)"
		if failed.Code == 127 {
			out.Hint = "the image has no such program; " + out.Hint
		}
	case errors.As(err, &platform):
		out.Code = api.CodeUnsupported
		out.Hint = "name a BuildKit of that kind in buildkit.address, or give this one an emulator (docs.docker.com/go/qemu-binfmt)"
	case errors.Is(err, buildkit.ErrNone):
		out.Code = api.CodeUnavailable
		out.Hint = "start Docker, or a buildkitd and name it in buildkit.address; imgspecd doctor says what was tried"
	default:
		return false
	}
	return true
}
