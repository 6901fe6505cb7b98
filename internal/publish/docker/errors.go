package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/publish"
)

// goneError is an engine that does not answer, or stopped in the middle.
type goneError struct {
	host string
	err  error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("Docker does not answer at %s: %v", e.host, e.err)
}
func (e *goneError) Unwrap() []error { return []error{publish.ErrUnreachable, e.err} }

// explain gives a failed call its reason; doing is what was asked of the engine.
func (d *Docker) explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("this user may not use %s: %w", d.deps.Host, err)
	}
	var network net.Error
	if client.IsErrConnectionFailed(err) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		var call *url.Error
		if errors.As(err, &call) { // without the URL, in which a socket's path is hardly to be read
			err = call.Err
		}
		return &goneError{d.deps.Host, err}
	}
	return fmt.Errorf("%s: %w", doing, shorter(err))
}

// shorter drops what the API says before every message.
func shorter(err error) error {
	if s, ok := strings.CutPrefix(err.Error(), "Error response from daemon: "); ok {
		return &said{s, err}
	}
	return err
}

type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.err }
