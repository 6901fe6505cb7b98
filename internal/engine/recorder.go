package engine

import (
	"log/slog"

	"github.com/imgspecd/imgspecd/api"
)

// recorder writes builds to the records in order, beside the loop: a commit waits
// for the disk, the loop must not.
type recorder struct {
	queue chan api.Build
	ended chan struct{}
}

func newRecorder(to Records, log *slog.Logger) *recorder {
	r := &recorder{queue: make(chan api.Build, 256), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		for b := range r.queue {
			if err := to.PutBuild(b); err != nil {
				log.Error("build not recorded", "build", b.ID, "error", err.Error())
			}
		}
	}()
	return r
}

func (r *recorder) put(b api.Build) { r.queue <- b }

// close writes what is queued and returns.
func (r *recorder) close() {
	close(r.queue)
	<-r.ended
}
