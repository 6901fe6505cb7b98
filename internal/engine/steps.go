package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	Executes(ctx context.Context, platform string) bool
}

// Steps keeps what steps left.
type Steps interface {
	Step(key string) (store.StepRecord, bool)
	PutStep(key string, r store.StepRecord) error
}

// errPending is for what is known only once a step has been executed.
var errPending = errors.New("a step has not been executed yet")

// stepper is how what must execute is come by.
type stepper struct {
	execute bool // else only what is kept is known
	fresh   bool // what apt and conda leave depends on the day, and is wanted as of today
	shares  bool // what it leaves may come from the team cache, and go there
	report  progress.Func
}

// known is the stepper of whoever may not execute anything.
var known = stepper{report: progress.Discard}

// executed is a step, and whether what it leaves is there.
type executed struct {
	plan.Step
	done bool
}

// pending reports whether one of them is still to be executed.
func pending(steps []executed) bool {
	return slices.ContainsFunc(steps, func(x executed) bool { return !x.done })
}

// step returns what a step left on an image.
func (p *Pipeline) step(ctx context.Context, x stepper, on v1.Image, s plan.Step) (store.StepRecord, error) {
	s.Anew = x.fresh && (s.Kind == plan.StepApt || s.Kind == plan.StepConda)
	if rec, ok := p.Steps.Step(s.Key); ok && !s.Anew {
		return rec, nil
	}
	if !x.execute {
		return store.StepRecord{}, errPending
	}
	unlock, err := p.executing.Lock(ctx, s.Key)
	if err != nil {
		return store.StepRecord{}, err
	}
	defer unlock()
	if rec, ok := p.Steps.Step(s.Key); ok && !s.Anew { // another build has executed it meanwhile
		return rec, nil
	}
	if !s.Anew && x.shares {
		if rec, ok := p.Team.Step(ctx, s.Key, leftLayers, x.note); ok {
			x.end(s, "from the team cache")
			return rec, nil
		}
	}
	x.begin(s, "")
	r, err := p.Executor.Run(ctx, on, s, x.log)
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
	x.end(s, how)
	return rec, p.Steps.PutStep(s.Key, rec)
}

// leftLayers refuses what is not left by a step on an image.
func leftLayers(rec store.StepRecord) error {
	if rec.Wheel != nil {
		return fmt.Errorf("it has a wheel, %s", rec.Wheel.Filename)
	}
	return nil
}

// begin, log and end tell of a step.
func (x stepper) begin(s plan.Step, why string) {
	x.report(progress.Event{Step: progress.Execute, Target: s.Title, ItemsTotal: 1, Note: "executing " + s.Title + why})
}

func (x stepper) note(line string) { x.report(progress.Event{Step: progress.Execute, Note: line}) }

func (x stepper) log(line string) {
	x.report(progress.Event{Step: progress.Execute, Note: "  " + line})
}

func (x stepper) end(s plan.Step, how string) {
	x.report(progress.Event{Step: progress.Execute, Target: s.Title, Items: 1, ItemsTotal: 1, Note: s.Title + ": " + how})
}

// prepare executes what lies below the packages, and returns the base that this makes. Where something of it is still to be
// executed, it is the base as it was.
func (p *Pipeline) prepare(ctx context.Context, s Spec, b *base.Base, x stepper) (*base.Base, []executed, error) {
	below, err := plan.Below(s.Fields, b.Info, s.Python)
	if err != nil {
		return nil, nil, err
	}
	var steps []executed
	img := b.Image
	for _, st := range below {
		if pending(steps) {
			steps = append(steps, executed{Step: st})
			continue
		}
		digest, err := img.Digest()
		if err != nil {
			return nil, nil, err
		}
		st = st.On(digest.String())
		rec, err := p.step(ctx, x, img, st)
		if err != nil && !errors.Is(err, errPending) {
			if st.Kind == plan.StepConda {
				err = &pythonError{b.Info.Ref, err}
			}
			return nil, nil, err
		}
		steps = append(steps, executed{st, err == nil})
		if err != nil {
			continue
		}
		if img, err = p.Builder.Stack(img, rec.Layers, "imgspecd: "+st.Title, st.Finds(b.Info)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", st.Title, err)
		}
	}
	if len(steps) == 0 {
		return b, nil, nil
	}
	if pending(steps) {
		b, err = expected(s, b, steps)
		return b, steps, err
	}
	made, err := p.Bases.Inspect(ctx, img, b.Info.Platform, x.report)
	if err != nil {
		return nil, nil, fmt.Errorf("base %s after what was executed on it: %w", b.Info.Ref, err)
	}
	made.Info.Ref, made.Info.From, made.Info.Env = b.Info.Ref, b.Info.From, b.Info.Env
	return made, steps, nil
}

// pythonError is a base without a Python that could not be given one by conda.
type pythonError struct {
	base string
	err  error
}

func (e *pythonError) Error() string { return fmt.Sprintf("a Python for base %s: %v", e.base, e.err) }
func (e *pythonError) Unwrap() error { return e.err }

// expected is a base with the Python that a step will give it.
func expected(s Spec, b *base.Base, steps []executed) (*base.Base, error) {
	if !slices.ContainsFunc(steps, func(x executed) bool { return x.Kind == plan.StepConda }) {
		return b, nil
	}
	info, err := plan.Expected(s.Fields, b.Info, s.Python)
	return &base.Base{Image: b.Image, Info: info}, err
}

// finish executes what lies above the packages and files.
func (p *Pipeline) finish(ctx context.Context, pl *plan.Plan, img v1.Image, x stepper) (v1.Image, error) {
	if pl.Above == nil {
		return img, nil
	}
	st := *pl.Above
	st.Missing = pl.Missing(st)
	if x.execute && !p.isDone(st) && !st.HasUV() {
		uv, err := p.Builder.UV(ctx, pl.Platform)
		if err != nil {
			return nil, err
		}
		st = st.WithUV(uv) // which the default builder's commands have too
	}
	rec, err := p.step(ctx, x, img, st)
	if err != nil {
		return nil, err
	}
	return p.Builder.Stack(img, rec.Layers, "imgspecd: "+st.Title, nil)
}

func (p *Pipeline) isDone(s plan.Step) bool {
	_, ok := p.Steps.Step(s.Key)
	return ok
}

// ofStep tells what kept a step from being executed.
func ofStep(err error, out *api.Error) bool {
	var failed *buildkit.StepError
	var platform *buildkit.PlatformError
	var unreachable *buildkit.ReachError
	var unsolved *buildkit.SolveError
	switch {
	case errors.As(err, &failed):
		out.Code, out.Output = api.CodeInvalid, failed.Tail
		out.Message = strings.TrimSuffix(out.Message, failed.Error()) + fmt.Sprintf("exit code %d", failed.Code)
		var building *buildError
		switch {
		case errors.As(err, &building):
			out.Hint = "a compiler, headers or tools that it lacks can come from apt_packages, such as build-essential"
		case failed.Code == 127:
			out.Hint = "the image has no such program"
		}
	case errors.As(err, &platform):
		out.Code = api.CodeUnsupported
		out.Hint = "name a BuildKit of that kind in buildkit.address, or give this one an emulator (docs.docker.com/go/qemu-binfmt)"
	case errors.Is(err, buildkit.ErrNone):
		out.Code = api.CodeUnavailable
		out.Hint = "start Docker, or a buildkitd and name it in buildkit.address; imgspecd doctor says what was tried"
	case errors.As(err, &unreachable):
		out.Code = api.CodeUnavailable
		out.Hint = "start it, or name another one in buildkit.address; imgspecd doctor says what answers"
	case errors.As(err, &unsolved):
		out.Code = api.CodeUnavailable
		var python *pythonError
		if errors.As(err, &python) {
			out.Hint = "set base_image to one that has the Python, such as \"python:3.12-slim-bookworm\", or micromamba_image in builder_config"
		}
	default:
		return false
	}
	return true
}
