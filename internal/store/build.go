package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"

	bolt "go.etcd.io/bbolt"

	"github.com/imgspecd/imgspecd/api"
)

// KeepBuilds is how many builds are remembered.
const KeepBuilds = 200

// Builds lists the builds, newest first.
func (s *Store) Builds() ([]api.Build, error) {
	all, err := list[api.Build](s, bucketBuilds)
	if err != nil {
		return nil, err
	}
	sortBuilds(all)
	return all, nil
}

// Build returns one build.
func (s *Store) Build(id string) (api.Build, bool) { return get[api.Build](s, bucketBuilds, id) }

// PutBuild adds a build, or replaces the one with its ID. Beyond KeepBuilds the oldest
// that have ended go, with their logs.
func (s *Store) PutBuild(b api.Build) error {
	value, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("remember build %s: %w", b.ID, err)
	}
	var gone []string
	err = s.db.Update(func(tx *bolt.Tx) error {
		bk := tx.Bucket([]byte(bucketBuilds))
		isNew := bk.Get([]byte(b.ID)) == nil
		if err := bk.Put([]byte(b.ID), value); err != nil {
			return err
		}
		if !isNew {
			return nil
		}
		gone, err = dropBuilds(bk)
		return err
	})
	if err != nil {
		return fmt.Errorf("remember build %s: %w", b.ID, err)
	}
	for _, id := range gone {
		if err := os.Remove(s.LogPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove log of build %s: %w", id, err)
		}
	}
	return nil
}

// dropBuilds deletes what is beyond KeepBuilds and returns the IDs.
func dropBuilds(bk *bolt.Bucket) ([]string, error) {
	var all []api.Build
	err := bk.ForEach(func(k, v []byte) error {
		var b api.Build
		if json.Unmarshal(v, &b) != nil {
			b = api.Build{State: api.Failed} // of another release: oldest of all
		}
		b.ID = string(k)
		all = append(all, b)
		return nil
	})
	if err != nil || len(all) <= KeepBuilds {
		return nil, err
	}
	sortBuilds(all)
	var gone []string
	for i := len(all) - 1; i >= 0 && len(all)-len(gone) > KeepBuilds; i-- {
		if !all[i].State.Final() {
			continue
		}
		if err := bk.Delete([]byte(all[i].ID)); err != nil {
			return nil, err
		}
		gone = append(gone, all[i].ID)
	}
	return gone, nil
}

func sortBuilds(all []api.Build) {
	sort.SliceStable(all, func(i, j int) bool {
		if !all[i].Created.Equal(all[j].Created) {
			return all[i].Created.After(all[j].Created)
		}
		return all[i].ID > all[j].ID
	})
}
