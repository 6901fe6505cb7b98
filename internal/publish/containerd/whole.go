package containerd

import (
	"context"
	"encoding/json"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxManifest = 16 << 20

// whole reports whether all that a manifest or index leads to is there, and unpacked as Publish does it.
func whole(ctx context.Context, api *client.Client, target ocispec.Descriptor, snapshotter string) (bool, error) {
	var all []ocispec.Platform
	ok, err := holdsAll(ctx, api.ContentStore(), target, &all)
	if !ok || err != nil {
		return false, err
	}
	img := client.NewImageWithPlatform(api, images.Image{Target: target}, choose(all))
	return img.IsUnpacked(ctx, snapshotter)
}

// holdsAll collects the platforms of the images it meets.
func holdsAll(ctx context.Context, cs content.Store, d ocispec.Descriptor, all *[]ocispec.Platform) (bool, error) {
	raw, ok, err := read(ctx, cs, d)
	if !ok || err != nil {
		return false, err
	}
	var m struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
		Config    ocispec.Descriptor   `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return false, nil //nolint:nilerr // nothing of ours
	}
	if len(m.Manifests) > 0 {
		for _, one := range m.Manifests {
			if ok, err := holdsAll(ctx, cs, one, all); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	config, ok, err := read(ctx, cs, m.Config)
	if !ok || err != nil {
		return false, err
	}
	var p ocispec.Platform
	if json.Unmarshal(config, &p) != nil {
		return false, nil //nolint:nilerr // likewise
	}
	*all = append(*all, p)
	for _, l := range m.Layers {
		info, err := cs.Info(ctx, l.Digest)
		if errdefs.IsNotFound(err) || (err == nil && info.Size != l.Size) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// read returns a small blob; false when it is not there.
func read(ctx context.Context, cs content.Store, d ocispec.Descriptor) ([]byte, bool, error) {
	if d.Size > maxManifest {
		return nil, false, nil
	}
	b, err := content.ReadBlob(ctx, cs, d)
	if errdefs.IsNotFound(err) {
		return nil, false, nil
	}
	return b, err == nil, err
}
