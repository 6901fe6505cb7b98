package teamcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// baseType is the media type of what was found in a base image.
const baseType = "application/vnd.imgspecd.base.v1+json"

// Bases is what was found in base images, as base's Resolver keeps it: to look into a base is to download it, and what
// somebody in the team has found need not be looked for again.
type Bases struct {
	Cache  *Cache // nil: only the Store
	Store  BaseStore
	Format int // of what is kept
}

// BaseStore keeps what was found, here.
type BaseStore interface {
	Base(digest string) ([]byte, bool)
	PutBase(digest string, b []byte) error
}

// Base returns what was found in a base, here or by others.
func (b *Bases) Base(digest string) ([]byte, bool) {
	if found, ok := b.Store.Base(digest); ok || b.Cache == nil {
		return found, ok
	}
	found, ok := b.Cache.base(baseTag(digest, b.Format))
	if ok {
		if err := b.Store.PutBase(digest, found); err != nil {
			b.Cache.deps.Log.Warn("team cache: what was found in a base is not kept", "base", digest, "error", err.Error())
		}
	}
	return found, ok
}

// PutBase keeps what was found here.
func (b *Bases) PutBase(digest string, found []byte) error { return b.Store.PutBase(digest, found) }

// baseTag is the tag of a base's entry.
func baseTag(digest string, format int) string {
	_, hex, _ := strings.Cut(digest, ":")
	return fmt.Sprintf("base-%s-%d", hex, format)
}

// base reads an entry about a base.
func (c *Cache) base(tag string) ([]byte, bool) {
	c.mu.Lock()
	now := c.deps.Now()
	skip := now.Before(c.none[tag]) || now.Before(c.down)
	c.mu.Unlock()
	if skip {
		return nil, false
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), answerWithin, errSlow)
	defer cancel()
	e, ok, err := c.deps.Depot.Get(ctx, tag, baseType)
	var senseless *publish.EntryError
	switch {
	case errors.As(err, &senseless):
		c.drop(tag, err, forgetRefused)
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.answered(err)
	case !ok:
		c.mu.Lock()
		remember(c.none, tag, now.Add(forgetNone))
		c.mu.Unlock()
	}
	return e.About, ok && err == nil
}

// ShareBases puts what was found in bases where that is lacking, if write says so and the cache is not only read. The
// warnings are about entries that differ.
func (c *Cache) ShareBases(ctx context.Context, digests []string, write bool) []api.Warning {
	if c == nil || c.deps.Bases == nil {
		return nil
	}
	var out []api.Warning
	for _, digest := range digests {
		ours, ok := c.deps.Bases.Base(digest)
		tag := baseTag(digest, c.deps.Format)
		if !ok || ctx.Err() != nil || !c.open(tag) {
			continue
		}
		w, err := c.shareBase(ctx, tag, digest, ours, write && !c.deps.ReadOnly)
		if err != nil && ctx.Err() == nil {
			c.answered(err)
			return out
		}
		if w != nil {
			out = append(out, *w)
		}
	}
	return out
}

func (c *Cache) shareBase(ctx context.Context, tag, digest string, ours []byte, write bool) (*api.Warning, error) {
	theirs, ok, err := c.deps.Depot.Get(ctx, tag, baseType)
	var senseless *publish.EntryError
	switch {
	case errors.As(err, &senseless):
		return c.differs(Made{Key: tag, Title: "base " + digest}, senseless.Reason), nil
	case errors.Is(err, publish.ErrDenied) && write && c.writable(): // as in share
	case err != nil:
		return nil, err
	case ok && !bytes.Equal(ours, theirs.About):
		return c.differs(Made{Key: tag, Title: "base " + digest}, "what was found in the base is not what was found in it here"), nil
	case ok:
		c.agree(tag)
		return nil, nil
	case !write || !c.writable():
		return nil, nil
	}
	_, err = c.deps.Depot.Put(ctx, tag, publish.Entry{Type: baseType, About: ours}, nil, "")
	if errors.Is(err, publish.ErrDenied) {
		c.deny(err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("put what was found in base %s: %w", digest, err)
	}
	c.agree(tag)
	return nil, nil
}
