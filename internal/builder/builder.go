package builder

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/flight"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Stats is what a build cost. Its times are the caller's to fill in.
type Stats = api.Stats

// Deps is what a Builder needs; all of it.
type Deps struct {
	Index    *index.Client
	Store    *store.Store
	Parallel int // layers made at a time; what is below 1 means 1
	Log      *slog.Logger
	// Shared is asked for what the Store lacks; nil: nobody is.
	Shared Shared
	// Batch executes a batch in a container of a plan's base; nil: plans name a Python of this host.
	Batch func(ctx context.Context, on v1.Image, b Batch) error
}

// Shared is layers that others made of the same inputs, and that lie elsewhere.
type Shared interface {
	// Find asks for keys, for a short time; note is told what of it does not work.
	Find(ctx context.Context, keys []string, note func(line string)) map[string]store.LayerRecord
	Known(key string) (store.LayerRecord, bool) // what was found before
	Layer(key string, r store.LayerRecord) (v1.Layer, error)
}

// Builder makes images. Safe for concurrent use.
type Builder struct {
	deps   Deps
	cores  *semaphore.Weighted // one unit per layer being made, over all builds
	making flight.Locks        // by layer key
	limits wheel.Limits
}

// New returns a Builder.
func New(d Deps) *Builder {
	d.Parallel = max(1, d.Parallel)
	return &Builder{deps: d, cores: semaphore.NewWeighted(int64(d.Parallel)), limits: wheel.DefaultLimits()}
}

// Build makes the layers of a plan that are missing, and returns the image. When ctx
// ends it returns soon; the layers that were finished stay. Equal plans give equal
// digests.
func (b *Builder) Build(ctx context.Context, p *plan.Plan, base v1.Image, report progress.Func) (v1.Image, Stats, error) {
	err := checkBase(p, base)
	run := b.newRun(p, report, b.findShared(ctx, p, report))
	if err == nil {
		err = run.refuse(b.Warnings(p)) // of what is there already
	}
	if err == nil {
		err = run.make(ctx, base)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, run.stats(), err
	}
	img, err := b.newImage(p, base, run.records)
	if err != nil {
		return nil, run.stats(), fmt.Errorf("put %s together: %w", p.Name, err)
	}
	return img, run.stats(), nil
}

// checkBase refuses, before any work, a base that the plan was not made for or that
// wants something executed.
func checkBase(p *plan.Plan, base v1.Image) error {
	digest, err := base.Digest()
	if err != nil {
		return fmt.Errorf("read base: %w", err)
	}
	if digest.String() != p.Base.Digest {
		return fmt.Errorf("base is %s, but the plan was made for %s", digest, p.Base.Digest)
	}
	cfg, err := base.ConfigFile()
	if err != nil {
		return fmt.Errorf("read base: %w", err)
	}
	if len(cfg.Config.OnBuild) > 0 {
		return &plan.Unsupported{Field: "base_image", Reason: p.Base.Ref + " has ONBUILD instructions, which must be executed"}
	}
	return nil
}

// run is one Build.
type run struct {
	*Builder
	plan     *plan.Plan
	records  []store.LayerRecord // one per layer of the plan
	missing  []int               // layers to be made, biggest first
	wheels   *wheels
	meter    *meter
	compiler *shared // of packages; nil: they are not compiled

	shared      int // layers that lie elsewhere
	sharedBytes int64
}

func (b *Builder) newRun(p *plan.Plan, report progress.Func, elsewhere map[string]store.LayerRecord) *run {
	r := &run{Builder: b, plan: p, records: make([]store.LayerRecord, len(p.Layers))}
	var total int64
	for i, l := range p.Layers {
		rec, ok := b.deps.Store.Layer(l.Key)
		if ok {
			r.records[i] = rec
			continue
		}
		if rec, ok := elsewhere[l.Key]; ok {
			r.records[i] = rec
			r.shared++
			r.sharedBytes += rec.Size
			continue
		}
		r.missing = append(r.missing, i)
		total += weight(l)
	}
	slices.SortStableFunc(r.missing, func(x, y int) int { return cmp.Compare(weight(p.Layers[y]), weight(p.Layers[x])) })
	r.meter = newMeter(report, len(r.missing), total)
	var wanted []plan.Layer
	for _, i := range r.missing {
		wanted = append(wanted, p.Layers[i])
	}
	r.wheels = newWheels(b.deps.Index, wanted, report)
	return r
}

// weight is about how many bytes a layer will have.
func weight(l plan.Layer) int64 {
	var n int64
	for _, a := range l.Packages {
		n += a.Size
	}
	for _, f := range l.Files {
		n += int64(len(f.Data))
		if f.From != nil {
			n += f.From.Size
		}
	}
	return n / int64(max(1, l.Parts))
}

// make fetches and makes what is missing.
func (r *run) make(ctx context.Context, base v1.Image) error {
	if len(r.missing) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.wheels.fetch(ctx) })
	if r.plan.Bytecode != nil {
		r.compiler = r.newShared(ctx, base)
		defer r.compiler.close()
	}
	for _, i := range r.missing {
		g.Go(func() error {
			rec, err := r.layer(ctx, r.plan.Layers[i])
			if err != nil {
				return fmt.Errorf("layer %s: %w", r.plan.Layers[i].Title, err)
			}
			r.records[i] = rec
			return nil
		})
	}
	return g.Wait()
}

// layer returns a layer that another build has made meanwhile, or makes it.
func (r *run) layer(ctx context.Context, l plan.Layer) (store.LayerRecord, error) {
	paths, err := r.wheels.wait(ctx, l.Packages)
	if err != nil {
		return store.LayerRecord{}, err
	}
	unlock, err := r.making.Lock(ctx, l.Key)
	if err != nil {
		return store.LayerRecord{}, err
	}
	defer unlock()
	if rec, ok := r.deps.Store.Layer(l.Key); ok {
		r.meter.found(weight(l))
		return rec, r.refuse(rec.Warnings)
	}
	return r.write(ctx, l, paths)
}

func (r *run) stats() Stats {
	s := Stats{Layers: len(r.plan.Layers), LayersShared: r.shared, SharedBytes: r.sharedBytes}
	for _, l := range r.plan.Layers {
		if l.Part <= 1 {
			s.Packages += len(l.Packages)
		}
	}
	s.Fetched, s.FetchedBytes = r.wheels.fetched()
	s.LayersMade, s.InstalledBytes = r.meter.sum()
	return s
}
