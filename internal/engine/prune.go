package engine

import (
	"context"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/imgspecd/imgspecd/api"
)

// Disk measures the state directory and removes what images of no such name need.
type Disk interface {
	Disk(names []string) (api.Disk, error)
	Prune(names []string, dry bool) (api.Pruned, error)
}

// allReads is more than ever read at once.
const allReads = 1 << 20

// gate keeps whoever reads blobs beside the loop apart from a prune. Builds need none: the loop holds them back.
type gate struct {
	Runner
	Reader
	reads *semaphore.Weighted
}

func (g gate) Verify(ctx context.Context, s Spec) ([]api.TargetState, string, bool) {
	if g.reads.Acquire(ctx, 1) != nil {
		return nil, "", false
	}
	defer g.reads.Release(1)
	return g.Runner.Verify(ctx, s)
}

func (g gate) Plan(ctx context.Context, s Spec) (Made, error) {
	if err := g.reads.Acquire(ctx, 1); err != nil {
		return Made{}, err
	}
	defer g.reads.Release(1)
	return g.Runner.Plan(ctx, s)
}

func (g gate) Explain(ctx context.Context, req api.Explain, of *Spec) (api.Explanation, error) {
	if err := g.reads.Acquire(ctx, 1); err != nil {
		return api.Explanation{}, err
	}
	defer g.reads.Release(1)
	return g.Reader.Explain(ctx, req, of)
}

// pruning is one prune that waits for its turn. Owned by the loop.
type pruning struct {
	req  api.Prune
	done func(api.Pruned, error)
}

// Disk says what the state directory holds, and what of it the images under watch need.
func (e *Engine) Disk(ctx context.Context) (api.Disk, error) {
	names, err := e.current(ctx)
	if err != nil {
		return api.Disk{}, err
	}
	d, err := e.deps.Disk.Disk(names)
	if err != nil {
		return api.Disk{}, toError(err)
	}
	return d, nil
}

// Prune removes what no image under watch needs. It waits until no build runs; those that are queued wait for it.
func (e *Engine) Prune(ctx context.Context, req api.Prune) (api.Pruned, error) {
	type result struct {
		pruned api.Pruned
		err    error
	}
	e.awake(ctx)
	answer := make(chan result, 1)
	p := &pruning{req: req, done: func(r api.Pruned, err error) { answer <- result{r, err} }}
	if err := e.do(ctx, func(l *loop) { l.prunes = append(l.prunes, p); l.pump() }); err != nil {
		return api.Pruned{}, err
	}
	select {
	case r := <-answer:
		if r.err != nil {
			return api.Pruned{}, toError(r.err)
		}
		return r.pruned, nil
	case <-e.done:
		return api.Pruned{}, &api.Error{Code: api.CodeUnavailable, Message: "the daemon is stopping"}
	case <-ctx.Done():
		e.post(func(l *loop) { // one that has begun goes on
			l.prunes = slices.DeleteFunc(l.prunes, func(o *pruning) bool { return o == p })
			l.pump()
		})
		return api.Pruned{}, ctx.Err()
	}
}

// holds begins a prune if one waits and nothing runs, and says whether the queue has to wait.
func (l *loop) holds(running int) bool {
	if l.pruned || len(l.prunes) == 0 || l.stopping {
		return l.pruned
	}
	if running > 0 || l.rests > 0 {
		return true
	}
	p := l.prunes[0]
	l.prunes, l.pruned = l.prunes[1:], true
	l.beside(func(ctx context.Context) func(*loop) {
		r, err := l.e.prune(ctx, p.req)
		p.done(r, err)
		return func(l *loop) {
			if l.pruned = false; !l.stopping {
				l.pump()
			}
		}
	})
	return true
}

// prune asks for the names once nobody reads: a name that comes later is looked for after the prune, and built if it is gone.
func (e *Engine) prune(ctx context.Context, req api.Prune) (api.Pruned, error) {
	if err := e.reads.Acquire(ctx, allReads); err != nil {
		return api.Pruned{}, err
	}
	defer e.reads.Release(allReads)
	names, err := e.current(ctx)
	if err != nil {
		return api.Pruned{}, err
	}
	return e.deps.Disk.Prune(names, req.DryRun)
}

// current are the names of all specs under watch; of one that is not ready also the name that it had before.
func (e *Engine) current(ctx context.Context) ([]string, error) {
	var names []string
	var failed error
	e.awake(ctx)
	err := e.do(ctx, func(l *loop) {
		has := map[string]bool{}
		for _, im := range l.images {
			has[im.spec.Project] = true
			if im.view.State == api.Listed { // made elsewhere
				continue
			}
			names = append(names, im.view.Name)
			if im.view.State != api.Ready {
				names = append(names, im.view.Previous)
			}
		}
		for id, p := range l.projects {
			if p.view.Error != nil && !has[id] {
				failed = &api.Error{
					Code: api.CodeConflict, Message: "project " + p.view.Name + " cannot be read, so its images are not known: " + p.view.Error.Message,
					Hint: "mend it, or end its watch: imgspecd unwatch " + p.view.Name,
				}
			}
		}
	})
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
	return names, firstError(err, failed)
}
