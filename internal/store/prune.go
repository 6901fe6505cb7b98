package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// survey is what lies in the state directory, parted by whether images of some names need it.
type survey struct {
	s       *Store
	names   map[string]bool // wanted
	reached map[string]bool // digests of blobs that stay
	whole   bool            // every wanted name is in the layout with all its manifests
	made    map[string]bool // digests that records of layers and steps name
	records map[string][]string
	stale   map[string][]string // names of files to remove, by kind
	disk    api.Disk
}

// Disk says what lies in the state directory, and what of it the images of these names need.
func (s *Store) Disk(names []string) (api.Disk, error) {
	v, err := s.look(names)
	if err != nil {
		return api.Disk{}, fmt.Errorf("measure %s: %w", s.dir, err)
	}
	return v.disk, nil
}

// Prune removes what the images of these names do not need. Nobody else may write or read blobs meanwhile.
func (s *Store) Prune(names []string, dry bool) (api.Pruned, error) {
	v, err := s.look(names)
	if err == nil && !dry {
		err = v.remove()
	}
	if err != nil {
		return api.Pruned{}, fmt.Errorf("prune %s: %w", s.dir, err)
	}
	out := api.Pruned{DryRun: dry, Freed: []api.Freed{}}
	for _, k := range v.disk.Kinds {
		if k.Count > k.Current {
			f := api.Freed{Kind: k.Kind, Count: k.Count - k.Current, Size: k.Size - k.CurrentSize}
			out.Freed, out.Size = append(out.Freed, f), out.Size+f.Size
		}
	}
	return out, nil
}

func (s *Store) look(names []string) (*survey, error) {
	v := &survey{
		s: s, names: map[string]bool{}, reached: map[string]bool{}, made: map[string]bool{}, whole: true,
		records: map[string][]string{}, stale: map[string][]string{}, disk: api.Disk{Dir: s.dir},
	}
	for _, n := range names {
		v.names[n] = true
	}
	for _, f := range []func() error{v.index, v.recorded, v.blobs, v.files} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *survey) stays(d v1.Descriptor) bool {
	return v.names[d.Annotations[blob.RefName]] || v.names[d.Annotations[blob.AliasOf]]
}

// index finds what the wanted names reach.
func (v *survey) index() error {
	index, err := v.s.ReadIndex()
	if err != nil {
		return err
	}
	k := api.DiskKind{Kind: "names", Count: len(index.Manifests)}
	found := map[string]bool{}
	for _, d := range index.Manifests {
		if v.stays(d) {
			k.Current++
			found[d.Annotations[blob.RefName]] = v.reach(d.Digest.String())
		}
	}
	for n := range v.names {
		v.whole = v.whole && found[n]
	}
	v.disk.Kinds = append(v.disk.Kinds, k)
	return nil
}

// reach keeps a manifest and all that it names. One that cannot be read leads nowhere: its image counts as not there.
func (v *survey) reach(digest string) bool {
	if v.reached[digest] {
		return true
	}
	path, err := v.s.BlobPath(digest)
	if err != nil {
		return false
	}
	raw, err := os.ReadFile(path)
	var m struct {
		Config    v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return false
	}
	v.reached[digest] = true
	for _, d := range append(m.Layers, m.Config) {
		v.reached[d.Digest.String()] = true
	}
	ok := true
	for _, d := range m.Manifests {
		ok = v.reach(d.Digest.String()) && ok
	}
	return ok
}

// recorded finds the records that nothing wanted needs, and keeps the wheels built here of packages that wanted images hold.
func (v *survey) recorded() error {
	packages, known := v.packages()
	return v.s.db.View(func(tx *bolt.Tx) error {
		err := tx.Bucket([]byte(bucketLayers)).ForEach(func(k, b []byte) error {
			var r LayerRecord
			if json.Unmarshal(b, &r) == nil {
				v.made[r.Digest] = true
			}
			if !v.reached[r.Digest] {
				v.records[bucketLayers] = append(v.records[bucketLayers], string(k))
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(bucketSteps)).ForEach(func(k, b []byte) error {
			var r StepRecord
			keep := json.Unmarshal(b, &r) == nil
			for _, l := range r.Layers {
				v.made[l.Digest] = true
				keep = keep && v.reached[l.Digest]
			}
			if r.Wheel != nil {
				v.made[r.Wheel.Digest] = true
				name, _, _ := strings.Cut(r.Wheel.Filename, "-")
				if keep = keep && (!known || packages[pypa.NormalizeName(name)]); keep {
					v.reached[r.Wheel.Digest] = true
				}
			}
			if !keep {
				v.records[bucketSteps] = append(v.records[bucketSteps], string(k))
			}
			return nil
		})
	})
}

// packages are those of all wanted images. Where one of these was never ready here, it is not known which it needs.
func (v *survey) packages() (names map[string]bool, known bool) {
	names = map[string]bool{}
	for n := range v.names {
		r, ok := v.s.ReadyImage(n)
		if !ok {
			return nil, false
		}
		for _, p := range r.Packages {
			names[pypa.NormalizeName(p.Name)] = true
		}
	}
	return names, true
}

func (v *survey) blobs() error {
	layers, rest := api.DiskKind{Kind: "layers"}, api.DiskKind{Kind: "blobs"}
	err := eachFile(v.s.blobDir.path, func(name string, size int64) {
		k, digest := &rest, "sha256:"+name
		if v.made[digest] {
			k = &layers
		}
		if !count(k, size, v.reached[digest]) {
			v.stale["blobs"] = append(v.stale["blobs"], filepath.Join(v.s.blobDir.path, name))
		}
	})
	v.disk.Kinds = append(v.disk.Kinds, layers, rest)
	return err
}

// files are what lies beside the layout. Downloads serve images that are not made yet.
func (v *survey) files() error {
	for _, d := range []struct {
		kind, dir string
		stays     bool
	}{{"wheels", v.s.Wheels(), !v.whole}, {"bytecode", v.s.bytecode(""), true}, {"logs", v.s.Logs(), true}} {
		k := api.DiskKind{Kind: d.kind}
		err := eachFile(d.dir, func(name string, size int64) {
			if !count(&k, size, d.stays) {
				v.stale[d.kind] = append(v.stale[d.kind], filepath.Join(d.dir, name))
			}
		})
		if err != nil {
			return err
		}
		v.disk.Kinds = append(v.disk.Kinds, k)
	}
	info, err := os.Stat(filepath.Join(v.s.dir, dbName))
	if err != nil {
		return err
	}
	k := api.DiskKind{Kind: "records"}
	count(&k, info.Size(), true)
	v.disk.Kinds = append(v.disk.Kinds, k)
	return nil
}

func count(k *api.DiskKind, size int64, current bool) bool {
	k.Count, k.Size = k.Count+1, k.Size+size
	if current {
		k.Current, k.CurrentSize = k.Current+1, k.CurrentSize+size
	}
	return current
}

// eachFile passes over what goes meanwhile.
func eachFile(dir string, f func(name string, size int64)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			f(e.Name(), info.Size())
		}
	}
	return nil
}

// remove takes names first, then records, then blobs: whatever a crash leaves, nothing counts as there that is not.
func (v *survey) remove() error {
	err := v.s.UpdateIndex(func(m *v1.IndexManifest) error {
		m.Manifests = slices.DeleteFunc(m.Manifests, func(d v1.Descriptor) bool { return !v.stays(d) })
		return nil
	})
	if err != nil {
		return err
	}
	err = v.s.db.Update(func(tx *bolt.Tx) error {
		for bucket, keys := range v.records {
			for _, k := range keys {
				if err := tx.Bucket([]byte(bucket)).Delete([]byte(k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove records: %w", err)
	}
	for _, kind := range []string{"blobs", "wheels"} {
		for _, path := range v.stale[kind] {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
