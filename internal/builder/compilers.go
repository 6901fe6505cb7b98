package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// Batch is what compiles for an image whose Python this host has not: a process in a
// container of that image, which sees the directory In at bytecode.BatchIn, and leaves
// files in the directory bytecode.BatchOut, which are to come to the directory Out. It
// needs no network.
type Batch struct {
	Platform  string
	Args, Env []string // of the process, the whole
	In, Out   string   // on this host; both are there
}

// shared is what compiles the packages of all layers of a run.
type shared struct {
	get   func() (bytecode.Compiler, error)
	close func() // when no layer is being made any more
}

// newShared returns it; a batch waits for the first layer that asks.
func (r *run) newShared(ctx context.Context, base v1.Image) *shared {
	var c bytecode.Compiler
	get := sync.OnceValues(func() (_ bytecode.Compiler, err error) {
		c, err = r.open(ctx, base)
		return c, err
	})
	if r.plan.Bytecode.Python.Path != "" && slices.ContainsFunc(r.missing, func(i int) bool { return len(r.plan.Layers[i].Packages) > 0 }) {
		_, _ = get() // what is wrong is told to the layers
	}
	return &shared{get, func() {
		if c != nil {
			c.Close()
		}
	}}
}

// open returns what compiles the run's packages: a few interpreters of this host, or
// all at once a container.
func (r *run) open(ctx context.Context, base v1.Image) (bytecode.Compiler, error) {
	python := r.plan.Bytecode.Python
	if python.Path == "" {
		return r.batch(ctx, base)
	}
	pool, err := bytecode.NewPool(python, r.deps.Parallel, bytecode.DefaultLimits(), r.deps.Log)
	if err != nil { // not pool, err: a nil *Pool in an interface is not nil
		return nil, err
	}
	pool.Warm() // while wheels are fetched
	return pool, nil
}

// batch has all that is missing compiled at once.
func (r *run) batch(ctx context.Context, base v1.Image) (_ bytecode.Compiler, err error) {
	if r.deps.Batch == nil {
		return nil, errors.New("compile packages with the image's Python: nothing can execute it here")
	}
	dir, err := os.MkdirTemp(r.deps.Store.Tmp(), "batch-*")
	if err != nil {
		return nil, fmt.Errorf("compile packages: %w", err)
	}
	defer os.RemoveAll(dir) // what is open stays readable
	l := bytecode.DefaultLimits()
	b := Batch{Platform: r.plan.Platform, In: filepath.Join(dir, "in"), Out: filepath.Join(dir, "out")}
	for _, d := range []string{b.In, b.Out} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, fmt.Errorf("compile packages: %w", err)
		}
	}
	sources, err := bytecode.NewSources(b.In, l)
	if err != nil {
		return nil, err
	}
	for _, i := range r.missing {
		if err == nil {
			err = r.sources(ctx, r.plan.Layers[i], sources)
		}
	}
	if err = errors.Join(err, sources.Close()); err != nil {
		return nil, err
	}
	b.Args, b.Env = bytecode.Command(r.plan.Base.Python.Path, l)
	if err := r.deps.Batch(ctx, base, b); err != nil {
		return nil, fmt.Errorf("compile packages with the image's Python: %w", err)
	}
	made, err := bytecode.OpenBatch(r.plan.Bytecode.Python, b.In, b.Out, l)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// sources puts what is to be compiled of a layer into a batch.
func (r *run) sources(ctx context.Context, l plan.Layer, batch *bytecode.Sources) error {
	if len(l.Packages) == 0 {
		return nil
	}
	paths, err := r.wheels.wait(ctx, l.Packages)
	if err != nil {
		return err
	}
	from, err := openPackages(l, paths, r.limits)
	if err != nil {
		return err
	}
	defer from.close()
	files, err := from.files(l.Packages, r.plan.Prefix)
	if err != nil {
		return err
	}
	kept := r.keepings(l, from)
	for _, f := range part(files, l.Part, l.Parts) {
		if _, ok := r.cached(f); !ok || kept[f.from].find(f.Path) != nil {
			continue
		}
		source, err := read(f)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Path, err)
		}
		if err := batch.Add(f.Path, source); err != nil {
			return err
		}
	}
	return nil
}
