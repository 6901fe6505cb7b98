package base

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// lookupTimeout bounds finding out what a reference means, so that a registry that
// swallows packets does not hide the copy that Docker has.
const lookupTimeout = 20 * time.Second

// fromRegistry pins ref. When its manifests are kept already it costs one HEAD.
func (r *Resolver) fromRegistry(ctx context.Context, ref name.Reference, want v1.Platform) (v1.Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookupTimeout, errors.New("no answer in time"))
	defer cancel()
	puller, err := r.pull()
	if err != nil {
		return nil, err
	}
	digest, err := pin(ctx, puller, ref)
	if err == nil {
		var img v1.Image
		img, err = r.open(ctx, &registry{puller, ref.Context()}, digest, want)
		if err == nil || errors.Is(err, ErrPlatform) {
			return img, err
		}
	}
	err = explain(ref, err)
	if errors.Is(err, ErrDenied) {
		r.forget(puller) // so that a later login is seen
	}
	return nil, err
}

// pin asks for the digest only; a registry that cannot say it (HEAD is younger than
// GET in some) gives the manifest. Docker Hub does not count HEAD as a pull.
func pin(ctx context.Context, p *remote.Puller, ref name.Reference) (v1.Hash, error) {
	if d, ok := ref.(name.Digest); ok {
		return v1.NewHash(d.DigestStr())
	}
	if d, err := p.Head(ctx, ref); err == nil {
		return d.Digest, nil
	}
	d, err := p.Get(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return d.Digest, nil
}

func (r *Resolver) pull() (*remote.Puller, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.puller != nil {
		return r.puller, nil
	}
	opts := []remote.Option{remote.WithUserAgent("imgspecd")}
	if r.deps.Transport != nil {
		opts = append(opts, remote.WithTransport(r.deps.Transport))
	}
	if r.deps.Keychain != nil {
		opts = append(opts, remote.WithAuthFromKeychain(r.deps.Keychain))
	}
	p, err := remote.NewPuller(opts...)
	r.puller = p
	return p, err
}

func (r *Resolver) forget(p *remote.Puller) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.puller == p {
		r.puller = nil
	}
}

type registry struct {
	puller *remote.Puller
	repo   name.Repository
}

func (o *registry) repository() *name.Repository { return &o.repo }

func (o *registry) manifest(ctx context.Context, digest v1.Hash) ([]byte, error) {
	d, err := o.puller.Get(ctx, o.repo.Digest(digest.String()))
	if err != nil {
		return nil, err
	}
	return d.Manifest, nil
}

// blob opens a blob; its digest is checked as it is read.
func (o *registry) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := o.puller.Layer(ctx, o.repo.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}
