package base

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

const refName = "org.opencontainers.image.ref.name"

// fromLayout reads an OCI layout on disk.
func (r *Resolver) fromLayout(ctx context.Context, ref string, want v1.Platform) (v1.Image, error) {
	dir, image, err := splitLayout(ref)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("read layout: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("read layout %s: index.json: %w", dir, err)
	}
	digest, err := named(index.Manifests, dir, image)
	if err != nil {
		return nil, err
	}
	return r.open(ctx, &layout{dir, r.deps.Elsewhere}, digest, want)
}

// splitLayout takes the longest path that is a layout; paths and names may both hold colons.
func splitLayout(ref string) (dir, image string, err error) {
	if !filepath.IsAbs(ref) {
		return "", "", errors.New("an oci: reference needs an absolute path")
	}
	for dir = ref; ; {
		if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
			return dir, strings.TrimLeft(ref[len(dir):], ":@"), nil
		}
		i := strings.LastIndexAny(dir, ":@")
		if i < 0 {
			return "", "", because(ErrNotFound, "no OCI layout (a directory with index.json) there")
		}
		dir = dir[:i]
	}
}

// named finds an image by the name the layout gives it, or by digest.
func named(all []v1.Descriptor, dir, image string) (v1.Hash, error) {
	var names []string
	for _, d := range all {
		n := d.Annotations[refName]
		if image == "" && len(all) == 1 || image != "" && (n == image || d.Digest.String() == image) {
			return d.Digest, nil
		}
		if n != "" {
			names = append(names, n)
		}
	}
	if image == "" {
		return v1.Hash{}, because(ErrNotFound, "layout %s holds %d images, and none is named; it has %s",
			dir, len(all), strings.Join(names, ", "))
	}
	return v1.Hash{}, because(ErrNotFound, "layout %s has no image %s; it has %s", dir, image, strings.Join(names, ", "))
}

type layout struct {
	dir       string
	elsewhere func(context.Context, v1.Descriptor) (io.ReadCloser, error)
}

func (l *layout) repository() *name.Repository { return nil }

func (l *layout) path(h v1.Hash) string { return filepath.Join(l.dir, "blobs", h.Algorithm, h.Hex) }

func (l *layout) manifest(_ context.Context, digest v1.Hash) ([]byte, error) {
	f, err := os.Open(l.path(digest))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if got := blob.Digest(b); got != digest.String() {
		return nil, fmt.Errorf("read manifest: %s holds what has the digest %s", f.Name(), got)
	}
	return b, nil
}

// blob opens a blob. Our own layout may know of one only where it lies.
func (l *layout) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(l.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) && l.elsewhere != nil {
		return l.elsewhere(ctx, d)
	}
	return f, err
}
