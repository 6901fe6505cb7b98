package daemon

import (
	"net/http"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) disk(w http.ResponseWriter, r *http.Request) {
	d, err := s.deps.Engine.Disk(r.Context())
	answer(w, d, err)
}

func (s *server) prune(w http.ResponseWriter, r *http.Request) {
	var req api.Prune
	if err := read(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	ctx, cancel := s.lasting(r, 0)
	defer cancel()
	p, err := s.deps.Engine.Prune(ctx, req)
	answer(w, p, err)
}
