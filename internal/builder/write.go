package builder

import (
	"context"
	"io"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/store"
)

// write makes one layer, straight into a blob, and remembers it. It holds a core while
// it has work for one: the next layer is made while the disk syncs this one.
func (r *run) write(ctx context.Context, l plan.Layer, paths map[string]string) (store.LayerRecord, error) {
	if err := r.cores.Acquire(ctx, 1); err != nil {
		return store.LayerRecord{}, context.Cause(ctx)
	}
	out, res, files, err := r.blob(ctx, l, paths)
	r.cores.Release(1)
	if err != nil {
		return store.LayerRecord{}, err
	}
	defer out.Abort()
	warnings := warningsOf(files, res.Mismatched)
	if err := r.refuse(warnings); err != nil {
		return store.LayerRecord{}, err
	}
	if err := out.Commit(res.Digest); err != nil {
		return store.LayerRecord{}, err
	}
	rec := store.LayerRecord{
		Digest: res.Digest, DiffID: res.DiffID, Size: res.Size, Installed: res.Installed, Files: res.Files, Warnings: warnings,
	}
	if err := r.deps.Store.PutLayer(l.Key, rec); err != nil {
		return store.LayerRecord{}, err
	}
	r.meter.made(res.Size, weight(l), res.Installed)
	return rec, nil
}

// blob writes a layer into a blob, which is for the caller to commit, and says which files of packages are in it.
func (r *run) blob(ctx context.Context, l plan.Layer, paths map[string]string) (blob.Writer, layer.Result, []installed, error) {
	pkgs, err := openPackages(l, paths, r.limits)
	if err != nil {
		return nil, layer.Result{}, nil, err
	}
	defer pkgs.close() // after the writer, whose workers read from them
	b, err := r.deps.Store.NewBlob()
	if err != nil {
		return nil, layer.Result{}, nil, err
	}
	w := layer.NewWriter(&through{ctx: ctx, w: b, meter: r.meter}, layer.Options{
		Workers: r.workers(l),
		Digest:  b.Digest,
		Parents: func(dir string) layer.Header { return header(parent(r.plan, dir)) },
	})
	var files []installed
	var from contents
	err = writeFiles(w, l.Files, &from)
	if err == nil {
		files, err = pkgs.write(ctx, w, l, r)
	}
	res, cerr := w.Close() // in every case: it ends the writer's goroutines
	from.close()
	if err == nil {
		err = cerr
	}
	if err != nil {
		b.Abort()
		return nil, layer.Result{}, nil, err
	}
	return b, res, files, nil
}

// parent is a directory that a package needs and does not bring: that of the environment,
// where that has it, or one that the installer makes.
func parent(p *plan.Plan, dir string) plan.File {
	if f, ok := p.Dir(dir); ok {
		return f
	}
	return plan.File{Mode: dirMode, Owner: p.Owner}
}

// workers is a layer's share of the cores: most layers are made side by side on
// one core each; one that weighs as much as many others gets more.
func (r *run) workers(l plan.Layer) int {
	const most, small = 8, 8 << 20
	if weight(l) < small {
		return 1
	}
	var total int64
	for _, i := range r.missing {
		total += weight(r.plan.Layers[i])
	}
	share := (int64(r.deps.Parallel)*weight(l) + total - 1) / total
	return int(min(share, most))
}

// through passes bytes on until ctx ends, and counts them.
type through struct {
	ctx   context.Context
	w     io.Writer
	meter *meter
}

func (t *through) Write(p []byte) (int, error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	n, err := t.w.Write(p)
	t.meter.add(int64(n))
	return n, err
}
