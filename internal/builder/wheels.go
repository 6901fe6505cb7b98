package builder

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// wheels are the files that the missing layers are made of, on their way to disk.
type wheels struct {
	index  *index.Client
	report progress.Func
	all    []*fetching // biggest first
	byHash map[string]*fetching

	mu    sync.Mutex
	state progress.Event
	told  int64 // state.Bytes when it was last reported
}

// fetching is one file. Path is set before done is closed, and only on success.
type fetching struct {
	file index.File
	path string
	done chan struct{}
}

// newWheels looks which of the layers' files are on disk already.
func newWheels(c *index.Client, layers []plan.Layer, report progress.Func) *wheels {
	w := &wheels{index: c, report: report, byHash: map[string]*fetching{}, state: progress.Event{Step: progress.Fetch}}
	for _, l := range layers {
		for _, a := range l.Packages {
			if w.byHash[a.Hash] != nil {
				continue
			}
			f := &fetching{file: file(a), done: make(chan struct{})}
			w.byHash[a.Hash] = f
			if path, ok := c.Path(f.file); ok {
				f.path = path
				close(f.done)
				continue
			}
			w.all = append(w.all, f)
			w.state.BytesTotal += a.Size
		}
	}
	w.state.ItemsTotal = len(w.all)
	slices.SortStableFunc(w.all, func(a, b *fetching) int { return cmp.Compare(b.file.Size, a.file.Size) })
	return w
}

func file(a lockfile.Artifact) index.File {
	f := index.File{URL: a.URL, Filename: a.Filename, Hash: a.Hash, Size: a.Size, Project: a.Name, Index: a.Index}
	if a.Path != "" {
		f.URL = a.Path
	}
	return f
}

// maxFetches is more than any Client lets through at a time, and bounds only the goroutines.
const maxFetches = 64

// fetch gets what is not on disk. The biggest begin first: they take longest.
func (w *wheels) fetch(ctx context.Context) error {
	if len(w.all) == 0 {
		return nil
	}
	w.tell(0, 0)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxFetches)
	for _, f := range w.all {
		g.Go(func() error {
			path, err := w.index.Fetch(ctx, f.file, func(n int64) { w.tell(n, 0) })
			if err != nil {
				return err
			}
			f.path = path
			close(f.done)
			w.tell(0, 1)
			return nil
		})
	}
	return g.Wait()
}

// wait returns the paths of the packages' files by hash, once all are on disk. When
// fetch fails, ctx must end.
func (w *wheels) wait(ctx context.Context, packages []lockfile.Artifact) (map[string]string, error) {
	paths := make(map[string]string, len(packages))
	for _, a := range packages {
		f := w.byHash[a.Hash]
		select {
		case <-f.done:
			paths[a.Hash] = f.path
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return paths, nil
}

// tell adds to the step's state and reports it, not for every few bytes.
func (w *wheels) tell(bytes int64, items int) {
	w.mu.Lock()
	w.state.Bytes += bytes
	w.state.Items += items
	ev := w.state
	quiet := bytes > 0 && ev.Bytes < w.told+reportEvery
	if !quiet {
		w.told = ev.Bytes
	}
	w.mu.Unlock()
	if !quiet {
		w.report(ev)
	}
}

// fetched is how many files came, and how many bytes in all.
func (w *wheels) fetched() (files int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Items, w.state.Bytes
}
