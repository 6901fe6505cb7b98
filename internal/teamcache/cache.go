// Package teamcache takes layers from a repository that a team shares, and gives it those that were made here.
//
//	keys that the store lacks → Find (cache.go): asked side by side, for a short time → records
//	a record → Layer (layer.go): mounted by a registry, or read from the repository and checked on the way
//	a step's key → Step (step.go): what somebody else's execution has left, brought here
//	layers made here → Share (share.go), ShareSteps, ShareBases: compared with the entries there are, and put where there is none
//
// An entry is a tag that is the layer's key (entry.go). A key names what a layer is made of, not its bytes, so an entry is
// somebody's word: what is read is held against it, and what was made here against what others say, and no more can be
// known. A cache that does not answer is a cache that has nothing.
//
// It never decides which layers an image has, never keeps a build waiting for long, and never replaces an entry.
package teamcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Store keeps layers, what steps left, and their records.
type Store interface {
	blob.Store
	Layer(key string) (store.LayerRecord, bool)
	PutLayer(key string, r store.LayerRecord) error
	Step(key string) (store.StepRecord, bool)
	PutStep(key string, r store.StepRecord) error
	PutElsewhere(repository string, blobs []v1.Descriptor) error
}

// Deps is what a Cache works with; all of it. Without Bases, nothing is shared about base images.
type Deps struct {
	Depot    *publish.Depot
	Puller   *publish.Puller
	Store    Store
	Bases    BaseStore // what was found in base images here
	Format   int       // of that
	ReadOnly bool
	Log      *slog.Logger
	Now      func() time.Time
}

const (
	parallel = 16 // keys asked for at a time
	// answerWithin bounds what a build waits for all its answers together.
	answerWithin = 5 * time.Second
	// What is not there, or does not answer, is not asked again for so long; what is refused is not believed for longer.
	forgetNone    = time.Minute
	forgetRefused = time.Hour
	// maxRemembered bounds each memory, by far more keys than a team has.
	maxRemembered = 100_000
)

// Cache is one team's cache. Safe for concurrent use; a nil one has nothing and takes nothing.
type Cache struct {
	deps    Deps
	sharing chan struct{} // holds one token while Share is at work

	mu      sync.Mutex
	known   map[string]store.LayerRecord // found there, until they fail
	none    map[string]time.Time         // not there, or refused; until when
	agreed  map[string]bool              // made here, and the same or put there
	down    time.Time                    // not asked before
	trouble error                        // what keeps it from being used; nil: nothing
	denied  bool                         // writing is
	dropped int
}

// New returns a Cache.
func New(d Deps) *Cache {
	return &Cache{
		deps: d, sharing: make(chan struct{}, 1),
		known: map[string]store.LayerRecord{}, none: map[string]time.Time{}, agreed: map[string]bool{},
	}
}

// Find returns the records of those keys that the cache has. note is told, for the build's log, what of it does not work.
func (c *Cache) Find(ctx context.Context, keys []string, note func(line string)) map[string]store.LayerRecord {
	found := map[string]store.LayerRecord{}
	if c == nil {
		return found
	}
	ask := c.unasked(keys, found)
	if len(ask) == 0 {
		return found
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errSlow)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, key := range ask {
		g.Go(func() error {
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			return c.ask(gctx, key, note)
		})
	}
	err := g.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	c.answered(err)
	if err != nil && !errors.Is(err, context.Canceled) {
		note(fmt.Sprintf("team cache %s: %v; the build goes on without what it has not told", c.deps.Depot.Repository(), err))
	}
	c.unasked(ask, found)
	return found
}

var errSlow = fmt.Errorf("no answer within %s", answerWithin)

// unasked adds to found what is known of keys, and returns those of which nothing is.
func (c *Cache) unasked(keys []string, found map[string]store.LayerRecord) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.deps.Now()
	var ask []string
	for _, key := range keys {
		rec, ok := c.known[key]
		switch {
		case ok:
			found[key] = rec
		case now.Before(c.none[key]), now.Before(c.down):
		default:
			ask = append(ask, key)
		}
	}
	return ask
}

// ask learns whether the cache has a key. The error is one for which no other key need be asked.
func (c *Cache) ask(ctx context.Context, key string, note func(string)) error {
	rec, ok, err := c.get(ctx, key)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		note(refused.Error() + "; the layer is made here")
		c.drop(key, refused, forgetRefused)
		return nil
	case err != nil:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok {
		remember(c.none, key, c.deps.Now().Add(forgetNone))
		return nil
	}
	delete(c.none, key)
	remember(c.known, key, rec)
	return nil
}

// lies remembers that the cache has the blob of a layer, so that a registry can mount it from there.
func (c *Cache) lies(r store.LayerRecord) error {
	h, err := v1.NewHash(r.Digest)
	if err != nil {
		return err
	}
	return c.deps.Store.PutElsewhere(c.deps.Depot.Repository().Name(), []v1.Descriptor{{Digest: h, Size: r.Size}})
}

// get reads and checks an entry.
func (c *Cache) get(ctx context.Context, key string) (store.LayerRecord, bool, error) {
	e, ok, err := c.deps.Depot.Get(ctx, key, layerType)
	var senseless *publish.EntryError
	if errors.As(err, &senseless) {
		return store.LayerRecord{}, false, &RefusedError{Key: key, Reason: senseless.Reason}
	}
	if err != nil || !ok {
		return store.LayerRecord{}, false, err
	}
	rec, err := recordOf(key, e)
	return rec, err == nil, err
}

// answered notes how a round of questions ended.
func (c *Cache) answered(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil || !c.denied {
		c.trouble = err
	}
	if err != nil {
		c.down = c.deps.Now().Add(forgetNone)
		c.deps.Log.Warn("team cache", "repository", c.deps.Depot.Repository().String(), "error", err.Error())
	}
}

// Known returns what was found before of a key, without asking.
func (c *Cache) Known(key string) (store.LayerRecord, bool) {
	if c == nil {
		return store.LayerRecord{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.known[key]
	return r, ok
}

// Dropped counts the entries that turned out not to hold what they say, or could not be read, after Find had returned them.
// An image that was being made of one is to be made anew: Find does not return it now.
func (c *Cache) Dropped() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// drop does without an entry for a while.
func (c *Cache) drop(key string, why error, limit time.Duration) {
	c.deps.Log.Warn("team cache: entry not used", "repository", c.deps.Depot.Repository().String(), "key", key, "error", why.Error())
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[key]; ok {
		delete(c.known, key)
		c.dropped++
	}
	remember(c.none, key, c.deps.Now().Add(limit))
}

// About says where the cache is, and what keeps it from being used, as far as builds have seen.
func (c *Cache) About() (repository string, trouble error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deps.Depot.Repository().String(), c.trouble
}

func remember[T any](m map[string]T, key string, v T) {
	if len(m) >= maxRemembered {
		clear(m)
	}
	m[key] = v
}
