package teamcache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// What a step leaves that was executed is another each time, so the first of a team that has executed it gives it to all:
// then their images are the same. It is brought here when it is found, for what comes after builds on it.

// stepType is the media type of what an entry says of what a step left.
const stepType = "application/vnd.imgspecd.step.v1+json"

const wheelType types.MediaType = "application/zip"

// aboutStep is what an entry says of what a step left.
type aboutStep struct {
	Key    string      `json:"key"`
	Layers []about     `json:"layers,omitempty"` // lowest first; without keys
	Wheel  *aboutWheel `json:"wheel,omitempty"`
}

type aboutWheel struct {
	Filename string `json:"filename"`
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
}

func stepTag(key string) string { return "step-" + key }

// Step brings here what a step left that somebody else has executed, if fits says that it may be that; false when nobody has,
// or it could not be brought.
func (c *Cache) Step(ctx context.Context, key string, fits func(store.StepRecord) error, note func(line string)) (store.StepRecord, bool) {
	if c == nil || !c.mayAsk(stepTag(key)) {
		return store.StepRecord{}, false
	}
	rec, ok, err := c.stepRecord(ctx, key)
	if err == nil && ok {
		if err = fits(rec); err != nil {
			err = &RefusedError{Key: key, Reason: err.Error()}
			c.drop(stepTag(key), err, forgetRefused)
		}
	}
	if err == nil && ok {
		err = c.bring(ctx, key, rec)
	}
	if err == nil {
		return rec, ok
	}
	if ctx.Err() == nil {
		note(fmt.Sprintf("team cache %s: %v; the step is executed here", c.deps.Depot.Repository(), err))
	}
	return store.StepRecord{}, false
}

// mayAsk reports whether nothing speaks against asking for a tag.
func (c *Cache) mayAsk(tag string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.deps.Now()
	return !now.Before(c.none[tag]) && !now.Before(c.down)
}

func (c *Cache) stepRecord(ctx context.Context, key string) (store.StepRecord, bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errSlow)
	defer cancel()
	e, ok, err := c.deps.Depot.Get(ctx, stepTag(key), stepType)
	var senseless *publish.EntryError
	switch {
	case errors.As(err, &senseless):
		err = &RefusedError{Key: key, Reason: senseless.Reason}
		c.drop(stepTag(key), err, forgetRefused)
		return store.StepRecord{}, false, err
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.answered(err)
		return store.StepRecord{}, false, err
	case !ok:
		c.mu.Lock()
		remember(c.none, stepTag(key), c.deps.Now().Add(forgetNone))
		c.mu.Unlock()
		return store.StepRecord{}, false, nil
	}
	rec, err := stepRecordOf(key, e)
	if err != nil {
		c.drop(stepTag(key), err, forgetRefused)
	}
	return rec, err == nil, err
}

// stepRecordOf reads an entry of a step. The error is a *RefusedError.
func stepRecordOf(key string, e publish.Entry) (store.StepRecord, error) {
	refuse := func(format string, args ...any) (store.StepRecord, error) {
		return store.StepRecord{}, &RefusedError{Key: key, Reason: fmt.Sprintf(format, args...)}
	}
	var a aboutStep
	if err := json.Unmarshal(e.About, &a); err != nil {
		return refuse("its record cannot be read: %v", err)
	}
	if a.Key != key {
		return refuse("its record is of the key %q", a.Key)
	}
	var rec store.StepRecord
	for _, l := range a.Layers {
		if _, err := v1.NewHash(l.DiffID); err != nil {
			return refuse("its record has the diff ID %q", l.DiffID)
		}
		rec.Layers = append(rec.Layers, store.LayerRecord{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size, Installed: l.Installed, Files: l.Files})
	}
	if w := a.Wheel; w != nil {
		if w.Filename != filepath.Base(w.Filename) || !strings.HasSuffix(w.Filename, ".whl") {
			return refuse("its record has a wheel named %q", w.Filename)
		}
		rec.Wheel = &store.WheelRecord{Filename: w.Filename, Digest: w.Digest, Size: w.Size}
	}
	want, err := blobsOf(rec)
	if err != nil || !slices.EqualFunc(want, e.Layers, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest && a.Size == b.Size }) {
		return refuse("its blobs are not those that its record says")
	}
	return rec, nil
}

// blobsOf describes the blobs of what a step left.
func blobsOf(rec store.StepRecord) ([]v1.Descriptor, error) {
	var out []v1.Descriptor
	for _, l := range rec.Layers {
		h, err := v1.NewHash(l.Digest)
		if err != nil {
			return nil, err
		}
		out = append(out, v1.Descriptor{MediaType: types.OCILayer, Digest: h, Size: l.Size})
	}
	if w := rec.Wheel; w != nil {
		h, err := v1.NewHash(w.Digest)
		if err != nil {
			return nil, err
		}
		out = append(out, v1.Descriptor{MediaType: wheelType, Digest: h, Size: w.Size})
	}
	return out, nil
}

// bring reads what a step left into the store, checked, and remembers it.
func (c *Cache) bring(ctx context.Context, key string, rec store.StepRecord) error {
	for _, r := range rec.Layers {
		l, err := c.layer(stepTag(key), r)
		if err != nil {
			return err
		}
		l.step = true
		if err := readAll(ctx, l); err != nil {
			return err
		}
		if err := c.lies(r); err != nil {
			return err
		}
	}
	if w := rec.Wheel; w != nil {
		if err := c.bringWheel(ctx, key, *w); err != nil {
			return err
		}
	}
	return c.deps.Store.PutStep(key, rec)
}

func readAll(ctx context.Context, l blob.Opener) error {
	rc, err := blob.Open(ctx, l, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, rc)
	return errors.Join(err, rc.Close())
}

func (c *Cache) bringWheel(ctx context.Context, key string, w store.WheelRecord) error {
	if size, ok := c.deps.Store.Has(w.Digest); ok && size == w.Size {
		return nil
	}
	h, err := v1.NewHash(w.Digest)
	if err != nil {
		return err
	}
	rc, err := c.deps.Puller.Open(ctx, c.deps.Depot.Repository().Name(), h)
	if err != nil {
		c.drop(stepTag(key), err, forgetNone)
		return err
	}
	defer rc.Close()
	if err := blob.Copy(c.deps.Store, w.Digest, io.LimitReader(rc, w.Size)); err != nil {
		if ctx.Err() == nil {
			c.drop(stepTag(key), err, forgetRefused)
		}
		return err
	}
	return nil
}

// ShareSteps puts what steps left where that is lacking, if write says so and the cache is not only read.
func (c *Cache) ShareSteps(ctx context.Context, steps []Made, from string, write bool) {
	if c == nil || !write || c.deps.ReadOnly {
		return
	}
	for _, m := range steps {
		rec, ok := c.deps.Store.Step(m.Key)
		if !ok || ctx.Err() != nil || !c.writable() || !c.open(stepTag(m.Key)) {
			continue
		}
		err := c.putStep(ctx, m, rec, from)
		switch {
		case errors.Is(err, publish.ErrDenied):
			c.deny(err)
		case err != nil && ctx.Err() == nil:
			c.answered(fmt.Errorf("put what %s left: %w", m.Title, err))
		case err == nil:
			c.agree(stepTag(m.Key))
		}
	}
}

func (c *Cache) putStep(ctx context.Context, m Made, rec store.StepRecord, from string) error {
	a := aboutStep{Key: m.Key}
	var layers []v1.Layer
	for _, r := range rec.Layers {
		a.Layers = append(a.Layers, about{Digest: r.Digest, DiffID: r.DiffID, Size: r.Size, Installed: r.Installed, Files: r.Files})
		l, err := c.layer(stepTag(m.Key), r)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	if w := rec.Wheel; w != nil {
		a.Wheel = &aboutWheel{w.Filename, w.Digest, w.Size}
		l, err := c.layer(stepTag(m.Key), store.LayerRecord{Digest: w.Digest, DiffID: w.Digest, Size: w.Size})
		if err != nil {
			return err
		}
		layers, from = append(layers, l), "" // no image holds a wheel
	}
	blobs, err := blobsOf(rec)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sent, err := c.deps.Depot.Put(ctx, stepTag(m.Key), publish.Entry{Type: stepType, About: raw, Layers: blobs}, layers, from)
	if err != nil {
		return err
	}
	c.deps.Log.Info("team cache: what a step left is put", "step", m.Title, "key", m.Key, "sent", sent)
	for _, r := range rec.Layers {
		if err := c.lies(r); err != nil {
			return err
		}
	}
	return nil
}
