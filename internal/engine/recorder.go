package engine

import (
	"log/slog"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// recorder writes to the records in order, beside the loop: a commit waits for the
// disk, the loop must not.
type recorder struct {
	queue chan entry
	ended chan struct{}
}

// entry is one thing to be written.
type entry struct {
	what  string
	write func(Records) error
}

func newRecorder(to Records, log *slog.Logger) *recorder {
	r := &recorder{queue: make(chan entry, 256), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		for e := range r.queue {
			if err := e.write(to); err != nil {
				log.Error("not recorded", "what", e.what, "error", err.Error())
			}
		}
	}()
	return r
}

func (r *recorder) put(b api.Build) {
	r.queue <- entry{"build " + b.ID, func(to Records) error { return to.PutBuild(b) }}
}

func (r *recorder) ready(i store.ReadyImage) {
	r.queue <- entry{"image " + i.Name, func(to Records) error { return to.PutReadyImage(i) }}
}

func (r *recorder) history(label string, h []store.Naming) {
	r.queue <- entry{"history of " + label, func(to Records) error { return to.PutHistory(label, h) }}
}

// close writes what is queued and returns.
func (r *recorder) close() {
	close(r.queue)
	<-r.ended
}
