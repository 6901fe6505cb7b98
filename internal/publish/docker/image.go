package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// ErrNoImage is for a name that the engine does not know.
var ErrNoImage = errors.New("no such image")

// Image returns an image that the engine has, with all its blobs kept in Blobs. It
// costs a `docker save` when they are not kept yet.
//
// A containerd store gives the very manifest and blobs. A graph driver has layers only
// as tars, and they are kept so: uncompressed, with the media type that says so. Then
// a layer's digest is its diff ID, which no other version of a compressor changes, the
// manifest follows from what the engine says without reading a layer again, and all
// engines and registries take it (a push of such a base sends more bytes, once).
//
// Of an index it is the image for the platform, if that is there, else any.
func (d *Docker) Image(ctx context.Context, ref, platform string) (v1.Image, error) {
	img, err := d.image(ctx, ref, platform)
	if err != nil {
		return nil, fmt.Errorf("read %s from Docker: %w", ref, err)
	}
	return img, nil
}

func (d *Docker) image(ctx context.Context, ref, platform string) (v1.Image, error) {
	if d.deps.Blobs == nil {
		return nil, errors.New("there is no place to keep it in")
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("not an image reference: %w", err)
	}
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	name := reference.TagNameOnly(named).String()
	i, err := c.inspect(ctx, name)
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, ErrNoImage
	}
	if img, sure, err := c.kept(i, platform); err == nil && sure {
		return img, nil
	}
	if err := c.save(ctx, name); err != nil {
		return nil, err
	}
	img, _, err := c.kept(i, platform)
	if err != nil {
		return nil, fmt.Errorf("the engine gave less than the image has: %w; docker pull %s mends it", err, reference.FamiliarString(named))
	}
	return img, nil
}

// kept makes the image from Blobs alone; an error if a blob is missing. It is sure of one for the platform, or where the
// engine has no more than Blobs.
func (c *conn) kept(i *image, platform string) (first v1.Image, sure bool, err error) {
	manifests, err := c.manifestsOf(i)
	if err != nil {
		return nil, false, err
	}
	for _, manifest := range manifests {
		img, err := c.whole(manifest)
		if err != nil {
			return nil, false, err
		}
		cfg, err := img.ConfigFile()
		if err != nil {
			return nil, false, fmt.Errorf("read config: %w", err)
		}
		if have := cfg.Platform().String(); have == platform || strings.HasPrefix(have, platform+"/") {
			return img, true, nil
		}
		if first == nil {
			first = img
		}
	}
	return first, !i.stored || len(manifests) >= len(i.manifests), nil
}

func (c *conn) whole(manifest []byte) (v1.Image, error) {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	config, ok := blob.Read(c.deps.Blobs, m.Config.Digest.String(), maxManifest)
	if !ok {
		return nil, fmt.Errorf("config %s is missing", m.Config.Digest)
	}
	for _, l := range m.Layers {
		if size, ok := c.deps.Blobs.Has(l.Digest.String()); !ok || size != l.Size {
			return nil, fmt.Errorf("layer %s is missing", l.Digest)
		}
	}
	return blob.NewImage(blob.Image{Manifest: manifest, Config: config, Store: c.deps.Blobs})
}

// manifestsOf are the manifests as kept, or the one made for an image that a graph driver holds; not empty.
func (c *conn) manifestsOf(i *image) ([][]byte, error) {
	candidates := []string{i.id}
	for _, h := range i.manifests {
		if h.String() != i.id {
			candidates = append(candidates, h.String())
		}
	}
	var found [][]byte
	for _, digest := range candidates {
		b, ok := blob.Read(c.deps.Blobs, digest, maxManifest)
		var m v1.Manifest
		if ok && json.Unmarshal(b, &m) == nil && m.Config.Digest.Hex != "" {
			found = append(found, b)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case i.stored: // a containerd store: the manifest is what the digest says, none can be made
		return nil, fmt.Errorf("manifest %s is missing", i.id)
	}
	m, err := c.makeManifest(i)
	return [][]byte{m}, err
}

func (c *conn) makeManifest(i *image) ([]byte, error) {
	id, err := v1.NewHash(i.id)
	if err != nil {
		return nil, err
	}
	size, ok := c.deps.Blobs.Has(i.id)
	if !ok {
		return nil, fmt.Errorf("config %s is missing", id)
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: id, Size: size},
	}
	for _, h := range i.diffIDs {
		size, ok := c.deps.Blobs.Has(h.String())
		if !ok {
			return nil, fmt.Errorf("layer %s is missing", h)
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: h, Size: size})
	}
	return json.Marshal(m)
}

// save reads what `docker save` gives into Blobs.
func (c *conn) save(ctx context.Context, name string) error {
	rc, err := c.api.ImageSave(ctx, []string{name})
	if err != nil {
		return c.explain(ctx, "save", err)
	}
	defer rc.Close()
	if err := keepSaved(c.deps.Blobs, rc); err != nil {
		return c.explain(ctx, "save", err)
	}
	return nil
}
