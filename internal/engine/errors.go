package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/builder"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// toError makes any error one that people and clients can decide by: each room's
// errors have types of their own, and only here do they become codes and hints.
func toError(err error) *api.Error {
	var a *api.Error
	if errors.As(err, &a) {
		out := *a
		out.Message = strings.Replace(err.Error(), a.Error(), a.Message, 1)
		return &out
	}
	out := &api.Error{Code: api.CodeInternal, Message: err.Error()}
	for _, kind := range []func(error, *api.Error) bool{ofSpec, ofLock, ofResolution, ofPlan, ofStep, ofFile, ofPlace} {
		if kind(err, out) {
			break
		}
	}
	return out
}

func ofSpec(err error, out *api.Error) bool {
	var un *imagespec.Unsupported
	var unp *imagespec.Unpredictable
	var py *imagespec.PythonError
	switch {
	case errors.As(err, &un):
		out.Code = api.CodeUnsupported
	case errors.As(err, &unp):
		out.Code, out.Hint = api.CodeInvalid, unp.Hint+"; or let a run report its name (PUT /v1/specs), which then holds until a file changes"
	case errors.As(err, &py) && errors.Is(err, fs.ErrNotExist):
		out.Code, out.Message = api.CodeInvalid, fmt.Sprintf("%s: there is no file %s", py.Field, py.Path)
		out.Hint = "paths in an ImageSpec start at the directory in which the run is started"
	case errors.As(err, &py):
		out.Code, out.Message = api.CodeInvalid, fmt.Sprintf("flytekit refuses this spec: %s: %s", py.Type, py.Message)
	default:
		return false
	}
	return true
}

func ofLock(err error, out *api.Error) bool {
	var lock *lockfile.Error
	if !errors.As(err, &lock) {
		return false
	}
	out.Code, out.Hint = api.CodeInvalid, lock.Hint
	if lock.Hint != "" {
		out.Message = strings.Replace(out.Message, "; "+lock.Hint, "", 1)
	}
	return true
}

func ofPlan(err error, out *api.Error) bool {
	var un *plan.Unsupported
	var bad *plan.Invalid
	switch {
	case errors.As(err, &un):
		out.Code, out.Hint = api.CodeUnsupported, un.Hint
	case errors.As(err, &bad):
		out.Code, out.Hint = api.CodeInvalid, bad.Hint
	case errors.Is(err, base.ErrPlatform), errors.Is(err, base.ErrUnusable), errors.Is(err, base.ErrNotFound):
		out.Code = api.CodeInvalid
	default:
		return false
	}
	return true
}

func ofFile(err error, out *api.Error) bool {
	var mismatch *index.MismatchError
	var status *index.StatusError
	var bad *wheel.Error
	var record *builder.RecordError
	switch {
	case errors.As(err, &record):
		out.Code = api.CodeInvalid
		out.Hint = "ask whoever publishes the package; with wheels.record = \"warn\" it is installed as uv and pip do"
	case errors.As(err, &mismatch):
		out.Code = api.CodeInvalid
		out.Hint = "the index serves another file than the one that was locked: run uv lock again, or ask whoever keeps the index"
	case errors.As(err, &bad):
		out.Code, out.Hint = api.CodeInvalid, "uv would not install it safely either: choose another version of the package"
	case errors.As(err, &status) && status.Code < 500 && status.Code != 429:
		out.Code = api.CodeInvalid
	case errors.As(err, &status):
		out.Code = api.CodeUnavailable
	case errors.Is(err, index.ErrOffline):
		out.Code, out.Hint = api.CodeInvalid, "set fetch.offline to false for a while"
	default:
		return false
	}
	return true
}

// ofPlace knows the failures of what is around imgspecd: they may go away by themselves.
func ofPlace(err error, out *api.Error) bool {
	var network net.Error
	switch {
	case errors.Is(err, syscall.ENOSPC):
		out.Code, out.Hint = api.CodeUnavailable, "make room on the disk that holds the state directory"
	case errors.Is(err, publish.ErrDenied), errors.Is(err, base.ErrDenied):
		out.Code = api.CodeInvalid
	case errors.Is(err, publish.ErrUnreachable), errors.Is(err, base.ErrUnreachable),
		errors.Is(err, context.DeadlineExceeded), errors.As(err, &network):
		out.Code = api.CodeUnavailable
	default:
		return false
	}
	return true
}
