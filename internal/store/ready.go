package store

import (
	"encoding/json"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// How many images and specs are remembered. Both are caches: without them it is only
// not known what an image was built from, and what its spec was before.
const (
	keepReady   = 1024
	keepHistory = 1024
)

// ReadyImage is an image that was built and published, and what it was built from.
// Whether it is still there, its targets say.
type ReadyImage struct {
	Name     string            // the image's full name
	Digest   string            // of its manifest
	Label    string            // of the spec that asked for it
	At       time.Time         // when it was ready
	Plan     string            // key of the plan it was built from
	Unbased  string            // the same without the base's digest: it stays when the base's tag moves
	Format   int               // of the layers; plans of different formats cannot be compared
	Content  map[string]string // what may change the plan and is not in the name
	Packages []Package         // by name
	Warnings []api.Warning     `json:",omitempty"`
}

// Package is a package in an image.
type Package struct{ Name, Version string }

// ReadyImage returns the image of that name, if it was ready.
func (s *Store) ReadyImage(name string) (ReadyImage, bool) {
	return cachedJSON[ReadyImage](s, bucketReady, name)
}

// PutReadyImage remembers what an image was built from; the oldest go.
func (s *Store) PutReadyImage(r ReadyImage) error {
	return s.cacheJSON(bucketReady, r.Name, r, keepReady)
}

// Naming is a name that a spec had, and what it was made from.
type Naming struct {
	Name     string
	Flytekit string
	Spec     json.RawMessage // with flytekit's defaults
	Inputs   []api.Input
	Content  map[string]string // as in ReadyImage
	Ready    bool              // its image was ready
	At       time.Time
}

// History returns the names that a spec had, the newest last.
func (s *Store) History(label string) []Naming {
	h, _ := cachedJSON[[]Naming](s, bucketHistory, label)
	return h
}

// PutHistory replaces the history of a spec; that of the spec that changed longest ago goes.
func (s *Store) PutHistory(label string, h []Naming) error {
	return s.cacheJSON(bucketHistory, label, h, keepHistory)
}

func cachedJSON[T any](s *Store, bucket, key string) (v T, ok bool) {
	b, ok := s.cached(bucket, key)
	if !ok || json.Unmarshal(b, &v) != nil {
		var none T
		return none, false
	}
	return v, true
}

func (s *Store) cacheJSON(bucket, key string, v any, keep int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.cache(bucket, key, b, keep)
}
