package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/imgspecd/imgspecd/internal/publish"
)

// goneError is a containerd that does not answer, or stopped in the middle.
type goneError struct {
	address string
	err     error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("containerd does not answer at %s: %v", e.address, e.err)
}
func (e *goneError) Unwrap() []error { return []error{publish.ErrUnreachable, e.err} }

// deniedError is a socket that this user may not use.
type deniedError struct {
	address string
	err     error
}

func (e *deniedError) Error() string {
	return fmt.Sprintf("this user may not use %s: containerd's socket is root's unless its configuration says otherwise ([grpc] uid and gid)", e.address)
}
func (e *deniedError) Unwrap() []error { return []error{publish.ErrDenied, e.err} }

// reach says whether anybody answers at the address, and if not why: gRPC would say less, and later.
func (c *Containerd) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.deps.Address)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &deniedError{c.deps.Address, err}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the address, which is said before
	}
	return &goneError{c.deps.Address, err}
}

// explain gives a failed call its reason; doing is what was asked.
func (c *Containerd) explain(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errdefs.IsUnavailable(err):
		return &goneError{c.deps.Address, err}
	case c.deps.Snapshotter != "" && doing == "unpack":
		return fmt.Errorf("unpack with snapshotter %q, which containerd.snapshotter names: %w", c.deps.Snapshotter, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
