package base

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/flight"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// Cache keeps what was found in a base, by its digest. What it holds is for this
// package alone to read, in this Format; it may forget at any time.
type Cache interface {
	Base(digest string) ([]byte, bool)
	PutBase(digest string, b []byte) error
}

// Deps is what a Resolver works with. Only Transport is needed.
type Deps struct {
	Transport  http.RoundTripper
	Keychain   authn.Keychain                                                    // nil: anonymous
	Insecure   func(registry string) bool                                        // registries spoken to without TLS, besides the local ones; nil: none
	FromDocker func(ctx context.Context, ref, platform string) (v1.Image, error) // nil: no engine
	Cache      Cache                                                             // nil: every Resolve inspects
	// Elsewhere opens a blob that a layout names and does not hold; nil: that is an error.
	Elsewhere func(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	Blobs     blob.Store // nil: blobs are read where they are, each time
}

// Resolver finds base images. Safe for concurrent use.
type Resolver struct {
	deps Deps

	mu     sync.Mutex
	puller *remote.Puller // keeps tokens and connections; replaced when credentials are refused

	inspecting flight.Locks // one inspection per digest at a time
}

// NewResolver returns a Resolver.
func NewResolver(d Deps) *Resolver { return &Resolver{deps: d} }

// Resolve finds the image that ref means now, for a platform such as "linux/amd64",
// and says what is in it. What it returns is pinned: it stays the same image when
// ref moves on.
//
// ref is "oci:PATH[:NAME]", an OCI layout on disk and the name of an image in it,
// which may be left out when there is but one; or a reference to a registry's
// image. The local Docker is asked when the registry does not give it.
func (r *Resolver) Resolve(ctx context.Context, ref, platform string, report progress.Func) (*Base, error) {
	b, err := r.resolve(ctx, ref, platform, report)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("resolve base %s: %w", ref, err)
	}
	return b, nil
}

func (r *Resolver) resolve(ctx context.Context, ref, platform string, report progress.Func) (*Base, error) {
	asked, err := Platforms(platform)
	if err != nil {
		return nil, err
	}
	if len(asked) > 1 {
		return nil, because(ErrPlatform, "%d platforms are asked for, and an image is for one", len(asked))
	}
	want, err := parsePlatform(asked[0])
	if err != nil {
		return nil, err
	}
	img, from, err := r.find(ctx, ref, want, report)
	if err != nil {
		return nil, err
	}
	info, err := r.info(ctx, img, want, report)
	if err != nil {
		return nil, err
	}
	info.Ref, info.From = ref, from
	return &Base{Image: img, Info: *info}, nil
}

// Inspect says what is in an image that need not have a name.
func (r *Resolver) Inspect(ctx context.Context, img v1.Image, platform string, report progress.Func) (*Base, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	info, err := r.info(ctx, img, want, report)
	if err != nil {
		return nil, err
	}
	return &Base{Image: img, Info: *info}, nil
}

func (r *Resolver) find(ctx context.Context, ref string, want v1.Platform, report progress.Func) (v1.Image, string, error) {
	if path, ok := strings.CutPrefix(ref, "oci:"); ok {
		img, err := r.fromLayout(ctx, path, want)
		return img, "layout", err
	}
	parsed, err := r.parse(ref)
	if err != nil {
		return nil, "", err
	}
	img, err := r.fromRegistry(ctx, parsed, want)
	if err == nil {
		return img, "registry", nil
	}
	elsewhere := errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) || errors.Is(err, ErrUnreachable)
	if ctx.Err() != nil || r.deps.FromDocker == nil || !elsewhere {
		return nil, "", err
	}
	img, derr := r.deps.FromDocker(ctx, ref, platformString(want))
	if derr != nil {
		return nil, "", fmt.Errorf("%w; nor from Docker: %w", err, derr)
	}
	report(progress.Event{Step: progress.Base, Note: fmt.Sprintf("base %s is taken from the local Docker: %v", ref, err)})
	return img, "docker", nil
}

func (r *Resolver) parse(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("not an image reference: %w", err)
	}
	if r.deps.Insecure != nil && r.deps.Insecure(parsed.Context().RegistryStr()) {
		return name.ParseReference(ref, name.Insecure)
	}
	return parsed, nil
}
