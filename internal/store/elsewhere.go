package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	bolt "go.etcd.io/bbolt"
)

// bucketElsewhere holds in which repositories of registries blobs lie, by digest. Those blobs need not be here.
const bucketElsewhere = "elsewhere"

// lying is where a blob lies.
type lying struct {
	Size int64
	At   []string // "registry/repository", the one learned last first
}

// keepPlaces is how many repositories are remembered of one blob.
const keepPlaces = 8

// Elsewhere says how big a blob is that lies in registries, and in which repositories; none: it is not known to.
func (s *Store) Elsewhere(digest string) (size int64, repositories []string) {
	l, _ := get[lying](s, bucketElsewhere, digest)
	return l.Size, l.At
}

// PutElsewhere remembers that blobs lie in a repository.
func (s *Store) PutElsewhere(repository string, blobs []v1.Descriptor) error {
	if len(blobs) == 0 {
		return nil
	}
	err := s.db.Batch(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketElsewhere))
		for _, d := range blobs {
			key := []byte(d.Digest.String())
			var l lying
			if json.Unmarshal(b.Get(key), &l) != nil || l.Size != d.Size {
				l = lying{Size: d.Size} // the digest says which bytes they are, so another size was wrong
			}
			l.At = append([]string{repository}, slices.DeleteFunc(l.At, func(r string) bool { return r == repository })...)
			l.At = l.At[:min(len(l.At), keepPlaces)]
			if err := putIn(b, key, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remember what lies in %s: %w", repository, err)
	}
	return nil
}

// NotElsewhere forgets that a blob lies in a repository.
func (s *Store) NotElsewhere(repository, digest string) error {
	err := s.db.Batch(func(tx *bolt.Tx) error {
		b, key := tx.Bucket([]byte(bucketElsewhere)), []byte(digest)
		var l lying
		if json.Unmarshal(b.Get(key), &l) != nil {
			return nil //nolint:nilerr // it is not remembered
		}
		if l.At = slices.DeleteFunc(l.At, func(r string) bool { return r == repository }); len(l.At) == 0 {
			return b.Delete(key)
		}
		return putIn(b, key, l)
	})
	if err != nil {
		return fmt.Errorf("forget what lay in %s: %w", repository, err)
	}
	return nil
}

// Mounts are the repositories of a registry in which a blob lies, as the registry calls them.
func (s *Store) Mounts(registry string, h v1.Hash) []string {
	var out []string
	_, at := s.Elsewhere(h.String())
	for _, r := range at {
		if rest, ok := strings.CutPrefix(r, registry+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}

func putIn(b *bolt.Bucket, key []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, raw)
}
