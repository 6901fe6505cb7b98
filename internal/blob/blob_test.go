package blob_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/store"
)

func openStore(t *testing.T) (*store.Store, blob.Store) {
	t.Helper()
	s, err := store.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s, s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lazy is an image of one uncompressed layer, fetched by fetch.
func lazy(t *testing.T, s blob.Store, content string, fetch func() (io.ReadCloser, error)) (v1.Image, v1.Layer, string) {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer([]byte(content), types.OCIUncompressedLayer))
	must(t, err)
	manifest, err := img.RawManifest()
	must(t, err)
	config, err := img.RawConfigFile()
	must(t, err)
	img, err = blob.NewImage(blob.Image{Manifest: manifest, Config: config, Store: s,
		Fetch: func(v1.Descriptor) (io.ReadCloser, error) { return fetch() }})
	must(t, err)
	layers, err := img.Layers()
	must(t, err)
	return img, layers[0], blob.Digest([]byte(content))
}

func TestLayerIsFetchedOnce(t *testing.T) {
	_, s := openStore(t)
	fetched := 0
	_, l, digest := lazy(t, s, "content", func() (io.ReadCloser, error) {
		fetched++
		return io.NopCloser(strings.NewReader("content")), nil
	})
	rc, err := l.Compressed()
	must(t, err)
	io.CopyN(io.Discard, rc, 3)
	must(t, rc.Close())
	if _, ok := s.Has(digest); ok {
		t.Error("half a layer was kept")
	}
	for range 2 {
		rc, err := l.Compressed()
		must(t, err)
		b, err := io.ReadAll(rc)
		if string(b) != "content" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		must(t, rc.Close())
	}
	if fetched != 2 {
		t.Errorf("fetched %d times", fetched)
	}
}

func TestWrongBytesAreNotKept(t *testing.T) {
	_, s := openStore(t)
	_, l, digest := lazy(t, s, "content", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("konzept")), nil })
	rc, err := l.Compressed()
	must(t, err)
	defer rc.Close()
	if _, err := io.ReadAll(rc); err == nil || !strings.Contains(err.Error(), "expected "+digest) {
		t.Errorf("%v", err)
	}
	if _, ok := s.Has(digest); ok {
		t.Error("wrong bytes were kept")
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	_, s := openStore(t)
	r, _ := io.Pipe() // says nothing
	_, l, _ := lazy(t, s, "content", func() (io.ReadCloser, error) { return r, nil })
	ctx, cancel := context.WithCancelCause(t.Context())
	rc, err := blob.Open(ctx, l, nil)
	must(t, err)
	defer rc.Close()
	cause := errors.New("superseded")
	go cancel(cause)
	if _, err := rc.Read(make([]byte, 1)); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

func TestReadChecks(t *testing.T) {
	st, s := openStore(t)
	must(t, blob.Put(s, []byte("x")))
	must(t, blob.Put(s, []byte("x")))
	digest := blob.Digest([]byte("x"))
	if b, ok := blob.Read(s, digest, 10); !ok || string(b) != "x" {
		t.Errorf("%q, %v", b, ok)
	}
	if _, ok := blob.Read(s, digest, 0); ok {
		t.Error("more than the limit was read")
	}
	if _, ok := blob.Read(nil, digest, 10); ok {
		t.Error("nothing has a blob")
	}
	if _, ok := st.Has(digest); !ok {
		t.Error("not in the store")
	}
}

func TestDecompress(t *testing.T) {
	var members, zst bytes.Buffer
	for _, s := range []string{"con", "", "tent"} {
		w := gzip.NewWriter(&members)
		io.WriteString(w, s)
		w.Close()
	}
	w, err := zstd.NewWriter(&zst)
	must(t, err)
	io.WriteString(w, "content")
	w.Close()
	for name, b := range map[string][]byte{"gzip members": members.Bytes(), "zstd": zst.Bytes(), "plain": []byte("content")} {
		r, err := blob.Decompress(bytes.NewReader(b))
		must(t, err)
		got, err := io.ReadAll(r)
		if string(got) != "content" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		must(t, r.Close())
	}
	if r, err := blob.Decompress(strings.NewReader("")); err != nil {
		t.Errorf("empty: %v, %v", r, err)
	}
}
