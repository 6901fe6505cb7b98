package resolve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Deps is what a Resolver needs. Env, Tmp, Cache, Now and Log are required.
type Deps struct {
	UV      string   // uv's path; empty: found on PATH, or where its installers put it
	Env     []string // this machine's environment; uv gets only what it needs of it
	Passed  []string // names of further variables that requirement files may use
	Python  string   // interpreter that uv may look at; empty: uv finds one, outside virtual environments
	Default string   // the index of those who name none, where Env names none for uv either; may hold credentials
	Extra   []string // likewise, indexes before it
	CA      []byte   // PEM certificates to trust; empty: those that uv trusts itself
	Tmp     string   // directory for what lasts as long as a run
	Cache   Cache
	Refresh time.Duration // age at which an answer is looked up anew; 24 h, negative: never
	Timeout time.Duration // of one run of uv; 5 min
	Offline bool
	Now     func() time.Time
	Log     *slog.Logger
}

// Cache keeps answers by key.
type Cache interface {
	Resolved(key string) ([]byte, bool)
	PutResolved(key string, b []byte) error
}

// Request is what is to be pinned, and for what.
type Request struct {
	Environment pypa.Environment

	// Requirements is the text of a requirements.txt. What it names by a relative path lies in Dir.
	Requirements []byte
	Dir          string
	// Pyproject is the path of a pyproject.toml whose dependencies are wanted.
	Pyproject string
	Packages  []string
	// Flytekit is the version that is added unless the requirements name flytekit; empty, or a development version: any.
	Flytekit string
	// Alone: nothing is added.
	Alone bool
	// Installed is what is in the environment already. As `uv pip install` does there, a version of it stays where it
	// satisfies the requirements, and is another otherwise.
	Installed []Pin

	PipIndex         string
	PipExtraIndexURL []string
	PipExtraArgs     string

	// Build runs uv where packages may be built to learn what they need, in a container of the environment; it returns what uv
	// writes. It is called only when nothing is resolved without building. nil: then that is an error.
	Build func(ctx context.Context, run Run) (pylock []byte, err error)

	Fresh bool // look anew, however young the last answer is
	Keep  bool // take the last answer, however old it is: its image is ready
}

// Pin is a package in one version.
type Pin struct{ Name, Version string }

// Resolver answers requests. Safe for concurrent use.
type Resolver struct {
	deps Deps

	mu    sync.Mutex
	turns map[string]*turn
}

// turn lets one at a time resolve one key: who comes second finds the first one's answer.
type turn struct {
	free    chan struct{}
	waiting int // guarded by Resolver.mu
}

// New returns a Resolver.
func New(d Deps) *Resolver {
	if d.Refresh == 0 {
		d.Refresh = 24 * time.Hour
	}
	if d.Timeout <= 0 {
		d.Timeout = 5 * time.Minute
	}
	return &Resolver{deps: d, turns: make(map[string]*turn)}
}

// record is an answer as it is kept.
type record struct {
	At   time.Time `json:"at"`
	Lock []byte    `json:"lock"`
}

// Resolve returns the pylock.toml that answers r, and the time at which it was resolved.
//
// An answer is given again until it is Refresh old. An older one, too, when the indexes cannot be reached: that an index
// is down does not change what was asked for. Errors are *Error, but for an end of ctx.
func (r *Resolver) Resolve(ctx context.Context, req Request) (pylock []byte, at time.Time, err error) {
	began := r.deps.Now()
	j, err := r.prepare(req)
	if err != nil {
		return nil, time.Time{}, err
	}
	release, err := r.take(ctx, j.key)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer release()
	last, have := r.last(j.key)
	if have && r.good(last, req, began) {
		return last.Lock, last.At, nil
	}
	lock, err := r.run(ctx, j)
	var e *Error
	if errors.As(err, &e) && e.Kind == NeedsBuild && req.Build != nil {
		lock, err = r.runThere(ctx, j, req.Build)
	}
	if err != nil {
		if have && !req.Fresh && errors.As(err, &e) && (e.Kind == Unreachable || e.Kind == TimedOut) {
			r.deps.Log.Warn("indexes cannot be reached; the last resolution is used", slog.Time("of", last.At), slog.Any("err", err))
			return last.Lock, last.At, nil
		}
		return nil, time.Time{}, err
	}
	// The time in the answer is that of its record, so that it reads the same each time.
	rec := record{At: r.deps.Now().UTC().Truncate(time.Second), Lock: clean(lock)}
	if have && bytes.Equal(last.Lock, rec.Lock) {
		r.deps.Log.Debug("the resolution has not changed", slog.String("key", j.key))
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("keep the resolution: %w", err)
	}
	if err := r.deps.Cache.PutResolved(j.key, b); err != nil {
		return nil, time.Time{}, err
	}
	return rec.Lock, rec.At, nil
}

// good reports whether the last answer answers once more.
func (r *Resolver) good(last record, req Request, began time.Time) bool {
	switch {
	case !last.At.Before(began.Truncate(time.Second)): // by another, while this one waited
		return true
	case req.Fresh:
		return false
	case req.Keep, r.deps.Offline, r.deps.Refresh < 0:
		return true
	}
	return r.deps.Now().Sub(last.At) < r.deps.Refresh
}

func (r *Resolver) last(key string) (record, bool) {
	b, ok := r.deps.Cache.Resolved(key)
	var rec record
	if !ok || json.Unmarshal(b, &rec) != nil || len(rec.Lock) == 0 {
		return record{}, false
	}
	return rec, true
}

func (r *Resolver) take(ctx context.Context, key string) (release func(), err error) {
	r.mu.Lock()
	t := r.turns[key]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		r.turns[key] = t
	}
	t.waiting++
	r.mu.Unlock()
	leave := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(r.turns, key)
		}
	}
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
