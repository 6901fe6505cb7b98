package publish

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Together returns the content of a name that means all of these images: the one there is, or an index of them in their order.
//
// The index says of each image what BuildKit says, and nothing else: go-containerregistry's own would add an artifact type,
// which is for what is no image.
func Together(images []v1.Image) (Content, error) {
	if len(images) == 1 {
		return images[0], nil
	}
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	out := index{}
	for _, img := range images {
		p, err := PartsOf(img)
		if err != nil {
			return nil, fmt.Errorf("make an index: %w", err)
		}
		if p.Platform == nil {
			return nil, fmt.Errorf("make an index: image %s does not say which platform it is for", p.Digest)
		}
		d := p.Descriptor()
		d.Platform = p.Platform
		m.Manifests = append(m.Manifests, d)
		out.images = append(out.images, img)
	}
	var err error
	if out.raw, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("make an index: %w", err)
	}
	return out, nil
}

// index is a v1.ImageIndex of images that are at hand.
type index struct {
	raw    []byte
	images []v1.Image
}

func (i index) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }
func (i index) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i index) Size() (int64, error)                { return int64(len(i.raw)), nil }
func (i index) RawManifest() ([]byte, error)        { return bytes.Clone(i.raw), nil }

func (i index) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.raw))
}

func (i index) Image(h v1.Hash) (v1.Image, error) {
	for _, img := range i.images {
		got, err := img.Digest()
		if err != nil {
			return nil, err
		}
		if got == h {
			return img, nil
		}
	}
	return nil, fmt.Errorf("no image %s in this index", h)
}

func (i index) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return nil, fmt.Errorf("no index %s in this index", h)
}
