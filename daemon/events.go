package daemon

import (
	"encoding/json"
	"net/http"

	"github.com/imgspecd/imgspecd/api"
)

// events streams what happens, one JSON object a line. There is no heartbeat: the
// kernel tells both ends of a unix socket when the other one is gone.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	since, err := queryUint(r, "since", 64)
	if err != nil {
		writeError(w, err)
		return
	}
	follow, err := queryBool(r, "follow", true)
	if err != nil {
		writeError(w, err)
		return
	}
	ctx, cancel := s.lasting(r, 0)
	defer cancel()
	events, stop := s.deps.Engine.Events(since)
	defer stop()
	enc := json.NewEncoder(s.startStream(w, "application/x-ndjson"))
	for {
		ev, ok := next(ctx.Done(), events, follow)
		if !ok {
			return
		}
		if ev.Image != nil {
			img := tidy(*ev.Image) // the engine's own is shared with other streams
			ev.Image = &img
		}
		if enc.Encode(ev) != nil {
			return // the peer is gone, or does not read: it may resume
		}
	}
}

// next takes one event; without follow it does not wait for one.
func next(done <-chan struct{}, events <-chan api.Event, follow bool) (ev api.Event, ok bool) {
	if !follow {
		select {
		case ev, ok = <-events:
			return ev, ok
		default:
			return ev, false
		}
	}
	select {
	case <-done:
		return ev, false
	case ev, ok = <-events:
		return ev, ok
	}
}
