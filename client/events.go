package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// EventsOptions say which events.
type EventsOptions struct {
	Since uint64 // events after this number first; 0: nothing of the past
	Once  bool   // end at the present instead of following
	// Resume takes the stream up again, after the last event seen, when the
	// connection is lost or the daemon restarts. Each loss is yielded as an error
	// first; the loop goes on unless its body breaks.
	Resume bool
}

// Events yields what happens, as it happens, until ctx ends, the loop breaks, or
// an error was yielded (see Resume). That ctx ended is yielded as an error too.
func (c *Client) Events(ctx context.Context, o EventsOptions) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		s := stream{c: c, since: o.Since, once: o.Once, yield: yield}
		for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
			err := s.run(ctx)
			if s.done || (err == nil && o.Once) {
				return
			}
			if err == nil {
				err = &api.Error{Code: api.CodeUnavailable, Message: "the daemon ended the stream of events", Hint: "it is stopping"}
			}
			retry := o.Resume && s.opened && ctx.Err() == nil
			// A loss is told once, not at each attempt to mend it.
			if (!retry || !s.told) && (!yield(api.Event{}, err) || !retry) {
				return
			}
			s.told = true
			if s.progress {
				wait, s.progress = firstRetry, false
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}
}

// Waits between attempts to get a lost stream back.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// stream is one iteration over the events, through as many connections as it takes.
type stream struct {
	c        *Client
	since    uint64
	once     bool
	yield    func(api.Event, error) bool
	opened   bool // there was a connection: from now on a loss is a loss
	told     bool // the present loss was yielded
	progress bool // the last connection gave something
	done     bool // the loop's body broke
}

// run reads one connection to its end; nil means that the daemon ended it.
func (s *stream) run(ctx context.Context) error {
	q := url.Values{}
	if s.since > 0 {
		q.Set("since", strconv.FormatUint(s.since, 10))
	}
	if s.once {
		q.Set("follow", "0")
	}
	resp, err := s.c.do(ctx, http.MethodGet, "/v1/events", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s.opened, s.told, s.progress = true, false, true
	for dec := json.NewDecoder(resp.Body); ; {
		var ev api.Event
		if err := dec.Decode(&ev); err != nil {
			if errors.Is(err, io.EOF) && ctx.Err() == nil {
				return nil
			}
			return wrap(ctx, s.c.Socket, err)
		}
		s.since = ev.Seq
		if !s.yield(ev, nil) {
			s.done = true
			return nil
		}
	}
}
