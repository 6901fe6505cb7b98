package engine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// A file that was written after the image was named is no failure: the build is begun anew.
func TestAFileThatChangesSupersedes(t *testing.T) {
	state, _, e := verdict(fmt.Errorf("layer 3 copied: copy /p/a: %w", builder.ErrChanged))
	if state != api.Superseded || e != nil {
		t.Errorf("%s, %v", state, e)
	}
	var s Spec
	s.fail(&imagespec.PythonError{Field: "copy", Message: "x", Err: imagespec.ErrChanged})
	if !s.Half {
		t.Error("a file that changes while it is read is not waited for")
	}
}

// Without the modules of the run that told the name, nobody knows what is copied.
func TestModulesThatAreNotKnown(t *testing.T) {
	var in plan.Input
	var un *plan.Unsupported
	if err := (Spec{ByRun: true}).copies(&in); !errors.As(err, &un) || un.Field != "source_root" {
		t.Errorf("%v", err)
	}
	named := imagespec.Named{Copies: []imagespec.Copy{{Field: "copy"}}, Refused: &imagespec.Refusal{Field: "copy"}}
	if err := (Spec{Named: named, Flytekit: "1.16.20"}).copies(&in); err != nil || len(in.Copies) != 1 || in.Refused == nil || in.Flytekit != "1.16.20" {
		t.Errorf("%+v, %v", in, err)
	}
}
