package base

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Documents are small; what is larger is not one.
const (
	maxManifest = 16 << 20
	maxConfig   = 16 << 20
	maxNesting  = 3 // an index in an index in a layout's index
)

// origin is a place that base images are read from. Both methods give what has the
// digest, or an error.
type origin interface {
	manifest(ctx context.Context, digest v1.Hash) ([]byte, error)
	blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	repository() *name.Repository // nil: not a registry
}

// document is what a manifest and an index have in common, to tell them apart: the
// media type may be absent in OCI.
type document struct {
	SchemaVersion int             `json:"schemaVersion"`
	Config        json.RawMessage `json:"config"`
	Manifests     []v1.Descriptor `json:"manifests"`
}

// open returns the image for a platform that a digest leads to.
func (r *Resolver) open(ctx context.Context, o origin, digest v1.Hash, want v1.Platform) (v1.Image, error) {
	for range maxNesting {
		raw, err := r.manifest(ctx, o, digest)
		if err != nil {
			return nil, err
		}
		var d document
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", digest, err)
		}
		switch {
		case d.Manifests != nil:
			if digest, err = choose(d.Manifests, want); err != nil {
				return nil, err
			}
		case d.SchemaVersion == 2 && d.Config != nil:
			return r.image(ctx, o, raw)
		default:
			return nil, fmt.Errorf("read manifest %s: neither an image nor an index (schema version %d)", digest, d.SchemaVersion)
		}
	}
	return nil, fmt.Errorf("read index: more than %d deep", maxNesting)
}

func (r *Resolver) manifest(ctx context.Context, o origin, digest v1.Hash) ([]byte, error) {
	if b, ok := blob.Read(r.deps.Blobs, digest.String(), maxManifest); ok {
		return b, nil
	}
	raw, err := o.manifest(ctx, digest)
	if err != nil || r.deps.Blobs == nil {
		return raw, err
	}
	return raw, blob.Put(r.deps.Blobs, raw)
}

// choose picks from an index. A descriptor without a platform is an index, or an
// image whose config says the platform, which image checks.
func choose(all []v1.Descriptor, want v1.Platform) (v1.Hash, error) {
	var have []string
	for _, d := range all {
		if d.Platform == nil && len(all) == 1 {
			return d.Digest, nil
		}
		if d.Platform == nil || d.Platform.OS == "unknown" { // an attestation
			continue
		}
		if serves(*d.Platform, want) {
			return d.Digest, nil
		}
		have = append(have, d.Platform.String())
	}
	return v1.Hash{}, because(ErrPlatform, "it is for %s, but %s is asked for", strings.Join(have, ", "), want)
}

func (r *Resolver) image(ctx context.Context, o origin, raw []byte) (v1.Image, error) {
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	config, err := r.config(ctx, o, m.Config)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	// A layer is read when a target wants it, which is after this call and its ctx.
	later := context.WithoutCancel(ctx)
	return blob.NewImage(blob.Image{
		Manifest: raw, Config: config, Store: r.deps.Blobs, Repository: o.repository(),
		Fetch: func(d v1.Descriptor) (io.ReadCloser, error) { return o.blob(later, d) },
	})
}

func (r *Resolver) config(ctx context.Context, o origin, d v1.Descriptor) ([]byte, error) {
	if b, ok := blob.Read(r.deps.Blobs, d.Digest.String(), maxConfig); ok {
		return b, nil
	}
	rc, err := o.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, maxConfig))
	if err != nil {
		return nil, err
	}
	if got := blob.Digest(b); got != d.Digest.String() {
		return nil, fmt.Errorf("digest is %s, expected %s", got, d.Digest)
	}
	if r.deps.Blobs == nil {
		return b, nil
	}
	return b, blob.Put(r.deps.Blobs, b)
}
