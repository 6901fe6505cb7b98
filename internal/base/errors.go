package base

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What Resolve's errors are, for errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrDenied      = errors.New("access denied")
	ErrUnreachable = errors.New("unreachable")
	ErrPlatform    = errors.New("wrong platform")
	ErrUnusable    = errors.New("unusable base") // its Python is none that packages can be chosen for
)

// reason is an error in words of its own, which errors.Is knows by kind.
type reason struct {
	kind error
	text string
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.kind }

func because(kind error, format string, args ...any) error {
	return &reason{kind, fmt.Sprintf(format, args...)}
}

// explain says in plain words what a registry's refusal means.
func explain(ref name.Reference, err error) error {
	registry := ref.Context().RegistryStr()
	var refused *transport.Error
	if !errors.As(err, &refused) {
		var call *url.Error
		if errors.Is(err, context.Canceled) || !errors.As(err, &call) && !errors.Is(err, context.DeadlineExceeded) &&
			!errors.Is(err, io.ErrUnexpectedEOF) {
			return err // ours: the disk, the credentials
		}
		return because(ErrUnreachable, "registry %s cannot be reached: %v", registry, err)
	}
	switch refused.StatusCode {
	case http.StatusNotFound:
		return because(ErrNotFound, "registry %s has no %s", registry, shown(ref))
	case http.StatusUnauthorized, http.StatusForbidden:
		// Docker Hub answers 401 for what does not exist, so as not to tell what is private.
		return because(ErrDenied, "registry %s denies access to %s, or has no such image; if it is private: docker login %s",
			registry, shown(ref), loginName(registry))
	case http.StatusTooManyRequests:
		return because(ErrUnreachable, "registry %s has had too many requests from here; docker login %s raises the limit",
			registry, loginName(registry))
	}
	return because(ErrUnreachable, "registry %s: %v", registry, refused)
}

func shown(ref name.Reference) string {
	sep := ":"
	if _, ok := ref.(name.Digest); ok {
		sep = "@"
	}
	return ref.Context().RepositoryStr() + sep + ref.Identifier()
}

// loginName is what people call a registry in `docker login`.
func loginName(registry string) string {
	if registry == name.DefaultRegistry {
		return "docker.io"
	}
	return registry
}
