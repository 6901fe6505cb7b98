package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/imgspecd/imgspecd/api"
)

// The exit codes, a contract with scripts.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReady    = 3
	exitNoDaemon    = 4
	exitRefused     = 5 // for safety
	exitTimeout     = 124
	exitInterrupted = 130
)

// usageError is a command line that makes no sense.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// exitError ends the process with a code of its own. Without an err, all has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errTimeout ends a wait that took longer than it was given.
func errTimeout(hint, format string, args ...any) error {
	return &exitError{exitTimeout, &api.Error{Code: api.CodeUnavailable, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func exitCode(ctx context.Context, err error) int {
	var (
		own *exitError
		use *usageError
		e   *api.Error
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &use):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.As(err, &e):
		switch e.Code {
		case api.CodeNoDaemon:
			return exitNoDaemon
		case api.CodeNotPermitted, api.CodeForbidden:
			return exitRefused
		}
	}
	return exitFailed
}

// asError gives every failure the API's form, with a remedy for those that have one.
func asError(err error, code int) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		c := *e
		if c.Code == api.CodeNoDaemon && c.Hint == "" {
			c.Hint = "start one: imgspecd serve --detach"
		}
		return &c
	}
	switch code {
	case exitUsage:
		return &api.Error{Code: api.CodeBadRequest, Message: err.Error(), Hint: "see imgspecd --help"}
	case exitInterrupted:
		return &api.Error{Code: api.CodeCanceled, Message: "interrupted"}
	case exitTimeout:
		return &api.Error{Code: api.CodeUnavailable, Message: "timed out"}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}
