package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// sourceError is a blob of ours that cannot be read; the engine is not to blame.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// archive writes what `docker load` reads: some of an image's blobs, and all of its
// description, twice. Engines with a graph driver read manifest.json, those with a
// containerd store index.json (OCI image-layout); each ignores the other, and lets
// blobs be absent that it has (moby PR 18727; containerd PR 9554).
func (l *load) archive(ctx context.Context, w io.Writer, send []publish.Part) error {
	tw := tar.NewWriter(w)
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	index, legacy, err := l.descriptions()
	if err != nil {
		return &sourceError{err}
	}
	type file struct {
		name string
		b    []byte
	}
	files := []file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index}}
	if legacy != nil {
		files = append(files, file{"manifest.json", legacy})
	}
	for _, p := range append(l.parts.Images, l.parts) {
		files = append(files, file{path(p.Digest), p.Manifest})
	}
	for _, f := range files {
		if err := header(tw, f.name, int64(len(f.b))); err != nil {
			return err
		}
		if _, err := tw.Write(f.b); err != nil {
			return err
		}
	}
	for _, b := range send {
		if err := l.add(ctx, tw, b); err != nil {
			return err
		}
	}
	return tw.Close()
}

// descriptions are index.json and manifest.json; the latter cannot say what an index is.
func (l *load) descriptions() (index, legacy []byte, err error) {
	d := l.parts.Descriptor()
	d.Annotations = map[string]string{
		"io.containerd.image.name":          l.ref.String(), // containerd and Docker 29: the whole name
		"org.opencontainers.image.ref.name": l.ref.Tag(),
	}
	index, err = json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{d}})
	if err != nil {
		return nil, nil, err
	}
	if l.parts.Parsed == nil {
		return index, nil, nil
	}
	m := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: path(l.parts.Parsed.Config.Digest), RepoTags: []string{reference.FamiliarString(l.ref)}}
	for _, b := range l.parts.Parsed.Layers {
		m.Layers = append(m.Layers, path(b.Digest))
	}
	legacy, err = json.Marshal([]any{m})
	return index, legacy, err
}

func (l *load) add(ctx context.Context, tw *tar.Writer, b publish.Part) error {
	rc, err := blob.Open(ctx, b, nil)
	if err != nil {
		return &sourceError{fmt.Errorf("%s: %w", b, err)}
	}
	defer rc.Close()
	if err := header(tw, path(b.Digest), b.Size); err != nil {
		return err
	}
	src := &blob.Source{R: rc}
	n, err := io.Copy(&counted{tw, l.sent}, src)
	switch {
	case src.Err != nil:
		return &sourceError{fmt.Errorf("%s: %w", b, src.Err)}
	case err != nil:
		return err
	case n != b.Size:
		return &sourceError{fmt.Errorf("%s has %d bytes, not %d", b, n, b.Size)}
	}
	l.sent.Part(b)
	return nil
}

type counted struct {
	w    io.Writer
	sent *publish.Tally
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sent.Bytes(int64(n))
	return n, err
}

func header(tw *tar.Writer, name string, size int64) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
}

func path(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
