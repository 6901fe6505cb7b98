package publish_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

func TestLayout(t *testing.T) {
	s := openStore(t)
	img := on(t, pythonBase(t, s), newLayer(t, "a", 1000))
	target := publish.NewLayout(s, s)
	const name = "127.0.0.1:5000/some/app:Zk3f_tag"
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != "" {
		t.Fatalf("before: %+v, %v", r, err)
	}
	r, err := target.Publish(t.Context(), name, img, progress.Discard)
	must(t, err)
	if r.Digest != digestOf(t, img) || r.SentLayers != 1 || r.SentBytes < 1000 || r.SentBytes > 10_000 {
		t.Errorf("receipt = %+v", r)
	}
	again, err := target.Publish(t.Context(), name, img, progress.Discard)
	if err != nil || again.SentBytes != 0 || again.SentLayers != 0 {
		t.Errorf("again = %+v, %v", again, err)
	}
	other := on(t, img, newLayer(t, "b", 1000))
	r, err = target.Publish(t.Context(), name, other, progress.Discard)
	if err != nil || r.Digest != digestOf(t, other) {
		t.Errorf("replaced = %+v, %v", r, err)
	}
	index, err := s.ReadIndex()
	if err != nil || len(index.Manifests) != 1 {
		t.Errorf("index = %+v, %v", index, err)
	}
	skopeoInspect(t, "oci:"+s.Dir()+":"+name, digestOf(t, other))

	const odd = "127.0.0.1:5000/some/app:_Zk__3f_"
	for _, img := range []v1.Image{img, other} {
		must(t, second(target.Publish(t.Context(), odd, img, progress.Discard)))
		skopeoInspect(t, "oci:"+s.Dir()+":"+digestOf(t, img), digestOf(t, img))
		if index, err := s.ReadIndex(); err != nil || len(index.Manifests) != 3 {
			t.Errorf("index = %+v, %v", index, err)
		}
	}

	layers, _ := other.Layers()
	path, _ := s.BlobPath(digestOf(t, layers[3]))
	must(t, os.Remove(path))
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != "" {
		t.Errorf("with a hole: %+v, %v", r, err)
	}
	if r, err := target.Publish(t.Context(), name, other, progress.Discard); err != nil || r.SentLayers != 1 {
		t.Errorf("healed: %+v, %v", r, err)
	}
}

// skopeoInspect lets skopeo read an image and compares its digest; then all blobs are copied, which checks them.
func skopeoInspect(t *testing.T, ref, digest string, args ...string) {
	t.Helper()
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	out, err := exec.Command(skopeo, append([]string{"inspect", ref}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo inspect: %v: %s", err, out)
	}
	var got struct{ Digest string }
	must(t, json.Unmarshal(out, &got))
	if got.Digest != digest {
		t.Errorf("skopeo says %s, expected %s", got.Digest, digest)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	copyArgs := []string{"--insecure-policy", "copy", "--quiet", ref, "dir:" + dir}
	if len(args) > 0 {
		copyArgs = append(copyArgs, strings.Replace(args[0], "--tls", "--src-tls", 1))
	}
	if out, err := exec.Command(skopeo, copyArgs...).CombinedOutput(); err != nil {
		t.Errorf("skopeo copy: %v: %s", err, out)
	}
}
