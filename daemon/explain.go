package daemon

import (
	"net/http"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) explain(w http.ResponseWriter, r *http.Request) {
	var req api.Explain
	if err := read(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	switch {
	case (req.Image == "") == (len(req.Spec) == 0):
		writeError(w, badRequest("give either image or spec"))
		return
	case req.Dir != "" && !filepath.IsAbs(req.Dir):
		writeError(w, badRequest("dir = %q: it must be an absolute path", req.Dir))
		return
	case len(req.Spec) > 0 && req.Dir == "":
		writeError(w, badRequest("a spec needs a dir, which its relative paths start at"))
		return
	}
	x, err := s.deps.Engine.Explain(r.Context(), req)
	answer(w, x, err)
}
