package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/imgspecd/imgspecd/api"
)

// How long and how many learned specs are kept. A spec that no run has asked for in
// so long has most likely been edited since, and the edited one was learned anew.
const (
	keepLearned    = 64 // of one project
	keepLearnedFor = 30 * 24 * time.Hour
)

// Learned is an image spec that a run asked for.
type Learned struct {
	Project  string // ID
	Key      string // within the project: the same spec in the same working directory has the same
	Dir      string // working directory of the run
	Spec     json.RawMessage
	Flytekit string // version that ran
	Beside   string // version that the project itself named then; another since means that runs have another
	Machine  string
	Builder  string
	Modules  []string
	Name     string // as flytekit computed it
	Tag      string
	ID       string
	// Print is of all files that may have decided a name that cannot be predicted; empty: the name can be.
	Print    string
	Mismatch *api.Mismatch // flytekit's name is not the one computed here
	Since    time.Time     // of the first run
	At       time.Time     // of the last run
}

func learnedKey(project, key string) []byte { return []byte(project + "/" + key) }

// Learned lists the learned specs of a project, in the order of their keys.
func (s *Store) Learned(project string) ([]Learned, error) {
	var out []Learned
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		out, err = learned(tx.Bucket([]byte(bucketLearned)), project)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was learned: %w", err)
	}
	return out, nil
}

func learned(b *bolt.Bucket, project string) ([]Learned, error) {
	var out []Learned
	prefix := learnedKey(project, "")
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var l Learned
		if err := json.Unmarshal(v, &l); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// PutLearned adds a learned spec, or replaces the one with its key; of the project's
// others the old ones go.
func (s *Store) PutLearned(l Learned) error {
	v, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("remember %s: %w", l.Name, err)
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketLearned))
		if err := b.Put(learnedKey(l.Project, l.Key), v); err != nil {
			return err
		}
		all, err := learned(b, l.Project)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(x, y Learned) int { return y.At.Compare(x.At) }) // newest first
		for i, o := range all {
			if i < keepLearned && l.At.Sub(o.At) < keepLearnedFor {
				continue
			}
			if err := b.Delete(learnedKey(o.Project, o.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remember %s: %w", l.Name, err)
	}
	return nil
}

// DeleteLearned forgets a learned spec; with an empty key, all of the project.
func (s *Store) DeleteLearned(project, key string) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketLearned))
		if key != "" {
			return b.Delete(learnedKey(project, key))
		}
		all, err := learned(b, project)
		if err != nil {
			return err
		}
		for _, l := range all {
			if err := b.Delete(learnedKey(project, l.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget what was learned: %w", err)
	}
	return nil
}
