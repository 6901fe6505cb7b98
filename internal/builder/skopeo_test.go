package builder

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Another implementation reads the image out of the state directory, on a base
// whose layers came with Docker's media types.
func TestSkopeoReadsTheImage(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo")
	}
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	s := newStore(t, t.TempDir())
	img, _, err := newBuilder(s).Build(t.Context(), makePlan(t, info, h.some(t, 4)), baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	toLayout(t, s, img)
	from := "oci:" + s.Dir()
	out, err := exec.Command(skopeo, "inspect", from).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo inspect: %v\n%s", err, out)
	}
	var seen struct {
		Digest string
		Layers []string
	}
	if err := json.Unmarshal(out, &seen); err != nil || seen.Digest != digest(t, img) || len(seen.Layers) != 7 {
		t.Errorf("skopeo inspect: %s", out)
	}
	// A copy to the other format reads every layer and checks every digest.
	if out, err := exec.Command(skopeo, "copy", "--format", "v2s2", from, "dir:"+t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("skopeo copy: %v\n%s", err, out)
	}
}

func toLayout(t *testing.T, s *store.Store, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		rc, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err == nil {
			_, err = s.PutBlob(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	config, _ := img.RawConfigFile()
	manifest, _ := img.RawManifest()
	for _, b := range [][]byte{config, manifest} {
		if _, err := s.PutBlob(b); err != nil {
			t.Fatal(err)
		}
	}
	d, size, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	err = s.UpdateIndex(func(m *v1.IndexManifest) error {
		m.Manifests = append(m.Manifests, v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: d, Size: size})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
