package base_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// cut is a body that ends with a broken connection.
type cut struct {
	io.ReadCloser
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func TestDownloadIsRepeated(t *testing.T) {
	ref, s := rig(t, "IMGSPECD_TEST_BASE_PYTHON"), openStore(t)
	var cuts atomic.Int32
	tr := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && resp.ContentLength > 1<<20 && cuts.Add(1) <= 2 {
			resp.Body = &cut{resp.Body, 1 << 20}
		}
		return resp, err
	})
	b, err := base.NewResolver(base.Deps{Transport: tr, Cache: s, Blobs: s}).Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
	must(t, err)
	checkPython311(t, b)
	if cuts.Load() != 4 {
		t.Errorf("%d downloads, want 2 cut and 2 whole", cuts.Load())
	}
}

func TestFromDockerWhenTheRegistryCannot(t *testing.T) {
	img := makeImage(t, v1.Config{}, makeLayer(t, "etc/passwd=x"))
	var asked string
	r := base.NewResolver(base.Deps{FromDocker: func(_ context.Context, ref, _ string) (v1.Image, error) { asked = ref; return img, nil }})
	var note string
	b, err := r.Resolve(t.Context(), "127.0.0.1:1/mine:dev", "linux/amd64", func(e progress.Event) {
		if e.Note != "" {
			note = e.Note
		}
	})
	must(t, err)
	if b.Info.From != "docker" || asked != "127.0.0.1:1/mine:dev" || !strings.Contains(note, "local Docker") || !strings.Contains(note, "cannot be reached") {
		t.Errorf("from %q, asked %q, note %q", b.Info.From, asked, note)
	}
}

func TestCanceled(t *testing.T) {
	ref, s := rig(t, "IMGSPECD_TEST_BASE_PYTHON"), openStore(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	superseded := errors.New("superseded")
	tr := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && resp.ContentLength > 1<<20 {
			resp.Body = &stuck{resp.Body, make(chan struct{}), cancel, superseded}
		}
		return resp, err
	})
	_, err := base.NewResolver(base.Deps{Transport: tr, Cache: s, Blobs: s}).Resolve(ctx, ref, "linux/amd64", progress.Discard)
	if !errors.Is(err, superseded) {
		t.Errorf("%v", err)
	}
}

// stuck is a body that says nothing until it is closed.
type stuck struct {
	io.ReadCloser
	closed chan struct{}
	cancel context.CancelCauseFunc
	cause  error
}

func (s *stuck) Read([]byte) (int, error) {
	s.cancel(s.cause)
	<-s.closed
	return 0, errors.New("closed")
}

func (s *stuck) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return s.ReadCloser.Close()
}
