package index

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// ErrOffline says that a file would have to be downloaded, and must not be.
var ErrOffline = errors.New("not on this machine yet, and downloads are turned off (fetch.offline)")

// MismatchError says that a file is not the one that the lock pins.
type MismatchError struct {
	Filename string
	What     string // "sha256" or "size"
	Want     string
	Got      string
	URL      string // without credentials
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s of %s is not what the lock says: expected %s, got %s from %s",
		e.What, e.Filename, e.Want, e.Got, e.URL)
}

// StatusError is an answer of a server that was not the file.
type StatusError struct {
	Code       int
	URL        string        // without credentials
	RetryAfter time.Duration // as the server asked; 0 if it did not
	Anonymous  bool          // no credential was sent
}

func (e *StatusError) Error() string {
	msg := fmt.Sprintf("%s: %d %s", e.URL, e.Code, http.StatusText(e.Code))
	switch {
	case e.Code == http.StatusUnauthorized && e.Anonymous:
		return msg + " (no credentials were found for this host)"
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden:
		return msg + " (the credentials for this host were refused)"
	}
	return msg
}

// errStalled ends an attempt that brings no bytes.
var errStalled = errors.New("no data for too long")

// localError is a fault of this machine (disk full, no permission): trying again does not help.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// transient reports whether a later attempt may succeed.
func transient(err error) bool {
	var (
		status   *StatusError
		mismatch *MismatchError
		local    *localError
		cert     *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &status):
		return status.Code >= 500 || status.Code == http.StatusTooManyRequests || status.Code == http.StatusRequestTimeout
	case errors.As(err, &mismatch), errors.As(err, &local), errors.As(err, &cert), errors.As(err, &unknown):
		return false
	case errors.Is(err, context.Canceled):
		return false
	}
	return true
}

// redact returns a URL as it may be shown: without user, query (signatures) and fragment.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that cannot be parsed)"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// bare unwraps what net/http adds to an error: the URL, which may hold secrets.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
