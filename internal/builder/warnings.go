package builder

import (
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// Installers do not look whether files are what their wheel's RECORD says, and the
// wheel as a whole has the hash that the lock pins. So a difference is the doing of
// whoever published it: it is told, and refused only where the plan is strict.

// RecordError refuses a wheel because of a file that is not what its RECORD says.
type RecordError struct {
	api.Warning
	More int // files besides this one
}

func (e *RecordError) Error() string {
	if e.More == 0 {
		return e.Warning.String()
	}
	return fmt.Sprintf("%s (and %d more like it)", e.Warning, e.More)
}

// Warnings are what is doubtful in the layers of a plan, as far as they are made.
func (b *Builder) Warnings(p *plan.Plan) []api.Warning {
	var all []api.Warning
	for _, l := range p.Layers {
		if rec, _, ok := b.record(l.Key); ok {
			all = append(all, rec.Warnings...)
		}
	}
	return all
}

// refuse makes warnings an error where the plan is strict.
func (r *run) refuse(ws []api.Warning) error {
	if !r.plan.StrictRecord || len(ws) == 0 {
		return nil
	}
	return &RecordError{Warning: ws[0], More: len(ws) - 1}
}

// warningsShown is how many files of one package are named.
const warningsShown = 10

// warningsOf says of each file that is not what RECORD says whose it is.
func warningsOf(files []installed, mismatched []layer.Mismatch) []api.Warning {
	wrong := make(map[string]layer.Mismatch, len(mismatched))
	for _, m := range mismatched {
		wrong[m.Path] = m
	}
	var out []api.Warning
	many := map[string]int{}
	var order []string
	for _, f := range files {
		m, ok := wrong[f.Path]
		if f.Mismatch != nil {
			m, ok = layer.Mismatch{Path: f.Path, Want: f.Mismatch.Want, Got: f.Mismatch.Got}, true
		}
		if !ok {
			continue
		}
		pkg := f.from.Name + " " + f.from.Version
		if many[pkg] == 0 {
			order = append(order, pkg)
		}
		if many[pkg]++; many[pkg] <= warningsShown {
			out = append(out, api.Warning{Package: pkg, File: f.Path, Reason: mismatchText(m)})
		}
	}
	for _, pkg := range order {
		if n := many[pkg] - warningsShown; n > 0 {
			out = append(out, api.Warning{Package: pkg, Reason: fmt.Sprintf("%d more files are not what RECORD says", n)})
		}
	}
	return out
}

func mismatchText(m layer.Mismatch) string {
	if m.Got == "" {
		name, _, _ := strings.Cut(m.Want, "=")
		return fmt.Sprintf("RECORD gives %q as its hash, which proves nothing", name)
	}
	return "it is not what the wheel's RECORD says: it has " + m.Got + ", not " + m.Want
}
