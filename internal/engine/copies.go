package engine

import (
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// onPython is a base with the interpreter that the spec asks for.
func (s Spec) onPython(b *base.Base) (*base.Base, error) {
	info, err := plan.OnPython(s.Fields, b.Info, s.Flytekit)
	if err != nil {
		return nil, err
	}
	return &base.Base{Image: b.Image, Info: info}, nil
}

// copies adds what is copied into the image, as it was when the image was named.
func (s Spec) copies(in *plan.Input) error {
	if s.ByRun {
		return &plan.Unsupported{
			Field: "source_root", Reason: "the run that told the name did not tell which modules are copied",
			Hint: "set source_copy_mode to CopyFileDetection.ALL, or have runs send modules (PUT /v1/specs)",
		}
	}
	in.Flytekit = s.Flytekit
	in.Copies, in.Refused = s.Named.Copies, s.Named.Refused
	return nil
}
