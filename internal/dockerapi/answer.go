package dockerapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// The versions of Docker's API that are claimed without an engine: from the oldest that Docker's Python SDK
// speaks to one that the docker command of 2026 (29) still takes.
const (
	oldestAPI = "1.24"
	newestAPI = "1.44"
)

func (s *server) ping(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Api-Version", newestAPI)
	h.Set("Ostype", "linux")
	h.Set("Docker-Experimental", "false")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

// version is Docker's answer of that name, as far as its clients look.
type version struct {
	Platform      struct{ Name string }
	Components    []component
	Version       string
	APIVersion    string `json:"ApiVersion"`
	MinAPIVersion string
	GoVersion     string
	Os            string
	Arch          string
}

type component struct {
	Name    string
	Version string
	Details map[string]string
}

func (s *server) version(w http.ResponseWriter, _ *http.Request) {
	v := version{
		Version: s.Version, APIVersion: newestAPI, MinAPIVersion: oldestAPI,
		GoVersion: runtime.Version(), Os: "linux", Arch: runtime.GOARCH,
		Components: []component{{Name: "imgspecd", Version: s.Version, Details: map[string]string{
			"ApiVersion": newestAPI, "MinAPIVersion": oldestAPI, "Os": "linux", "Arch": runtime.GOARCH, "GoVersion": runtime.Version(),
		}}},
	}
	v.Platform.Name = "imgspecd, no Docker engine"
	reply(w, http.StatusOK, v)
}

// image says whether a local name means an image: the engine does, if there is one.
func (s *server) image(w http.ResponseWriter, r *http.Request, name string) {
	im, known := s.await(w, r, name)
	s.pass(w, r, func(w http.ResponseWriter, _ *http.Request) {
		if known && im.State == api.Ready {
			reply(w, http.StatusOK, inspected(im))
			return
		}
		refuse(w, http.StatusNotFound, "No such image: "+name+because(im, known))
	})
}

// inspect is Docker's answer to images/NAME/json. Without an engine there is no image store, so what only a
// store can tell is empty.
type inspect struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      time.Time
	Architecture string
	Os           string
	Size         int64
	Config       struct{}
	RootFS       rootFS
}

type rootFS struct {
	Type   string
	Layers []string
}

func inspected(im api.Image) inspect {
	p, _, _ := strings.Cut(im.Platform, ",") // the first of several
	os, arch, _ := strings.Cut(p, "/")
	out := inspect{
		ID: im.Digest, RepoTags: []string{im.Name}, RepoDigests: []string{}, Created: im.Since.UTC(),
		Os: os, Architecture: arch, RootFS: rootFS{Type: "layers", Layers: []string{}},
	}
	if im.Digest != "" {
		out.RepoDigests = append(out.RepoDigests, strings.TrimSuffix(im.Name, ":"+im.Tag)+"@"+im.Digest)
	}
	return out
}

// distribution says what the name's registry has. The registry is asked, however sure imgspecd is.
func (s *server) distribution(w http.ResponseWriter, r *http.Request, name string) {
	im, known := s.await(w, r, name)
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	d, err := s.Describe(r.Context(), name)
	switch {
	case err == nil && d.Digest != "":
		reply(w, http.StatusOK, distributed(d))
	case err == nil:
		refuse(w, http.StatusNotFound, "manifest unknown: "+name+" is not in its registry"+because(im, known))
	default: // the engine may have a login, or a way there, that imgspecd has not
		s.pass(w, r, func(w http.ResponseWriter, _ *http.Request) {
			status := http.StatusInternalServerError // as the engine says of a registry that does not answer
			if errors.Is(err, publish.ErrDenied) {
				status = http.StatusForbidden
			}
			refuse(w, status, err.Error())
		})
	}
}

// registered is Docker's answer to distribution/NAME/json.
type registered struct {
	Descriptor descriptor
	Platforms  []platform
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

func distributed(d publish.Description) registered {
	out := registered{Descriptor: descriptor{d.MediaType, d.Digest, d.Size}, Platforms: []platform{}}
	for _, p := range d.Platforms {
		out.Platforms = append(out.Platforms, platform{p.Architecture, p.OS, p.Variant})
	}
	return out
}

// because tells why an image is not there, as far as imgspecd knows.
func because(im api.Image, known bool) string {
	switch {
	case !known:
		return ""
	case im.State == api.Ready:
		switch t, _ := im.InTarget("registry"); {
		case t.State == api.Waiting:
			return "; imgspecd built it, and pushes on request only: imgspecd build --push"
		case t.Error != nil:
			return "; imgspecd built it, and could not push it: " + t.Error.Message
		}
		return "; imgspecd made it ready in " + places(im)
	case im.State == api.Failed && im.Error != nil:
		return "; imgspecd could not build it: " + im.Error.Message
	case im.State.Final(), im.State == api.Waiting:
		return "; imgspecd: " + im.Detail
	}
	return "; imgspecd is still making it"
}

// places lists where an image is ready.
func places(im api.Image) string {
	var names []string
	for _, t := range im.Targets {
		if t.State == api.Ready {
			names = append(names, t.Name)
		}
	}
	return strings.Join(names, ", ")
}

// nobody says that there is no engine that a request could be passed on to.
func (s *server) nobody(w http.ResponseWriter, r *http.Request) {
	why := ""
	if err := noEngineOf(r); err != nil {
		why = ": " + err.Error()
	}
	refuse(w, http.StatusNotImplemented, "imgspecd answers here what flytekit asks, and has no Docker engine to pass other requests on to"+why)
}

// refuse answers as Docker does when it does not do what it is asked.
func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, struct {
		Message string `json:"message"`
	}{message})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only values of this file come here, and all can be written
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Api-Version", newestAPI)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
