package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// maxBody bounds a request's body; the largest is a spec for explain.
const maxBody = 1 << 20

// answerTime is how long a peer may take to take one answer.
const answerTime = 30 * time.Second

// statuses says under which HTTP status each code travels. What is not here is not sent.
var statuses = map[api.Code]int{
	api.CodeBadRequest:  http.StatusBadRequest,
	api.CodeForbidden:   http.StatusForbidden,
	api.CodeNotFound:    http.StatusNotFound,
	api.CodeConflict:    http.StatusConflict,
	api.CodeCanceled:    http.StatusConflict,
	api.CodeUnsupported: http.StatusUnprocessableEntity,
	api.CodeInvalid:     http.StatusUnprocessableEntity,
	api.CodeUnavailable: http.StatusServiceUnavailable,
	api.CodeInternal:    http.StatusInternalServerError,
}

// write answers with v.
func write(w http.ResponseWriter, v any) { writeStatus(w, http.StatusOK, v) }

func writeStatus(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only a RawMessage that is no JSON can do that
		status = http.StatusInternalServerError
		body, _ = json.Marshal(api.ErrorBody{Error: &api.Error{Code: api.CodeInternal, Message: "encode answer: " + err.Error()}})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a peer that is gone needs no answer
}

// writeError answers with err, under the status of its code.
func writeError(w http.ResponseWriter, err error) {
	var e *api.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &api.Error{Code: api.CodeCanceled, Message: "the request ended before its answer"}
	default:
		e = &api.Error{Code: api.CodeInternal, Message: err.Error()}
	}
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	writeStatus(w, status, api.ErrorBody{Error: e})
}

// answer writes v, or err if there is one.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeError(w, err)
		return
	}
	write(w, v)
}

func badRequest(format string, args ...any) error {
	return &api.Error{Code: api.CodeBadRequest, Message: fmt.Sprintf(format, args...)}
}

// read decodes the body into v. A field that v lacks is refused: the client is
// newer, or has a typo, and must learn that it would be ignored.
func read(w http.ResponseWriter, r *http.Request, v any) error {
	// The bottom writer lets the server know that a body was too large: then it
	// lingers, so that the peer, still sending, gets to read the answer.
	dec := json.NewDecoder(http.MaxBytesReader(bottom(w), r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return badRequest("the body holds more than one JSON value")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return badRequest("the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, io.EOF):
		return badRequest("the body is empty; a JSON object belongs there")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return badRequest("the body has a field that is not known: %s", strings.TrimPrefix(err.Error(), "json: unknown field "))
	}
	return badRequest("read the body: %v", err)
}

func bottom(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// waitTime reads ?wait=.
func waitTime(r *http.Request) (time.Duration, error) {
	s := r.URL.Query().Get("wait")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, badRequest("wait = %q: it must be a duration such as 30s", s)
	case d < 0 || d > maxWait:
		return 0, badRequest("wait = %q: it must be from 0s to %s", s, maxWait)
	}
	return d, nil
}

// queryBool reads a flag such as ?follow, ?follow=1 or ?follow=false.
func queryBool(r *http.Request, name string, missing bool) (bool, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return missing, nil
	}
	s := q.Get(name)
	if s == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, badRequest("%s = %q: it must be 1 or 0", name, s)
	}
	return b, nil
}

// queryUint reads a number such as ?since=12; missing is 0.
func queryUint(r *http.Request, name string, bits int) (uint64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, badRequest("%s = %q: it must be a whole number", name, s)
	}
	return n, nil
}

// lasting returns the request's context, ended also when the daemon begins to
// stop, and at limit if there is one.
func (s *server) lasting(r *http.Request, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit) //nolint:govet // the outer one ends with the request
	}
	forget := context.AfterFunc(s.streams, cancel)
	return ctx, func() { forget(); cancel() }
}

// streamer writes an answer piece by piece, each sent at once.
type streamer struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	limit time.Duration
}

func (s *server) startStream(w http.ResponseWriter, content string) *streamer {
	h := w.Header()
	h.Set("Content-Type", content)
	h.Set("Cache-Control", "no-store")
	st := &streamer{w: w, c: http.NewResponseController(w), limit: s.limits.write}
	w.WriteHeader(http.StatusOK)
	_ = st.c.Flush()
	return st
}

// Write sends b; a peer that does not take it in time is given up.
func (s *streamer) Write(b []byte) (int, error) {
	_ = s.c.SetWriteDeadline(time.Now().Add(s.limit))
	n, err := s.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, s.c.Flush()
}
