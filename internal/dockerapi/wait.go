package dockerapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// settleTime is how long an image is waited for whose inputs are not whole: a save is in the middle, or it
// will not get better by itself.
const settleTime = 5 * time.Second

// await returns the image of that very name when nothing more happens to it, or as it is when the wait is over.
// ok: there is one.
func (s *server) await(w http.ResponseWriter, r *http.Request, name string) (im api.Image, ok bool) {
	im, err := s.Images.FindImage(r.Context(), name)
	if err != nil || im.Name != name {
		return api.Image{}, false
	}
	if !im.State.Final() {
		s.Log.Info("an answer waits", "image", name, "state", im.State)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Wait)
	defer cancel()
	for began := time.Now(); !im.State.Final() && ctx.Err() == nil; {
		if im.State == api.Waiting && time.Since(began) >= settleTime {
			break
		}
		pause := s.beat
		if im.State == api.Waiting {
			pause = min(pause, settleTime)
		}
		tick, end := context.WithTimeout(ctx, pause)
		im, err = s.Images.WaitImage(tick, name)
		end()
		if err != nil || im.Name != name { // a newer change took its place
			return api.Image{}, false
		}
		if !im.State.Final() {
			stillHere(w, r)
		}
	}
	return im, true
}

// stillHere keeps Docker's Python SDK from giving up, with what its HTTP client passes over. Other clients
// have no such limit, and Go's older ones take only five of these.
func stillHere(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.UserAgent(), "docker-sdk-python/") {
		w.WriteHeader(http.StatusContinue)
	}
}
