package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	bolt "go.etcd.io/bbolt"
)

// raw returns a copy of a value; bbolt's own is gone when the transaction ends.
func (s *Store) raw(bucket, key string) ([]byte, bool) {
	var out []byte
	err := s.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket([]byte(bucket)).Get([]byte(key)); v != nil {
			out = bytes.Clone(v)
		}
		return nil
	})
	return out, err == nil && out != nil
}

func (s *Store) remove(bucket, key string) error {
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Delete([]byte(key)) })
	if err != nil {
		return fmt.Errorf("forget %s: %w", key, err)
	}
	return nil
}

// get decodes one record. One that cannot be decoded, being of another release, counts as missing.
func get[T any](s *Store, bucket, key string) (T, bool) {
	var v T
	b, ok := s.raw(bucket, key)
	if !ok || json.Unmarshal(b, &v) != nil {
		var none T
		return none, false
	}
	return v, true
}

func put(s *Store, bucket, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("remember %s: %w", key, err)
	}
	err = s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), b) })
	if err != nil {
		return fmt.Errorf("remember %s: %w", key, err)
	}
	return nil
}

func list[T any](s *Store, bucket string) ([]T, error) {
	out := []T{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucket)).ForEach(func(k, b []byte) error {
			var v T
			if err := json.Unmarshal(b, &v); err != nil {
				return fmt.Errorf("read record %s/%s: %w", bucket, k, err)
			}
			out = append(out, v)
			return nil
		})
	})
	return out, err
}

// Cache values begin with the time of writing, by which the old ones go.
const stampSize = 8

func (s *Store) cached(bucket, key string) ([]byte, bool) {
	b, ok := s.raw(bucket, key)
	if !ok || len(b) < stampSize {
		return nil, false
	}
	return b[stampSize:], true
}

func (s *Store) cache(bucket, key string, b []byte, keep int) error {
	stamped := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	stamped = append(stamped, b...)
	// Many are kept at once when a project is first read: Batch lets them share a sync.
	err := s.db.Batch(func(tx *bolt.Tx) error {
		bk := tx.Bucket([]byte(bucket))
		if err := bk.Put([]byte(key), stamped); err != nil {
			return err
		}
		return trim(bk, keep)
	})
	if err != nil {
		return fmt.Errorf("cache %s/%s: %w", bucket, key, err)
	}
	return nil
}

// trim deletes the oldest entries of a cache beyond those to keep.
func trim(b *bolt.Bucket, keep int) error {
	type entry struct{ stamp, key []byte }
	var all []entry
	err := b.ForEach(func(k, v []byte) error {
		all = append(all, entry{v[:min(stampSize, len(v))], k})
		return nil
	})
	if err != nil || len(all) <= keep {
		return err
	}
	sort.Slice(all, func(i, j int) bool { return bytes.Compare(all[i].stamp, all[j].stamp) < 0 })
	for _, e := range all[:len(all)-keep] {
		if err := b.Delete(bytes.Clone(e.key)); err != nil {
			return err
		}
	}
	return nil
}
