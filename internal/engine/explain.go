package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// explainLimit is how long an explanation may look for the base image.
const explainLimit = 20 * time.Second

// Explain names a spec and plans its image, and builds nothing. A spec that has a
// name but no plan is explained as far as that goes.
func (r *ProjectReader) Explain(ctx context.Context, req api.Explain, of *Spec) (api.Explanation, error) {
	var s Spec
	if of != nil {
		s = *of
		if req.Flytekit != "" && req.Flytekit != s.Flytekit && s.Learned == "" {
			s.Flytekit, s.Err = req.Flytekit, nil
			r.name(&s)
		}
	} else {
		var err error
		if s, err = r.given(req); err != nil {
			return api.Explanation{}, err
		}
	}
	if s.Err != nil && s.Mismatch == nil {
		return api.Explanation{}, s.Err
	}
	x := api.Explanation{
		Name: s.Named.Name, Tag: s.Named.Tag, ID: s.Named.ID, Hashed: conceal(s.Named.Hashed),
		Flytekit: s.Flytekit, Spec: concealJSON(s.Fields.JSON()),
	}
	if of != nil {
		x.Source = &s.Source
	}
	if x.Hashed != s.Named.Hashed {
		x.Notes = append(x.Notes, "the login in the address of an index is not shown: the text that was hashed holds it")
	}
	for _, in := range s.Named.Inputs {
		x.Inputs = append(x.Inputs, api.Input(in))
	}
	if s.Named.Base != nil {
		x.Base = &api.BaseInfo{Ref: s.Named.Base.Name, From: "nested"}
	}
	if m := s.Mismatch; m != nil {
		x.Mismatch, x.Hashed, x.Inputs, x.PlanError = m, m.Hashed, m.Inputs, s.Err
		return x, nil
	}
	if r.Pipeline == nil {
		return x, nil
	}
	ctx, cancel := context.WithTimeout(ctx, explainLimit)
	defer cancel()
	if err := r.Pipeline.explain(ctx, s, &x); err != nil {
		x.PlanError = toError(err)
	}
	return x, nil
}

// given makes a Spec of one that came as JSON: keyword arguments alone, or a line
// of test vectors with kwargs, calls, flytekit and machine.
func (r *ProjectReader) given(req api.Explain) (Spec, error) {
	if !filepath.IsAbs(req.Dir) {
		return Spec{}, &api.Error{Code: api.CodeBadRequest, Message: "explain: dir is missing or not absolute", Hint: "relative paths of a spec start there"}
	}
	var line struct {
		Kwargs   json.RawMessage   `json:"kwargs"`
		Calls    []json.RawMessage `json:"calls"`
		Flytekit string            `json:"flytekit"`
		Machine  string            `json:"machine"`
	}
	kwargs := req.Spec
	if err := json.Unmarshal(req.Spec, &line); err == nil && line.Kwargs != nil {
		kwargs = line.Kwargs
	}
	set, err := r.Settings(req.Dir)
	if err != nil {
		return Spec{}, &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	version := cmp.Or(req.Flytekit, line.Flytekit, set.Flytekit, imagespec.Newest)
	fields, err := imagespec.ParseKwargs(kwargs)
	if err != nil {
		return Spec{}, &api.Error{Code: api.CodeBadRequest, Message: "read spec: " + err.Error()}
	}
	for _, c := range line.Calls {
		if fields, err = imagespec.ParseCall(fields, c); err != nil {
			return Spec{}, toError(err)
		}
	}
	named, err := imagespec.Name(fields, imagespec.Options{
		Dir: req.Dir, Flytekit: version, Machine: cmp.Or(line.Machine, r.Machine),
	})
	if err != nil {
		return Spec{}, toError(err)
	}
	return Spec{Dir: req.Dir, Cwd: req.Dir, Fields: named.Spec, Named: named, Flytekit: version, Policy: set.Policy}, nil
}

// explain adds base, packages and layers to an explanation: those for the first platform, and all where there are several.
func (p *Pipeline) explain(ctx context.Context, s Spec, x *api.Explanation) error {
	all, err := p.plans(ctx, s, known)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("plan within %s: %w", explainLimit, err)
		}
		return err
	}
	for i, one := range all {
		p.Builder.Lookup(ctx, one.plan)
		made := p.describe(one)
		if i == 0 {
			x.Base, x.Packages, x.Steps, x.Layers, x.Env = made.Base, made.Packages, made.Steps, made.Layers, one.plan.Config.Env
		}
		if len(all) > 1 {
			x.Platforms = append(x.Platforms, made)
		}
		for _, note := range one.plan.Notes {
			if !slices.Contains(x.Notes, note) {
				x.Notes = append(x.Notes, note)
			}
		}
	}
	return nil
}

// describe says what the image for one platform is made of.
func (p *Pipeline) describe(one planned) api.PlatformPlan {
	b := one.base.Info
	x := api.PlatformPlan{
		Base: &api.BaseInfo{
			Ref: b.Ref, Digest: b.Digest, From: b.From, Platform: b.Platform,
			Python: b.Python.Version, Libc: libcText(b.Libc), Layers: b.Layers,
		},
		Steps: p.tell(one),
	}
	if b.Python.FreeThreaded {
		x.Base.Python += " (free-threaded)"
	}
	for i, l := range one.plan.Layers {
		x.Layers = append(x.Layers, p.layer(l))
		for _, a := range l.Packages {
			if l.Part <= 1 {
				x.Packages = append(x.Packages, api.Package{Name: a.Name, Version: a.Version, File: a.Filename, Size: a.Size, Layer: i})
			}
		}
	}
	return x
}

// tell lists what is executed for an image, and what of it would be executed now.
func (p *Pipeline) tell(one planned) []api.Step {
	var out []api.Step
	for _, st := range one.steps {
		out = append(out, api.Step{Kind: string(st.Kind), Title: st.Title, Done: st.done})
	}
	if st := one.plan.Above; st != nil {
		out = append(out, api.Step{Kind: string(st.Kind), Title: st.Title, Done: p.isDone(*st) && !pending(one.steps)})
	}
	return out
}

func (p *Pipeline) layer(l plan.Layer) api.Layer {
	out := api.Layer{Title: l.Title, Kind: string(l.Kind), Key: l.Key}
	for _, a := range l.Packages {
		out.Packages = append(out.Packages, a.Name)
		out.Size += a.Size
	}
	for _, f := range l.Files {
		if f.From != nil {
			out.Size += f.From.Size
		}
	}
	if d, size, shared, ok := p.Builder.Existing(l.Key); ok {
		out.Exists, out.Shared, out.Digest, out.Size = !shared, shared, d, size
	}
	return out
}

func libcText(l pypa.Libc) string { return fmt.Sprintf("%s %d.%d", l.Kind, l.Major, l.Minor) }
