package publish

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Description is what a registry has under a name.
type Description struct {
	MediaType string
	Digest    string // empty: the registry has no such image
	Size      int64  // of the manifest
	Platforms []v1.Platform
}

// Describe asks a registry what it has under an image's name, with the right to read alone. An error
// is the registry's, or wraps ErrDenied or ErrUnreachable where it is one of these.
func Describe(ctx context.Context, d RegistryDeps, image string) (Description, error) {
	r := &registry{deps: d}
	ref, err := r.parse(image)
	if err != nil {
		return Description{}, err
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("imgspecd")}
	if d.Transport != nil {
		opts = append(opts, remote.WithTransport(d.Transport))
	}
	if d.Keychain != nil {
		opts = append(opts, remote.WithAuthFromKeychain(d.Keychain))
	}
	found, err := remote.Get(ref, opts...)
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return Description{}, nil
	}
	var out Description
	if err == nil {
		out, err = describe(found)
	}
	switch errors.As(err, &refused); {
	case err == nil:
		return out, nil
	case refused != nil && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return Description{}, fmt.Errorf("%s may not be read: docker login %s: %w", image, ref.Context().RegistryStr(), errors.Join(ErrDenied, refused))
	}
	to := repo{name: ref.Context()}
	return Description{}, to.explain(err)
}

func describe(found *remote.Descriptor) (Description, error) {
	out := Description{MediaType: string(found.MediaType), Digest: found.Digest.String(), Size: found.Size}
	switch {
	case found.MediaType.IsIndex():
		index, err := found.ImageIndex()
		if err != nil {
			return out, err
		}
		m, err := index.IndexManifest()
		if err != nil {
			return out, err
		}
		for _, d := range m.Manifests {
			if d.Platform != nil && d.Platform.OS != "unknown" { // attestations call theirs so
				out.Platforms = append(out.Platforms, *d.Platform)
			}
		}
	case found.MediaType.IsImage():
		img, err := found.Image()
		if err != nil {
			return out, err
		}
		c, err := img.ConfigFile()
		if err != nil {
			return out, err
		}
		out.Platforms = []v1.Platform{{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}
	}
	return out, nil
}
