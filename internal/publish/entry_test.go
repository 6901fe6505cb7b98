package publish_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// elsewhere is a layer as one that lies in a repository.
func elsewhere(t *testing.T, l v1.Layer, repository string) v1.Layer {
	t.Helper()
	r, err := name.NewRepository(repository)
	must(t, err)
	return &remote.MountableLayer{Layer: l, Reference: r.Digest(digestOf(t, l))}
}

func TestEntry(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	image, cache := host+"/"+newRepo(t, host), host+"/"+newRepo(t, host)
	w := newWire()
	deps := publish.RegistryDeps{Transport: w}
	depot, err := publish.NewDepot(deps, cache)
	must(t, err)
	const kind = "application/vnd.imgspecd.layer.v1+json"
	tag := strings.Repeat("ab", 32)
	if _, ok, err := depot.Get(t.Context(), tag, kind); ok || err != nil {
		t.Fatalf("before: %v, %v", ok, err)
	}

	l := newLayer(t, "a", 200_000)
	must(t, second(publish.NewRegistry(deps).Publish(t.Context(), image+":one", on(t, pythonBase(t, openStore(t)), l), progress.Discard)))
	d, err := partial.Descriptor(l)
	must(t, err)
	e := publish.Entry{Type: kind, About: []byte(`{"key":"` + tag + `"}`), Layers: []v1.Descriptor{{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}}}
	if sent, err := depot.Put(t.Context(), tag, e, []v1.Layer{l}, image); err != nil || sent > 1000 {
		t.Fatalf("it was not mounted: %d bytes, %v", sent, err)
	}
	w.take()
	got, ok, err := depot.Get(t.Context(), tag, kind)
	if !ok || err != nil || string(got.About) != string(e.About) || len(got.Layers) != 1 || got.Layers[0].Digest != d.Digest {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if calls := w.take(); len(calls) > 3 { // two are the login
		t.Errorf("to read an entry cost %q", calls)
	}

	// Nothing replaces it.
	if _, err := depot.Put(t.Context(), tag, publish.Entry{Type: kind, About: []byte(`{"key":"another"}`)}, nil, ""); err != nil {
		t.Error(err)
	}
	if got, _, _ := depot.Get(t.Context(), tag, kind); string(got.About) != string(e.About) {
		t.Errorf("now it says %s", got.About)
	}

	// A long one, about nothing but itself.
	long := publish.Entry{Type: "application/vnd.imgspecd.other.v1+json", About: []byte(`{"x":"` + strings.Repeat("y", 300_000) + `"}`)}
	must(t, second(depot.Put(t.Context(), "long", long, nil, "")))
	if got, ok, err := depot.Get(t.Context(), "long", long.Type); !ok || err != nil || string(got.About) != string(long.About) || len(got.Layers) != 0 {
		t.Errorf("%d layers, %v, %v", len(got.Layers), ok, err)
	}

	// An image under the tag is no entry.
	must(t, second(publish.NewRegistry(deps).Publish(t.Context(), cache+":image", on(t, pythonBase(t, openStore(t)), l), progress.Discard)))
	var senseless *publish.EntryError
	if _, _, err := depot.Get(t.Context(), "image", kind); !errors.As(err, &senseless) {
		t.Errorf("an image is read as %v", err)
	}

	rc, err := publish.NewPuller(deps).Open(t.Context(), cache, d.Digest)
	must(t, err)
	defer rc.Close()
	if n, err := io.Copy(io.Discard, rc); n != d.Size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_, err = publish.NewPuller(deps).Open(t.Context(), cache, v1.Hash{Algorithm: "sha256", Hex: tag})
	if !errors.Is(err, publish.ErrNoBlob) {
		t.Errorf("a blob that is not there: %v", err)
	}
	must(t, depot.Readable(t.Context()))
	must(t, depot.Writable(t.Context()))
	w.fault = func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/v2/imgspecd-test") {
			return answer(r, http.StatusForbidden, "{}"), nil
		}
		return nil, nil
	}
	if err := depot.Readable(t.Context()); !errors.Is(err, publish.ErrDenied) || !strings.Contains(err.Error(), "pull denied") {
		t.Errorf("denied: %v", err)
	}
}

// A thin layout leaves what lies in registries there, counts it for as long as that is remembered, and is whole otherwise.
func TestThinLayout(t *testing.T) {
	s := openStore(t)
	far, near := newLayer(t, "far", 4000), newLayer(t, "near", 3000)
	img := on(t, pythonBase(t, s), elsewhere(t, far, "r.example.com/cache"), near)
	whole, thin := publish.NewLayout(s, s), publish.NewThinLayout(s, s, s)
	const ref = "r.example.com/app:one"
	r, err := thin.Publish(t.Context(), ref, img, progress.Discard)
	must(t, err)
	if r.Digest != digestOf(t, img) || r.SentLayers != 1 {
		t.Errorf("%+v", r)
	}
	if _, ok := s.Has(digestOf(t, far)); ok {
		t.Error("the layer that lies elsewhere was brought here")
	}
	if r, err := whole.Check(t.Context(), ref); err != nil || r.Digest != "" {
		t.Errorf("a layout that is to be whole has it: %+v, %v", r, err)
	}
	// Known by its digest alone, as that of a nested base.
	bare := on(t, pythonBase(t, s), far)
	if r, err := thin.Publish(t.Context(), "r.example.com/app:two", bare, progress.Discard); err != nil || r.SentLayers != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	must(t, s.NotElsewhere("r.example.com/cache", digestOf(t, far)))
	if r, err := thin.Check(t.Context(), ref); err != nil || r.Digest != "" {
		t.Errorf("it lies nowhere, and is there: %+v, %v", r, err)
	}
	if r, err := whole.Publish(t.Context(), ref, img, progress.Discard); err != nil || r.SentLayers != 1 {
		t.Errorf("whole: %+v, %v", r, err)
	}
	for _, target := range []publish.Target{whole, thin} {
		if r, err := target.Check(t.Context(), ref); err != nil || r.Digest != digestOf(t, img) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
