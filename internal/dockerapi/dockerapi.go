// Package dockerapi answers like a Docker engine, as far as flytekit asks one whether an image exists.
//
// flytekit's exist() asks through Docker's Python SDK: the version, then the image of a local name
// (images/NAME/json), or what the registry has (distribution/NAME/json). Here
//
//	image under way → its end is waited for (wait.go)
//	distribution    → the registry's own answer (answer.go)
//	images          → the engine's own, or without an engine what imgspecd has
//	all else        → passed on to the engine as it is (pass.go), or 501
//
// It never answers from memory what a registry or an engine can be asked, and builds nothing.
package dockerapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// Images is what is known of images. FindImage fails where there is none of that name; WaitImage returns
// when nothing more will happen to it, or as it is when ctx ends.
type Images interface {
	FindImage(ctx context.Context, name string) (api.Image, error)
	WaitImage(ctx context.Context, name string) (api.Image, error)
}

// Deps is what it works with; all fields are required.
type Deps struct {
	Images   Images
	Describe func(ctx context.Context, name string) (publish.Description, error) // asks the name's registry
	Dial     func(context.Context) (net.Conn, error)                             // connects to the engine, or says why there is none
	Wait     time.Duration                                                       // for an image that is under way, at most
	Version  string                                                              // of imgspecd
	Log      *slog.Logger
}

// beat is how often a client is told that its answer is still to come. Docker's Python SDK gives up when
// it has read nothing for 60 s.
const beat = 15 * time.Second

type server struct {
	Deps
	beat  time.Duration
	proxy *httputil.ReverseProxy
}

// New returns the handler. Requests end with their context.
func New(d Deps) http.Handler {
	s := &server{Deps: d, beat: beat}
	s.proxy = s.newProxy()
	return s
}

var (
	versioned    = regexp.MustCompile(`^/v\d+\.\d+(/.*)$`)
	image        = regexp.MustCompile(`^/images/(.+)/json$`)
	distribution = regexp.MustCompile(`^/distribution/(.+)/json$`)
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(passedOn) != "" {
		refuse(w, http.StatusLoopDetected, "the Docker engine that imgspecd was told of leads back to imgspecd; set docker.host to the real one")
		return
	}
	path := r.URL.Path
	if m := versioned.FindStringSubmatch(path); m != nil {
		path = m[1]
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.pass(w, r, s.nobody)
		return
	}
	if m := image.FindStringSubmatch(path); m != nil {
		s.image(w, r, m[1])
		return
	}
	if m := distribution.FindStringSubmatch(path); m != nil {
		s.distribution(w, r, m[1])
		return
	}
	switch path {
	case "/_ping":
		s.pass(w, r, s.ping)
	case "/version":
		s.pass(w, r, s.version)
	default:
		s.pass(w, r, s.nobody)
	}
}
