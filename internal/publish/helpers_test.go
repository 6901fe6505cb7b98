package publish_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
)

func rig(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Skipf("%s is not set", name)
	}
	return v
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func unique() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// newRepo is a repository of a test's own, whose images are deleted at the end.
func newRepo(t testing.TB, host string) string {
	repo := "imgspecd-test-" + unique() + "/app"
	t.Cleanup(func() {
		call := func(method, path string) *http.Response {
			req, _ := http.NewRequest(method, "http://"+host+"/v2/"+repo+path, nil)
			req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return &http.Response{Body: http.NoBody}
			}
			return resp
		}
		resp := call(http.MethodGet, "/tags/list")
		defer resp.Body.Close()
		var list struct{ Tags []string }
		json.NewDecoder(resp.Body).Decode(&list)
		for _, tag := range list.Tags {
			head := call(http.MethodHead, "/manifests/"+tag)
			head.Body.Close()
			call(http.MethodDelete, "/manifests/"+head.Header.Get("Docker-Content-Digest")).Body.Close()
		}
	})
	return repo
}

// newLayer makes a layer with one file of incompressible bytes.
func newLayer(t testing.TB, name string, size int) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	tw := tar.NewWriter(zw)
	seed := [32]byte{}
	rand.Read(seed[:])
	must(t, tw.WriteHeader(&tar.Header{Name: "opt/", Typeflag: tar.TypeDir, Mode: 0o755}))
	must(t, tw.WriteHeader(&tar.Header{Name: "opt/" + name, Size: int64(size), Mode: 0o644, ModTime: time.Unix(0, 0)}))
	_, err := io.CopyN(tw, mrand.NewChaCha8(seed), int64(size))
	must(t, err)
	must(t, tw.Close())
	must(t, zw.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pythonBase resolves the rig's base with its blobs kept in s.
func pythonBase(t testing.TB, s *store.Store) v1.Image {
	t.Helper()
	r := base.NewResolver(base.Deps{Blobs: s})
	b, err := r.Resolve(t.Context(), rig(t, "IMGSPECD_TEST_BASE_PYTHON"), "linux/amd64", progress.Discard)
	must(t, err)
	return b.Image
}

func on(t testing.TB, img v1.Image, layers ...v1.Layer) v1.Image {
	t.Helper()
	img = mutate.MediaType(img, types.OCIManifestSchema1)
	img, err := mutate.AppendLayers(img, layers...)
	must(t, err)
	return img
}

func digestOf(t testing.TB, img interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := img.Digest()
	must(t, err)
	return h.String()
}

// small is an image of its own with one layer, for tests that need no base.
func small(t testing.TB) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	must(t, err)
	return on(t, img, newLayer(t, "x", 1000))
}
