package publish_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// both are images for two machines with a layer in common.
func both(t *testing.T) []v1.Image {
	t.Helper()
	shared := newLayer(t, "shared", 50_000)
	var images []v1.Image
	for _, arch := range []string{"amd64", "arm64"} {
		img := small(t)
		cfg, err := img.ConfigFile()
		must(t, err)
		cfg.Architecture, cfg.RootFS.Type = arch, "layers"
		img, err = mutate.ConfigFile(img, cfg)
		must(t, err)
		img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
		images = append(images, on(t, img, shared, newLayer(t, arch, 1000)))
	}
	return images
}

func together(t *testing.T, images []v1.Image) publish.Content {
	t.Helper()
	c, err := publish.Together(images)
	must(t, err)
	return c
}

func TestTogether(t *testing.T) {
	images := both(t)
	if one := together(t, images[:1]); one != publish.Content(images[0]) {
		t.Errorf("one image became %T", one)
	}
	a, b := together(t, images), together(t, images)
	if digestOf(t, a) != digestOf(t, b) || digestOf(t, a) == digestOf(t, together(t, []v1.Image{images[1], images[0]})) {
		t.Error("the digest does not follow from the images and their order")
	}
	m, err := a.(v1.ImageIndex).IndexManifest()
	must(t, err)
	if m.MediaType != types.OCIImageIndex || len(m.Manifests) != 2 || m.Manifests[1].Platform.String() != "linux/arm64" {
		t.Errorf("index %+v", m)
	}
}

func TestIndexInLayout(t *testing.T) {
	s := openStore(t)
	target, images := publish.NewLayout(s, s), both(t)
	content := together(t, images)
	const name = "127.0.0.1:5000/some/app:two"
	r, err := target.Publish(t.Context(), name, content, progress.Discard)
	must(t, err)
	if r.Digest != digestOf(t, content) || len(r.Configs) != 2 || r.SentLayers != 5 {
		t.Errorf("receipt %+v", r)
	}
	for _, img := range images { // what an engine with a graph driver says
		h, _ := img.ConfigName()
		if !(publish.Receipt{Digest: h.String()}).Same(r) {
			t.Errorf("%s is not the same as %+v", h, r)
		}
	}
	if again, err := target.Publish(t.Context(), name, content, progress.Discard); err != nil || again.SentBytes != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		dir := filepath.Join(t.TempDir(), "copy")
		if out, err := exec.Command(skopeo, "--insecure-policy", "copy", "--quiet", "--all", "oci:"+s.Dir()+":"+name, "dir:"+dir).CombinedOutput(); err != nil {
			t.Errorf("skopeo copy: %v: %s", err, out)
		}
	}
	h, err := images[1].ConfigName()
	must(t, err)
	path, _ := s.BlobPath(h.String())
	must(t, os.Remove(path))
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != "" {
		t.Errorf("without the config of one image: %+v, %v", r, err)
	}
	if r, err := target.Publish(t.Context(), name, content, progress.Discard); err != nil || r.Digest == "" {
		t.Errorf("healed: %+v, %v", r, err)
	}
	if r, err := target.Publish(t.Context(), name, images[0], progress.Discard); err != nil || len(r.Configs) != 1 {
		t.Errorf("one platform instead of two: %+v, %v", r, err)
	}
}

func TestIndexInRegistry(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	w := newWire()
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	image := host + "/" + newRepo(t, host) + ":two"
	images := both(t)
	content := together(t, images)
	r, err := target.Publish(t.Context(), image, content, progress.Discard)
	must(t, err)
	if r.Digest != digestOf(t, content) || r.SentLayers != 5 {
		t.Errorf("receipt %+v", r)
	}
	ref, err := name.ParseReference(image)
	must(t, err)
	index, err := remote.Index(ref)
	must(t, err)
	if err := validate.Index(index); err != nil || digestOf(t, index) != r.Digest {
		t.Errorf("the registry has %s, %v", digestOf(t, index), err)
	}
	w.take()

	images[1] = on(t, images[1], newLayer(t, "more", 1000))
	var sent atomic.Int64
	r, err = target.Publish(t.Context(), image, together(t, images), func(e progress.Event) { sent.Store(e.Bytes) })
	must(t, err)
	puts := 0
	for _, call := range w.take() {
		if strings.HasPrefix(call, "PUT ") && strings.Contains(call, "/manifests/") {
			puts++
		}
	}
	if r.SentLayers != 1 || r.SentBytes > 4000 || sent.Load() != r.SentBytes || puts != 3 {
		t.Errorf("one layer more for one platform: %+v, %d manifests put", r, puts)
	}
	if got, err := target.Check(t.Context(), image); err != nil || got.Digest != r.Digest {
		t.Errorf("check: %+v, %v", got, err)
	}
}
