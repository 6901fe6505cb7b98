package teamcache

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Made is a layer of an image that did not come from the cache.
type Made struct {
	Key   string
	Title string // for people
}

// parallelPuts is low: a build may be pushing at the same time.
const parallelPuts = 4

// Share compares layers with what the cache has, and puts there what it lacks, if write says so and the cache is not only
// read. from is a repository ("registry/repository") that has them. The warnings are about entries that differ.
func (c *Cache) Share(ctx context.Context, made []Made, from string, write bool) []api.Warning {
	if c == nil {
		return nil
	}
	select { // one image at a time
	case c.sharing <- struct{}{}:
		defer func() { <-c.sharing }()
	case <-ctx.Done():
		return nil
	}
	warnings := make([]*api.Warning, len(made))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelPuts)
	for i, m := range made {
		g.Go(func() (err error) {
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			warnings[i], err = c.share(gctx, m, from, write && !c.deps.ReadOnly)
			return err
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		c.answered(err)
	}
	var out []api.Warning
	for _, w := range warnings {
		if w != nil {
			out = append(out, *w)
		}
	}
	return out
}

// share sees to one layer. The error is one for which no other need be tried.
func (c *Cache) share(ctx context.Context, m Made, from string, write bool) (*api.Warning, error) {
	rec, ok := c.deps.Store.Layer(m.Key)
	if !ok || !c.open(m.Key) {
		return nil, nil
	}
	theirs, ok, err := c.get(ctx, m.Key)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return c.differs(m, refused.Reason), nil
	case errors.Is(err, publish.ErrDenied) && write && c.writable():
		// A repository that nothing was put into yet is one that may not be read, to some registries.
	case err != nil:
		return nil, err
	case ok && (theirs.Digest != rec.Digest || theirs.DiffID != rec.DiffID):
		return c.differs(m, fmt.Sprintf("its digest is %s, and here the same inputs made %s", theirs.Digest, rec.Digest)), nil
	case ok:
		c.agree(m.Key)
		return nil, c.lies(rec)
	case !write || !c.writable():
		return nil, nil
	}
	return nil, c.put(ctx, m, rec, from)
}

func (c *Cache) put(ctx context.Context, m Made, rec store.LayerRecord, from string) error {
	e, err := entryOf(m.Key, rec)
	if err != nil {
		return err
	}
	l, err := c.layer(m.Key, rec)
	if err != nil {
		return err
	}
	sent, err := c.deps.Depot.Put(ctx, m.Key, e, []v1.Layer{l}, from)
	if errors.Is(err, publish.ErrDenied) {
		c.deny(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("put layer %s: %w", m.Title, err)
	}
	c.agree(m.Key)
	c.deps.Log.Info("team cache: layer put", "layer", m.Title, "key", m.Key, "sent", sent)
	return c.lies(rec)
}

// differs warns of an entry that is not what was made here of the same inputs.
func (c *Cache) differs(m Made, how string) *api.Warning {
	c.deps.Log.Warn("team cache: an entry differs from the layer made here", "repository", c.deps.Depot.Repository().String(), "layer", m.Title, "key", m.Key, "how", how)
	return &api.Warning{Package: m.Title, Reason: fmt.Sprintf("the team cache %s has something else under this layer's key %s: %s. The layer made here is used; find out who put that entry", c.deps.Depot.Repository(), m.Key, how)}
}

// deny remembers that this machine may not write, and says so once.
func (c *Cache) deny(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.denied {
		c.deps.Log.Warn("team cache: layers made here are not put there: set cache.mode = \"read-only\" if that is as it should be", "error", err.Error())
	}
	c.denied = true
	c.trouble = fmt.Errorf("layers made here cannot be put there (set cache.mode = \"read-only\" if that is as it should be): %w", err)
}

func (c *Cache) writable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.denied
}

// open reports whether it is not known yet how the cache stands to a layer.
func (c *Cache) open(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, theirs := c.known[key]
	down := c.deps.Now().Before(c.down) && !errors.Is(c.trouble, publish.ErrDenied)
	return !theirs && !c.agreed[key] && !down
}

func (c *Cache) agree(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.agreed, key, true)
	delete(c.none, key)
}
