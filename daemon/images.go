package daemon

import (
	"net/http"

	"github.com/imgspecd/imgspecd/api"
)

func (s *server) images(w http.ResponseWriter, r *http.Request) {
	l := s.deps.Engine.Images(r.Context())
	out := make([]api.Image, len(l))
	for i := range l {
		out[i] = tidy(l[i])
	}
	write(w, api.ImageList{Images: out})
}

// image answers at once, or waits for a final state: the wait is the request's,
// the build is the daemon's, and goes on without it.
func (s *server) image(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	if ref == "" {
		writeError(w, badRequest("which image? /v1/images/NAME, or /v1/images for all"))
		return
	}
	wait, err := waitTime(r)
	if err != nil {
		writeError(w, err)
		return
	}
	if wait == 0 {
		img, err := s.deps.Engine.FindImage(r.Context(), ref)
		answer(w, tidy(img), err)
		return
	}
	ctx, cancel := s.lasting(r, wait)
	defer cancel()
	img, err := s.deps.Engine.WaitImage(ctx, ref)
	answer(w, tidy(img), err)
}

// tidy makes lists that are empty be lists, not null.
func tidy(i api.Image) api.Image {
	if i.Targets == nil {
		i.Targets = []api.TargetState{}
	}
	if i.Progress == nil {
		i.Progress = []api.Progress{}
	}
	return i
}
