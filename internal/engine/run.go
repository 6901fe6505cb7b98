package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/builder"
	"github.com/imgspecd/imgspecd/internal/flight"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/teamcache"
)

// Pipeline is the Runner that builds for real. Its fields are set before its first use.
type Pipeline struct {
	Bases   Bases
	Builder Builder
	Layout  publish.Target
	// Thin is the layout for images that go to a registry: of layers that lie in one only that is kept. nil: it is not used.
	Thin       publish.Target
	Elsewhere  publish.Elsewhere // what Thin remembers; with Thin
	Team       *teamcache.Cache  // nil: none
	Dir        string            // of the layout, in which the images of nested specs are found
	Registry   publish.Target
	Docker     publish.Target
	Containerd publish.Target
	DockerUp   func(ctx context.Context) error // nil error: an engine answers
	CA         []byte                          // CA bundle for images whose base has none; may be empty
	Locks      *Locks
	Resolver   Resolver
	Insides    Insides
	Executor   Executor
	Steps      Steps
	GitLogin   func(ctx context.Context, repository string) string // the Authorization header for it; empty: none is known
	Tmp        string                                              // a directory for what is on its way
	Indexes    []index.Index                                       // in which packages are looked for, the default one last
	Pythons    Pythons                                             // that compile packages; nil: none are compiled
	Logins     func(...index.Index)                                // tells the index client of indexes that need a login
	WasReady   func(name string) bool                              // an image of this name was made ready here before
	Now        func() time.Time

	executing flight.Locks // by a step's key
}

// Bases finds base images.
type Bases interface {
	Resolve(ctx context.Context, ref, platform string, report progress.Func) (*base.Base, error)
	// Inspect says what is in an image, wherever it lies.
	Inspect(ctx context.Context, img v1.Image, platform string, report progress.Func) (*base.Base, error)
}

// Builder makes the layers of a plan.
type Builder interface {
	Build(ctx context.Context, p *plan.Plan, b v1.Image, report progress.Func) (v1.Image, builder.Stats, error)
	Existing(key string) (digest string, size int64, shared, ok bool)
	Lookup(ctx context.Context, p *plan.Plan)
	Warnings(p *plan.Plan) []api.Warning
	// Fetch brings an artifact's file here, KeepWheel takes in the one that was built of it, Built puts that in its place.
	Fetch(ctx context.Context, a lockfile.Artifact) (path string, err error)
	KeepWheel(dir string, a lockfile.Artifact) (store.WheelRecord, error)
	Built(a lockfile.Artifact, w store.WheelRecord) (lockfile.Artifact, error)
	// Offers says whether an index has a wheel of a package's version for an environment.
	Offers(ctx context.Context, indexes []string, a lockfile.Artifact, env pypa.Environment) (bool, error)
	// UV is a directory with a uv for steps.
	UV(ctx context.Context, platform string) (dir string, err error)
	// Stack puts layers of the store on an image.
	Stack(on v1.Image, layers []store.LayerRecord, by string, env []string) (v1.Image, error)
}

// Policy is what the configuration says about bases and targets.
type Policy struct {
	DefaultBase string            // of a spec without base_image; {python} stands for the Python minor
	Flytekit    string            // likewise with builder="envd"; empty: flytekit's own image
	Push        config.PushPolicy // when images that name a registry are pushed
	Rebuild     string            // ask or auto: what is done about a ready image whose content would differ
	Bytecode    string            // auto, on or off: whether packages are compiled
	Containerd  string            // always or never
	Docker      string            // auto: specs without a registry, if an engine answers; always; never
	Union       string            // of specs with builder="union": list, or default to build them all the same
	Record      string            // files that are not what their wheel's RECORD says: warn or strict
	Restore     string            // always or never: what is done about an image that others removed from a place
	Share       bool              // layers made here are given to the team cache
}

// Run makes the image of a spec and publishes it. See Runner.
func (p *Pipeline) Run(ctx context.Context, s Spec, o RunOptions, obs Observer) (Outcome, error) {
	begin := p.Now()
	s.Fresh = o.Fresh
	for {
		dropped := p.Team.Dropped()
		out, err := p.run(ctx, s, o, obs, begin)
		out.Stats.TotalMS = p.since(begin)
		if p.Team.Dropped() == dropped || ctx.Err() != nil {
			return out, err
		}
		// Each time there is at least one entry less that is believed.
		obs.Logf("team cache: an entry that was to be used could not be; the image is made without it")
		obs.State(api.Building)
	}
}

func (p *Pipeline) run(ctx context.Context, s Spec, o RunOptions, obs Observer, begin time.Time) (out Outcome, err error) {
	step := stepper{execute: true, fresh: o.Fresh, shares: len(s.secrets()) == 0, report: obs.Progress}
	all, err := p.plans(ctx, s, step)
	if err != nil {
		return out, err
	}
	out.Made = madeOf(all)
	read := p.since(begin)
	images := make([]v1.Image, len(all))
	for i, one := range all {
		if images[i], err = p.make(ctx, one, step, &out, obs); err != nil {
			return out, err
		}
	}
	content, err := publish.Together(images)
	if err != nil {
		return out, err
	}
	digest, err := content.Digest()
	if err != nil {
		return out, fmt.Errorf("digest of %s: %w", s.Named.Name, err)
	}
	out.Digest = digest.String()
	out.Stats.ReadMS, out.Stats.BuildMS = read, p.since(begin)-read
	if len(all) > 1 {
		obs.Logf("index of %d images: %s", len(all), digest)
	}

	obs.State(api.Publishing)
	at := p.Now()
	out.Targets, err = p.publish(ctx, s, o, content, obs)
	for _, t := range out.Targets {
		out.Stats.SentBytes += t.SentBytes
	}
	out.Stats.PublishMS = p.since(at)
	if err != nil {
		return out, err
	}
	out.Rest = p.share(s, all, out.Targets)
	return out, p.lies(s, content, out.Targets)
}

func (p *Pipeline) since(t time.Time) int64 { return p.Now().Sub(t).Milliseconds() }

// read finds out what an image for one platform is made from. Where step does not execute, what is still to be executed below
// the packages comes back too.
func (p *Pipeline) read(ctx context.Context, s Spec, pins pinner, step stepper) (planned, error) {
	bare, err := p.base(ctx, s, step.report)
	if err != nil {
		return planned{}, err
	}
	b, steps, err := p.prepare(ctx, s, bare, step)
	if err != nil {
		return planned{}, err
	}
	if b, err = s.onPython(b); err != nil {
		return planned{}, err
	}
	in := plan.Input{Spec: s.Fields, Name: s.Named.Name, Tag: s.Named.Tag, ID: s.Named.ID, Base: b.Info, CA: p.CA, StrictRecord: s.Policy.Record == "strict", Late: late(bare.Info, b.Info, steps), Notes: foreseen(steps)}
	on := p.environment(s, b.Info)
	in.Installed = on.ours()
	if b.Info.Python != nil {
		all, err := pins(place{b, on, step})
		if err != nil {
			return planned{}, err
		}
		in.Artifacts, in.Replaced = on.come(all)
		made, built, err := p.wheelsOf(ctx, s, b, in.Artifacts, step)
		if err != nil {
			return planned{}, err
		}
		in.Artifacts, steps = made, append(steps, built...)
		var note string
		if in.Bytecode, note, err = p.bytecode(ctx, s, *b.Info.Python, b.Info.Platform); err != nil {
			return planned{}, err
		}
		if note != "" {
			in.Notes = append(in.Notes, note)
		}
	}
	if err := s.copies(&in); err != nil {
		return planned{}, err
	}
	return planned{spec: s, in: in, base: b, bare: bare.Info.Digest, steps: steps}, nil
}

// base finds the base image of a spec.
func (p *Pipeline) base(ctx context.Context, s Spec, report progress.Func) (*base.Base, error) {
	if s.Named.Base != nil {
		return p.nestedBase(ctx, s, report)
	}
	ref, err := p.baseRef(s)
	if err != nil {
		return nil, err
	}
	return p.Bases.Resolve(ctx, ref, s.Fields.Platform(), report)
}

// baseRef says which base image a spec is built on.
func (p *Pipeline) baseRef(s Spec) (string, error) {
	if ref := s.Fields.BaseImage(); ref != "" {
		return ref, nil
	}
	python := cmp.Or(s.Fields.PythonVersion(), s.Python)
	if plan.InBase(s.Fields) {
		return s.flytekitImage()
	}
	if strings.Contains(s.Policy.DefaultBase, "{python}") && python == "" {
		return "", &api.Error{Code: api.CodeInvalid, Message: "nothing says which Python the image shall have", Hint: "set python_version or base_image in the ImageSpec, or requires-python in pyproject.toml"}
	}
	return strings.ReplaceAll(s.Policy.DefaultBase, "{python}", python), nil
}

// want is a target that an image shall be in.
type want struct {
	publish.Target
	held  bool // not until it is asked for
	needs bool // flytekit looks there, or it is wished for by name: without it the image is not ready
}

// wants says which targets an image shall be in. A place that is only used when
// it is there is asked whether it is.
func (p *Pipeline) wants(ctx context.Context, s Spec, o RunOptions) []want {
	w := []want{{Target: p.layout(s)}}
	local := s.Fields.Registry() == ""
	if push := s.push(); !local && push != "never" {
		held := push == "on-request" && !o.Push
		w = append(w, want{Target: p.Registry, held: held, needs: !held})
	}
	if p.Docker != nil && s.forDocker() && (s.Policy.Docker == "always" || p.DockerUp(ctx) == nil) {
		w = append(w, want{Target: p.Docker, needs: local})
	}
	if p.Containerd != nil && s.Policy.Containerd == "always" {
		w = append(w, want{Target: p.Containerd, needs: true})
	}
	w[0].needs = len(w) == 1 || !anyNeeds(w)
	return w
}

// forDocker reports whether the image shall be in Docker, if there is one.
func (s Spec) forDocker() bool {
	return s.Policy.Docker == "always" || (s.Policy.Docker == "auto" && s.Fields.Registry() == "")
}

// push says when the image is pushed: always, on-request or never.
func (s Spec) push() string { return s.Policy.Push.For(publish.FullName(s.Named.Name)) }

func anyNeeds(ws []want) bool {
	for _, w := range ws {
		if w.needs {
			return true
		}
	}
	return false
}

// Verify asks every target of the image. See Runner.
func (p *Pipeline) Verify(ctx context.Context, s Spec) ([]api.TargetState, string, bool) {
	var states []api.TargetState
	known, err := p.layout(s).Check(ctx, s.Named.Name)
	if err != nil || known.Digest == "" {
		return nil, "", false
	}
	for _, w := range p.wants(ctx, s, RunOptions{}) {
		st := api.TargetState{Name: w.Name(), State: api.Ready, Since: p.Now().UTC()}
		r, err := w.Check(ctx, s.Named.Name)
		st.Digest = r.Digest
		switch {
		case err == nil && r.Same(known):
		case w.held:
			st.State, st.Digest = api.Waiting, ""
		default:
			st.State, st.Digest, st.Error = api.Failed, "", missing(r, err)
			return append(states, st), "", false
		}
		states = append(states, st)
	}
	return states, known.Digest, true
}

// missing says why a target that answered has not got the image; or why it did not answer.
func missing(r publish.Receipt, err error) *api.Error {
	switch {
	case err != nil:
		return toError(err)
	case r.Digest == "":
		return &api.Error{Code: api.CodeNotFound, Message: "it was removed there"}
	}
	return &api.Error{Code: api.CodeConflict, Message: "its name was given to another image there"}
}

// publish puts the image into its targets, the layout first: the others send from
// it. One that fails does not stop the others.
func (p *Pipeline) publish(ctx context.Context, s Spec, o RunOptions, content publish.Content, obs Observer) ([]api.TargetState, error) {
	ws := p.wants(ctx, s, o)
	states := make([]api.TargetState, len(ws))
	errs := make([]error, len(ws))
	one := func(i int) {
		states[i], errs[i] = p.send(ctx, ws[i], s, content, obs)
		obs.Target(states[i])
	}
	one(0)
	var g errgroup.Group
	for i := 1; i < len(ws); i++ {
		g.Go(func() error { one(i); return nil })
	}
	_ = g.Wait() // what failed is in errs
	var failed []error
	for i, w := range ws {
		if errs[i] != nil && w.needs {
			failed = append(failed, fmt.Errorf("%s: %w", w.Name(), errs[i]))
		}
	}
	return states, errors.Join(failed...)
}

func (p *Pipeline) send(ctx context.Context, w want, s Spec, content publish.Content, obs Observer) (api.TargetState, error) {
	st := api.TargetState{Name: w.Name(), State: api.Publishing}
	if w.held {
		st.State = api.Waiting
		return st, nil
	}
	obs.Target(st)
	r, err := w.Publish(ctx, s.Named.Name, content, func(ev progress.Event) {
		ev.Step, ev.Target = progress.Publish, w.Name()
		obs.Progress(ev)
	})
	st.SentBytes, st.SentLayers = r.SentBytes, r.SentLayers
	if err != nil {
		st.State, st.Error = api.Failed, toError(err)
		return st, err
	}
	st.State, st.Digest = api.Ready, r.Digest
	return st, nil
}
