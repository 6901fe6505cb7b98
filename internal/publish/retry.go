package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	attempts   = 5
	firstPause = 200 * time.Millisecond // doubles: 0.2, 0.4, 0.8, 1.6 s, give or take half
)

// retry repeats what may succeed the next time.
func retry(ctx context.Context, try func() error) error {
	for n, pause := 1, firstPause; ; n, pause = n+1, 2*pause {
		err := try()
		if err == nil || n == attempts || ctx.Err() != nil || !temporary(err) {
			return err
		}
		wait := pause/2 + rand.N(pause)
		var busy *busyError
		if errors.As(err, &busy) {
			wait = max(wait, busy.after)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// maxAfter bounds what a registry may ask us to wait.
const maxAfter = 30 * time.Second

// busyError is a refusal that says when to come back.
type busyError struct {
	error
	after time.Duration
}

func (e *busyError) Unwrap() error { return e.error }

func busy(resp *http.Response, err error) error {
	seconds, perr := strconv.Atoi(resp.Header.Get("Retry-After"))
	if perr != nil || seconds < 0 { // absent, or a date
		return err
	}
	return &busyError{err, min(time.Duration(seconds)*time.Second, maxAfter)}
}

// readError remembers why a request's body could not be read: the HTTP client reports
// that like a failure of the network.
type readError struct {
	mu  sync.Mutex
	err error
}

func (e *readError) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *readError) get() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *readError) watch(rc io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		e.set(err)
		return nil, err
	}
	return &watched{ReadCloser: rc, to: e}, nil
}

type watched struct {
	io.ReadCloser
	to     *readError
	closed atomic.Bool // by the HTTP client, which may still be reading
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return w.ReadCloser.Close()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !w.closed.Load() {
		w.to.set(err)
	}
	return n, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// temporary says whether a failure may pass by itself: the network's, the server's
// own, and too many requests.
func temporary(err error) bool {
	var refused *transport.Error
	if errors.As(err, &refused) {
		return refused.StatusCode >= 500 || refused.StatusCode == http.StatusTooManyRequests ||
			refused.StatusCode == http.StatusRequestTimeout
	}
	var gone *unreachableError
	return errors.As(err, &gone)
}

// deniedError says what to do about credentials.
type deniedError struct {
	repo  name.Repository
	scope string
	err   error
}

func (e *deniedError) Error() string {
	registry := e.repo.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	what := "push"
	if e.scope == transport.PullScope {
		what = "pull"
	}
	return fmt.Sprintf("%s denied by %s for %s: docker login %s", what, registry, e.repo.RepositoryStr(), registry)
}
func (e *deniedError) Unwrap() []error { return []error{ErrDenied, e.err} }

// unreachableError is a failure below HTTP.
type unreachableError struct {
	registry string
	err      error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("registry %s cannot be reached: %v", e.registry, e.err)
}
func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// unknownBlobError is a manifest refused because the registry lacks what it names.
type unknownBlobError struct{ err *transport.Error }

func (e *unknownBlobError) Error() string { return e.err.Error() }
func (e *unknownBlobError) Unwrap() error { return e.err }

func isUnknownBlob(err error) bool {
	var unknown *unknownBlobError
	return errors.As(err, &unknown)
}

// explain gives a failure its kind.
func (r *repo) explain(err error) error {
	var refused *transport.Error
	switch {
	case !errors.As(err, &refused):
		var call *url.Error
		if errors.Is(err, context.Canceled) || !errors.As(err, &call) {
			return err // ours: the credentials
		}
		return &unreachableError{r.name.RegistryStr(), err}
	case refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden:
		return &deniedError{r.name, r.scope, refused}
	}
	for _, d := range refused.Errors {
		if d.Code == transport.ManifestBlobUnknownErrorCode || d.Code == transport.BlobUnknownErrorCode {
			return &unknownBlobError{refused}
		}
	}
	return refused
}
