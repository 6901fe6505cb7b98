package daemon

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) builds(w http.ResponseWriter, r *http.Request) {
	limit, err := queryUint(r, "limit", 31)
	if err != nil {
		writeError(w, err)
		return
	}
	l := s.deps.Engine.Builds(r.Context(), r.URL.Query().Get("project"), int(limit))
	if l == nil {
		l = []api.Build{}
	}
	write(w, api.BuildList{Builds: l})
}

func (s *server) startBuild(w http.ResponseWriter, r *http.Request) {
	var req api.StartBuild
	if err := read(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	switch {
	case (req.Image == "") == (req.Dir == ""):
		writeError(w, badRequest("give either image or dir"))
		return
	case req.Dir != "" && !filepath.IsAbs(req.Dir):
		writeError(w, badRequest("dir = %q: it must be an absolute path", req.Dir))
		return
	}
	l, err := s.deps.Engine.StartBuild(r.Context(), req)
	if err != nil {
		writeError(w, err)
		return
	}
	if l.Builds == nil {
		l.Builds = []api.Build{}
	}
	for i := range l.Images {
		l.Images[i] = tidy(l.Images[i])
	}
	writeStatus(w, http.StatusAccepted, l)
}

func (s *server) build(w http.ResponseWriter, r *http.Request) {
	wait, err := waitTime(r)
	if err != nil {
		writeError(w, err)
		return
	}
	id := r.PathValue("id")
	if wait == 0 {
		b, err := s.deps.Engine.Build(r.Context(), id)
		answer(w, b, err)
		return
	}
	ctx, cancel := s.lasting(r, wait)
	defer cancel()
	b, err := s.deps.Engine.WaitBuild(ctx, id)
	answer(w, b, err)
}

func (s *server) cancelBuild(w http.ResponseWriter, r *http.Request) {
	b, err := s.deps.Engine.CancelBuild(r.Context(), r.PathValue("id"))
	answer(w, b, err)
}

// buildLog copies the log; what the engine appends while following is sent as it comes.
func (s *server) buildLog(w http.ResponseWriter, r *http.Request) {
	follow, err := queryBool(r, "follow", false)
	if err != nil {
		writeError(w, err)
		return
	}
	ctx, cancel := s.lasting(r, 0)
	defer cancel()
	log, err := s.deps.Engine.Log(ctx, r.PathValue("id"), follow)
	if err != nil {
		writeError(w, err)
		return
	}
	defer log.Close()
	out := s.startStream(w, "text/plain; charset=utf-8")
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{log}, make([]byte, 16<<10)); err != nil && ctx.Err() == nil {
		s.deps.Log.Debug("a log was cut off", "build", r.PathValue("id"), "err", err)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			panic(http.ErrAbortHandler) // so that the client sees that there was more
		}
	}
}
