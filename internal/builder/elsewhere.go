package builder

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Existing returns what is known of the layer of a key, if it is in the store or, as shared, was found elsewhere.
func (b *Builder) Existing(key string) (digest string, size int64, shared, ok bool) {
	r, shared, ok := b.record(key)
	return r.Digest, r.Size, shared, ok
}

func (b *Builder) record(key string) (r store.LayerRecord, shared, ok bool) {
	if r, ok := b.deps.Store.Layer(key); ok {
		return r, false, true
	}
	if b.deps.Shared == nil {
		return r, false, false
	}
	r, ok = b.deps.Shared.Known(key)
	return r, ok, ok
}

// Shareable reports whether others may have made a layer, or use it. Those that a plan writes itself are small, and some
// hold a project's own files.
func Shareable(l plan.Layer) bool { return l.Kind == plan.Packages }

// Lookup asks for the layers of plans that the store lacks, so that Existing knows of them.
func (b *Builder) Lookup(ctx context.Context, p *plan.Plan) { b.findShared(ctx, p, progress.Discard) }

// findShared asks for the layers that the store lacks.
func (b *Builder) findShared(ctx context.Context, p *plan.Plan, report progress.Func) map[string]store.LayerRecord {
	if b.deps.Shared == nil {
		return nil
	}
	var keys []string
	for _, l := range p.Layers {
		if _, ok := b.deps.Store.Layer(l.Key); !ok && Shareable(l) {
			keys = append(keys, l.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return b.deps.Shared.Find(ctx, keys, func(line string) { report(progress.Event{Step: progress.Layers, Note: line}) })
}

// madeLayer is the layer of a record.
func (b *Builder) madeLayer(key string, r store.LayerRecord) (v1.Layer, error) {
	if _, ok := b.deps.Store.Layer(key); ok || b.deps.Shared == nil {
		return newBlobLayer(b.deps.Store, r)
	}
	l, err := b.deps.Shared.Layer(key, r)
	if err != nil {
		return nil, fmt.Errorf("shared: %w", err)
	}
	return l, nil
}
