package base

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/progress"
)

const (
	parallelFetch = 3 // layers of one base downloaded at a time, as Docker does
	fetchAttempts = 4
	fetchPause    = 500 * time.Millisecond // before the second attempt; doubles
)

// merge lays the layers over one another. With a blob store, layers are downloaded
// beside the reading, which then reads from disk.
func (r *Resolver) merge(ctx context.Context, img v1.Image, report progress.Func) (*tree, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	tell, err := newTally(layers, report)
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	ready := make([]chan struct{}, len(layers))
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	g.Go(func() error { return r.fetch(ctx, layers, ready, tell) })
	t := newTree()
	g.Go(func() error {
		for i, l := range layers {
			select {
			case <-ready[i]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := t.lay(ctx, l, i, r.deps.Blobs == nil, tell); err != nil {
				return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
			}
			tell.layer()
		}
		return nil
	})
	return t, g.Wait()
}

// fetch downloads the layers that are not kept and says for each when it can be read.
func (r *Resolver) fetch(ctx context.Context, layers []v1.Layer, ready []chan struct{}, tell *tally) error {
	if r.deps.Blobs == nil {
		for _, c := range ready {
			close(c)
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelFetch)
	for i, l := range layers {
		g.Go(func() error {
			if err := r.fetchOne(ctx, l, tell); err != nil {
				return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
			}
			close(ready[i])
			return nil
		})
	}
	return g.Wait()
}

func (r *Resolver) fetchOne(ctx context.Context, l v1.Layer, tell *tally) error {
	h, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	if have, ok := r.deps.Blobs.Has(h.String()); ok && have == size {
		tell.bytes(size)
		return nil
	}
	for attempt, pause := 1, fetchPause; ; attempt, pause = attempt+1, 2*pause {
		var got int64
		err := readAll(ctx, l, func(n int64) { got += n; tell.bytes(n) })
		if err == nil || attempt == fetchAttempts || ctx.Err() != nil {
			return err
		}
		tell.bytes(-got)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// readAll reads a layer to its end, which keeps it.
func readAll(ctx context.Context, l v1.Layer, got func(int64)) error {
	rc, err := blob.Open(ctx, l, got)
	if err != nil {
		return err
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, rc)
	return err
}

// lay reads one layer into the tree.
func (t *tree) lay(ctx context.Context, l v1.Layer, index int, count bool, tell *tally) error {
	got := tell.bytes
	if !count {
		got = nil // told while it was downloaded
	}
	rc, err := blob.Open(ctx, l, got)
	if err != nil {
		return err
	}
	defer rc.Close()
	plain, err := blob.Decompress(rc)
	if err != nil {
		return err
	}
	defer plain.Close()
	t.begin(index)
	tr := tar.NewReader(plain)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := t.add(h, tr); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	// To the end of both, which a layer's padding is not: only then is the digest checked.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, rc)
	return err
}

// tally counts bytes of blobs and layers, and tells at most every tellEvery.
type tally struct {
	report            progress.Func
	read, layers      atomic.Int64
	totalBytes, total int64
	last              atomic.Int64 // unix nanoseconds
}

const tellEvery = 100 * time.Millisecond

func newTally(layers []v1.Layer, report progress.Func) (*tally, error) {
	t := &tally{report: report, total: int64(len(layers))}
	for _, l := range layers {
		n, err := l.Size()
		if err != nil {
			return nil, err
		}
		t.totalBytes += n
	}
	return t, nil
}

func (t *tally) bytes(n int64) {
	t.read.Add(n)
	now, last := time.Now().UnixNano(), t.last.Load()
	if now-last >= int64(tellEvery) && t.last.CompareAndSwap(last, now) {
		t.tell()
	}
}

func (t *tally) layer() { t.layers.Add(1); t.tell() }

func (t *tally) tell() {
	t.report(progress.Event{
		Step: progress.Base, Bytes: t.read.Load(), BytesTotal: t.totalBytes,
		Items: int(t.layers.Load()), ItemsTotal: int(t.total),
	})
}
