package store

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// imageOf writes an image of one layer, which is recorded under the key, and names it.
func imageOf(t *testing.T, s *Store, name, key string) (layer, manifest string) {
	t.Helper()
	put := func(b []byte) v1.Descriptor {
		digest, err := s.PutBlob(b)
		if err != nil {
			t.Fatal(err)
		}
		h, err := v1.NewHash(digest)
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{Digest: h, Size: int64(len(b))}
	}
	l := put([]byte("layer " + key))
	raw, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: put([]byte("{} " + key)), Layers: []v1.Descriptor{l}})
	if err != nil {
		t.Fatal(err)
	}
	m := put(raw)
	m.Annotations = map[string]string{blob.RefName: name}
	if err := s.PutLayer(key, LayerRecord{Digest: l.Digest.String(), Size: l.Size}); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateIndex(func(x *v1.IndexManifest) error { x.Manifests = append(x.Manifests, m); return nil }); err != nil {
		t.Fatal(err)
	}
	return l.Digest.String(), m.Digest.String()
}

func TestPruneKeepsWhatCurrentNamesReach(t *testing.T) {
	s := open(t, t.TempDir())
	oldLayer, oldManifest := imageOf(t, s, "app:old", "k-old")
	layer, manifest := imageOf(t, s, "app:new", "k-new")
	orphan, err := s.PutBlob([]byte("nobody's"))
	if err != nil {
		t.Fatal(err)
	}
	wheels := map[string]string{}
	for _, f := range []string{"kept_one-1.0.tar", "gone-1.0.tar"} {
		digest, err := s.PutBlob([]byte(f))
		if err != nil {
			t.Fatal(err)
		}
		wheels[f] = digest
		if err := s.PutStep(f, StepRecord{Wheel: &WheelRecord{Filename: f, Digest: digest, Size: int64(len(f))}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutReadyImage(ReadyImage{Name: "app:new", Packages: []Package{{"kept.one", "2.0"}}}); err != nil {
		t.Fatal(err)
	}
	download := filepath.Join(s.Wheels(), "aa.whl")
	if err := os.WriteFile(download, []byte("wheel"), 0o600); err != nil {
		t.Fatal(err)
	}

	dry, err := s.Prune([]string{"app:new"}, true)
	if _, there := s.Has(oldLayer); err != nil || !there || dry.Size == 0 {
		t.Fatalf("a dry run: %+v, %v, old layer there: %v", dry, err, there)
	}
	real, err := s.Prune([]string{"app:new"}, false)
	if err != nil || real.Size != dry.Size || len(real.Freed) != len(dry.Freed) {
		t.Fatalf("freed %+v, %v; announced %+v", real, err, dry)
	}
	for digest, want := range map[string]bool{
		layer: true, manifest: true, wheels["kept_one-1.0.tar"]: true,
		oldLayer: false, oldManifest: false, orphan: false, wheels["gone-1.0.tar"]: false,
	} {
		if _, there := s.Has(digest); there != want {
			t.Errorf("%s there: %v, want %v", digest, there, want)
		}
	}
	if _, ok := s.Layer("k-new"); !ok {
		t.Error("the record of a current layer is gone")
	}
	if _, ok := s.raw(bucketLayers, "k-old"); ok {
		t.Error("the record of an old layer stayed")
	}
	if _, err := os.Stat(download); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a download stayed: %v", err)
	}
	again, err := s.Prune([]string{"app:new"}, false)
	disk, derr := s.Disk([]string{"app:new"})
	if err != nil || derr != nil || len(again.Freed) > 0 {
		t.Errorf("a second prune freed %+v, %v, %v", again, err, derr)
	}
	for _, k := range disk.Kinds {
		if k.Count != k.Current || k.Size != k.CurrentSize {
			t.Errorf("after a prune not all is current: %+v", k)
		}
	}
}

// A name that is not made yet keeps the downloads and the wheels that it may need.
func TestPruneKeepsWhatANameToComeNeeds(t *testing.T) {
	s := open(t, t.TempDir())
	digest, err := s.PutBlob([]byte("wheel"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutStep("k", StepRecord{Wheel: &WheelRecord{Filename: "a-1.whl", Digest: digest, Size: 5}}); err != nil {
		t.Fatal(err)
	}
	download := filepath.Join(s.Wheels(), "aa.whl")
	if err := os.WriteFile(download, []byte("wheel"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune([]string{"app:next"}, false); err != nil || len(p.Freed) > 0 {
		t.Fatalf("freed %+v, %v", p, err)
	}
	if _, ok := s.Step("k"); !ok {
		t.Error("the wheel that was built is gone")
	}
}
