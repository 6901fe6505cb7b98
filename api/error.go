package api

import "fmt"

// Code says what kind of failure an Error is; clients decide by it, people read the message.
type Code string

// The codes, with the HTTP status each travels under.
const (
	CodeBadRequest   Code = "bad_request"   // 400: the request itself is wrong
	CodeForbidden    Code = "forbidden"     // 403: the peer is another user, or the act would be unsafe
	CodeNotFound     Code = "not_found"     // 404: no such project, image or build
	CodeConflict     Code = "conflict"      // 409: two things match, or the state does not allow it
	CodeUnsupported  Code = "unsupported"   // 422: flytekit can, this release cannot; the message names the field
	CodeInvalid      Code = "invalid"       // 422: the input (lock, wheel, spec) is wrong; the message says where
	CodeUnavailable  Code = "unavailable"   // 503: something needed (registry, engine, network) does not answer
	CodeInternal     Code = "internal"      // 500: a fault of imgspecd
	CodeCanceled     Code = "canceled"      // 409: ended on request
	CodeNoDaemon     Code = "no_daemon"     // never sent: the client could not reach a daemon
	CodeNotPermitted Code = "not_permitted" // never sent: the socket refused this user
)

// Error is a failure as a person reads it: what, where, and what to do.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`        // what failed and where
	Hint    string `json:"hint,omitempty"` // what to do about it; a sentence or a command
	// Output is the last that a program wrote whose failure this is.
	Output []string `json:"output,omitempty"`
}

// Error returns the message, with the hint behind it when there is one.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Hint)
}

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error *Error `json:"error"`
}
