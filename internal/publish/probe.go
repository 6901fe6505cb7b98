package publish

import (
	"context"
	"errors"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Probe reports whether a registry would take a push of an image: an upload is begun and given up, and nothing is sent.
// The error is nil, or wraps ErrDenied or ErrUnreachable where it is one of these.
func Probe(ctx context.Context, d RegistryDeps, image string) error {
	r := &registry{deps: d, repos: map[string]*repo{}}
	ref, err := r.parse(image)
	if err != nil {
		return err
	}
	return r.repo(ref.Context()).probe(ctx)
}

// probe reports whether the repository would take a blob.
func (r *repo) probe(ctx context.Context) error {
	at, err := r.start(ctx, v1.Hash{Algorithm: "sha256", Hex: emptyHash})
	if err != nil || at == "" {
		return err
	}
	resp, err := r.do(ctx, request{method: http.MethodDelete, url: at, accept: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}})
	var refused *transport.Error
	switch {
	case err == nil:
		drain(resp)
	case errors.As(err, &refused), errors.Is(err, ErrDenied): // it lets the upload time out: that is its affair
		return nil
	}
	return err
}

// emptyHash is that of no bytes.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
