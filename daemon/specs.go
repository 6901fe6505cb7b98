package daemon

import (
	"net/http"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) putSpec(w http.ResponseWriter, r *http.Request) {
	var req api.PutSpec
	if err := read(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	switch {
	case len(req.Spec) == 0, string(req.Spec) == "null":
		writeError(w, badRequest("spec is missing"))
		return
	case !filepath.IsAbs(req.Dir):
		writeError(w, badRequest("dir = %q: it must be an absolute path", req.Dir))
		return
	}
	img, err := s.deps.Engine.PutSpec(r.Context(), req)
	answer(w, tidy(img), err)
}

func (s *server) forgetSpec(w http.ResponseWriter, r *http.Request) {
	if err := s.deps.Engine.ForgetSpec(r.Context(), r.PathValue("ref")); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
