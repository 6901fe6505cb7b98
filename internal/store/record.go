package store

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/imgspecd/imgspecd/api"
)

// The buckets of the database. Keys and values are as the methods below write them.
const (
	bucketProjects = "projects"
	bucketBuilds   = "builds"
	bucketLayers   = "layers"
	bucketReady    = "ready"   // a cache
	bucketHistory  = "history" // a cache
	bucketBases    = "bases"   // a cache
	bucketFound    = "found"   // a cache
	bucketLearned  = "learned"
)

var buckets = []string{bucketProjects, bucketBuilds, bucketLayers, bucketReady, bucketHistory, bucketBases, bucketFound, bucketLearned, bucketResolved, bucketInstalled, bucketSteps, bucketElsewhere}

// How many entries the caches keep. A base's record holds its account files and
// homes; a found record is what one project's Python files say.
const (
	keepBases = 64
	keepFound = 4096
)

// Project is a watched directory.
type Project struct {
	ID      string
	Dir     string
	Env     map[string]string  // what --env of watch says
	Shell   map[string]*string // variables as the shell of watch had them; null: it did not
	AddedAt time.Time
}

// LayerRecord is a layer that was made.
type LayerRecord struct {
	Digest    string // of the blob
	DiffID    string // of the tar within
	Size      int64  // of the blob
	Installed int64  // of the tar
	Files     int
	// Warnings are what the layer's wheels said wrongly of their files. They belong to
	// its key: a build that finds the layer made tells them again.
	Warnings []api.Warning `json:",omitempty"`
}

// Projects lists the watched directories, in the order of their IDs.
func (s *Store) Projects() ([]Project, error) { return list[Project](s, bucketProjects) }

// PutProject adds a project, or replaces the one with its ID.
func (s *Store) PutProject(p Project) error { return put(s, bucketProjects, p.ID, p) }

// DeleteProject forgets a project; one that is not known is forgotten already.
func (s *Store) DeleteProject(id string) error { return s.remove(bucketProjects, id) }

// Layer returns the layer that was made for a key, if its blob is still there in full.
func (s *Store) Layer(key string) (LayerRecord, bool) {
	r, ok := get[LayerRecord](s, bucketLayers, key)
	if !ok {
		return LayerRecord{}, false
	}
	if size, ok := s.Has(r.Digest); !ok || size != r.Size {
		return LayerRecord{}, false
	}
	return r, true
}

// PutLayer remembers a layer; its blob must have been committed.
func (s *Store) PutLayer(key string, r LayerRecord) error {
	if size, ok := s.Has(r.Digest); !ok || size != r.Size {
		return fmt.Errorf("remember layer %s: its blob %s is not there", key, r.Digest)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remember layer %s: %w", key, err)
	}
	// Layers are made in parallel: Batch lets those that end together share a sync.
	err = s.db.Batch(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketLayers)).Put([]byte(key), b) })
	if err != nil {
		return fmt.Errorf("remember layer %s: %w", key, err)
	}
	return nil
}

// Base returns what is known of the base image with a digest.
func (s *Store) Base(digest string) ([]byte, bool) { return s.cached(bucketBases, digest) }

// PutBase keeps what is known of a base image; old ones go.
func (s *Store) PutBase(digest string, b []byte) error {
	return s.cache(bucketBases, digest, b, keepBases)
}

// Found returns what was found in files whose content has this key.
func (s *Store) Found(key string) ([]byte, bool) { return s.cached(bucketFound, key) }

// PutFound keeps what was found in files; old ones go.
func (s *Store) PutFound(key string, b []byte) error { return s.cache(bucketFound, key, b, keepFound) }
