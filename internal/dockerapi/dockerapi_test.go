package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// shelf is images as an engine knows them; a change wakes those who wait.
type shelf struct {
	mu      sync.Mutex
	images  map[string]api.Image
	changed chan struct{}
	waits   atomic.Int32 // under way
}

func newShelf(images ...api.Image) *shelf {
	s := &shelf{images: map[string]api.Image{}, changed: make(chan struct{})}
	for _, im := range images {
		s.images[im.Name] = im
	}
	return s
}

func (s *shelf) put(im api.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[im.Name] = im
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, name)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) look(name string) (api.Image, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	im, ok := s.images[name]
	if !ok {
		return im, nil, &api.Error{Code: api.CodeNotFound, Message: "no " + name}
	}
	return im, s.changed, nil
}

func (s *shelf) FindImage(_ context.Context, name string) (api.Image, error) {
	im, _, err := s.look(name)
	return im, err
}

func (s *shelf) WaitImage(ctx context.Context, name string) (api.Image, error) {
	s.waits.Add(1)
	defer s.waits.Add(-1)
	for {
		im, changed, err := s.look(name)
		if err != nil || im.State.Final() {
			return im, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return im, nil
		}
	}
}

// noEngine is the Dial of a machine without Docker.
func noEngine(context.Context) (net.Conn, error) { return nil, errors.New("nobody is there") }

// registry describes what is in it.
func registry(images ...string) func(context.Context, string) (publish.Description, error) {
	return func(_ context.Context, name string) (publish.Description, error) {
		for _, i := range images {
			if i == name {
				return publish.Description{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: "sha256:abc", Size: 5}, nil
			}
		}
		switch {
		case strings.HasPrefix(name, "locked/"):
			return publish.Description{}, fmt.Errorf("%s may not be read: %w", name, publish.ErrDenied)
		case strings.HasPrefix(name, "away/"):
			return publish.Description{}, publish.ErrUnreachable
		}
		return publish.Description{}, nil
	}
}

func newServer(t *testing.T, d Deps, beat time.Duration) *httptest.Server {
	t.Helper()
	if d.Dial == nil {
		d.Dial = noEngine
	}
	if d.Wait == 0 {
		d.Wait = time.Minute
	}
	d.Version, d.Log = "1.4.0", slog.New(slog.DiscardHandler)
	s := New(d).(*server)
	s.beat = beat
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv
}

// get returns the status, the message of a refusal, and the body.
func get(t *testing.T, srv *httptest.Server, path string, change ...func(*http.Request)) (int, string, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if json.Unmarshal(b, &body) != nil {
		return resp.StatusCode, string(b), nil
	}
	message, _ := body["message"].(string)
	return resp.StatusCode, message, body
}

func TestAnswers(t *testing.T) {
	failed := api.Image{Name: "acme/broken:t", Tag: "t", State: api.Failed, Error: &api.Error{Message: "resolve base: no such image"}}
	waitsForPush := api.Image{Name: "acme/held:t", Tag: "t", State: api.Ready, Targets: []api.TargetState{{Name: "layout", State: api.Ready}, {Name: "registry", State: api.Waiting}}}
	gone := api.Image{Name: "acme/gone:t", Tag: "t", State: api.Ready, Targets: []api.TargetState{{Name: "registry", State: api.Ready}}}
	local := api.Image{Name: "local:t", Tag: "t", State: api.Ready, Digest: "sha256:def", Platform: "linux/arm64", Targets: []api.TargetState{{Name: "layout", State: api.Ready}}}
	srv := newServer(t, Deps{Images: newShelf(failed, waitsForPush, gone, local), Describe: registry("acme/there:t", "localhost:30000/deep/er:t")}, time.Hour)
	for path, want := range map[string]struct {
		status  int
		message string
	}{
		"/_ping":                           {200, "OK"},
		"/v1.41/_ping":                     {200, "OK"},
		"/version":                         {200, ""},
		"/v1.44/version":                   {200, ""},
		"/v1.44/images/local:t/json":       {200, ""},
		"/images/other:t/json":             {404, "No such image: other:t"},
		"/v1.44/images/acme/broken:t/json": {404, "No such image: acme/broken:t; imgspecd could not build it: resolve base: no such image"},
		"/distribution/acme/there:t/json":  {200, ""},
		"/v1.44/distribution/localhost:30000/deep/er:t/json": {200, ""},
		"/v1.44/distribution/acme/broken:t/json":             {404, "manifest unknown: acme/broken:t is not in its registry; imgspecd could not build it: resolve base: no such image"},
		"/v1.44/distribution/acme/held:t/json":               {404, "manifest unknown: acme/held:t is not in its registry; imgspecd built it, and pushes on request only: imgspecd build --push"},
		"/v1.44/distribution/acme/gone:t/json":               {404, "manifest unknown: acme/gone:t is not in its registry; imgspecd made it ready in registry"},
		"/v1.44/distribution/acme/unknown:t/json":            {404, "manifest unknown: acme/unknown:t is not in its registry"},
		"/v1.44/distribution/locked/x:t/json":                {403, "locked/x:t may not be read: access denied"},
		"/v1.44/distribution/away/x:t/json":                  {500, "cannot be reached"},
		"/v1.44/images/json":                                 {501, "imgspecd answers here what flytekit asks, and has no Docker engine to pass other requests on to: nobody is there"},
		"/v1.44/containers/json?all=1":                       {501, "imgspecd answers here what flytekit asks, and has no Docker engine to pass other requests on to: nobody is there"},
	} {
		status, message, _ := get(t, srv, path)
		if status != want.status || message != want.message {
			t.Errorf("%s: %d %q, want %d %q", path, status, message, want.status, want.message)
		}
	}
	_, _, v := get(t, srv, "/version")
	if v["ApiVersion"] != newestAPI || v["MinAPIVersion"] != oldestAPI {
		t.Errorf("version: %v", v)
	}
	_, _, im := get(t, srv, "/v1.44/images/local:t/json")
	if im["Id"] != "sha256:def" || im["Os"] != "linux" || im["Architecture"] != "arm64" || fmt.Sprint(im["RepoDigests"]) != "[local@sha256:def]" {
		t.Errorf("image: %v", im)
	}
	_, _, d := get(t, srv, "/distribution/acme/there:t/json")
	if fmt.Sprint(d["Descriptor"]) != "map[digest:sha256:abc mediaType:application/vnd.oci.image.manifest.v1+json size:5]" {
		t.Errorf("distribution: %v", d)
	}
	status, message, _ := get(t, srv, "/info", func(r *http.Request) { r.Header.Set(passedOn, "1") })
	if status != http.StatusLoopDetected || !strings.Contains(message, "leads back to imgspecd") {
		t.Errorf("what comes back is answered with %d %q", status, message)
	}
}

// What is under way is waited for; Docker's Python SDK is kept from giving up meanwhile, with nothing that others see.
func TestWaits(t *testing.T) {
	for agent, beats := range map[string]bool{"docker-sdk-python/7.1.0": true, "Docker-Client/28.2.2 (linux)": false} {
		shelf := newShelf(api.Image{Name: "x:t", Tag: "t", State: api.Building})
		srv := newServer(t, Deps{Images: shelf, Describe: registry()}, time.Millisecond)
		var seen atomic.Int32
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code != http.StatusContinue {
				t.Errorf("the client is told %d", code)
			}
			if seen.Add(1) == 20 {
				shelf.put(api.Image{Name: "x:t", Tag: "t", State: api.Ready})
			}
			return nil
		}}
		if !beats {
			time.AfterFunc(50*time.Millisecond, func() { shelf.put(api.Image{Name: "x:t", Tag: "t", State: api.Ready}) })
		}
		status, message, _ := get(t, srv, "/v1.44/images/x:t/json", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
			r.Header.Set("User-Agent", agent)
		})
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", agent, status, message)
		}
		if (seen.Load() > 0) != beats {
			t.Errorf("%s is told %d times that the answer is to come", agent, seen.Load())
		}
	}
}

func TestWaitEnds(t *testing.T) {
	building := api.Image{Name: "x:t", Tag: "t", State: api.Building}
	t.Run("at its limit", func(t *testing.T) {
		srv := newServer(t, Deps{Images: newShelf(building), Describe: registry(), Wait: 50 * time.Millisecond}, time.Hour)
		status, message, _ := get(t, srv, "/images/x:t/json")
		if status != 404 || message != "No such image: x:t; imgspecd is still making it" {
			t.Errorf("%d %s", status, message)
		}
	})
	t.Run("when a newer change takes the image's place", func(t *testing.T) {
		shelf := newShelf(building)
		srv := newServer(t, Deps{Images: shelf, Describe: registry()}, time.Hour)
		time.AfterFunc(50*time.Millisecond, func() { shelf.drop("x:t") })
		if status, message, _ := get(t, srv, "/images/x:t/json"); status != 404 || message != "No such image: x:t" {
			t.Errorf("%d %s", status, message)
		}
	})
	t.Run("when the client goes away", func(t *testing.T) {
		shelf := newShelf(building)
		srv := newServer(t, Deps{Images: shelf, Describe: func(context.Context, string) (publish.Description, error) {
			t.Error("the registry is asked for nobody")
			return publish.Description{}, nil
		}}, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/distribution/x:t/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			resp, err := srv.Client().Do(req)
			if err == nil {
				resp.Body.Close()
			}
			ended <- err
		}()
		until(t, "the answer waits", func() bool { return shelf.waits.Load() == 1 })
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		until(t, "the wait ends", func() bool { return shelf.waits.Load() == 0 })
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
