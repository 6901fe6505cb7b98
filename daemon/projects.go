package daemon

import (
	"net/http"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) projects(w http.ResponseWriter, r *http.Request) {
	l := s.deps.Engine.Projects(r.Context())
	if l == nil {
		l = []api.Project{}
	}
	write(w, api.ProjectList{Projects: l})
}

func (s *server) addProject(w http.ResponseWriter, r *http.Request) {
	var req api.AddProject
	if err := read(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	if !filepath.IsAbs(req.Dir) {
		// The daemon's working directory is not the client's.
		writeError(w, badRequest("dir = %q: it must be an absolute path", req.Dir))
		return
	}
	p, err := s.deps.Engine.AddProject(r.Context(), req)
	answer(w, p, err)
}

func (s *server) removeProject(w http.ResponseWriter, r *http.Request) {
	if err := s.deps.Engine.RemoveProject(r.Context(), r.PathValue("id")); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
