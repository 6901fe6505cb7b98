package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// wire counts requests, and answers in the registry's place when fault says so.
type wire struct {
	mu    sync.Mutex
	calls []string
	fault func(*http.Request) (*http.Response, error) // both nil: pass on
	base  http.RoundTripper
}

func newWire() *wire { return &wire{base: http.DefaultTransport.(*http.Transport).Clone()} }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.calls = append(w.calls, r.Method+" "+r.URL.Path)
	fault := w.fault
	w.mu.Unlock()
	if fault != nil {
		if resp, err := fault(r); resp != nil || err != nil {
			if r.Body != nil {
				r.Body.Close()
			}
			return resp, err
		}
	}
	return w.base.RoundTrip(r)
}

func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.calls
	w.calls = nil
	return c
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}
}

func TestRegistry(t *testing.T) {
	host, s := rig(t, "IMGSPECD_TEST_REGISTRY"), openStore(t)
	from := pythonBase(t, s)
	w := newWire()
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	name := host + "/" + newRepo(t, host) + ":one"
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != "" {
		t.Fatalf("before: %+v, %v", r, err)
	}
	img := on(t, from, newLayer(t, "a", 100_000), newLayer(t, "b", 50_000))
	r, err := target.Publish(t.Context(), name, img, progress.Discard)
	must(t, err)
	if r.Digest != digestOf(t, img) || r.SentLayers != 2 || r.SentBytes < 150_000 || r.SentBytes > 160_000 {
		t.Errorf("the base was not mounted: %+v", r)
	}
	t.Logf("cold: %d requests", len(w.take()))
	skopeoInspect(t, "docker://"+name, digestOf(t, img), "--tls-verify=false")

	var sent atomic.Int64
	img = on(t, img, newLayer(t, "c", 100_000))
	start := time.Now()
	r, err = target.Publish(t.Context(), name, img, func(e progress.Event) { sent.Store(e.Bytes) })
	took := time.Since(start)
	must(t, err)
	if r.SentLayers != 1 || r.Digest != digestOf(t, img) || sent.Load() != r.SentBytes {
		t.Errorf("warm: %+v, progress %d", r, sent.Load())
	}
	// HEAD, POST, PUT of the layer; POST, PUT of the config; PUT, HEAD of the manifest.
	if calls := w.take(); len(calls) != 7 {
		t.Errorf("warm: %d requests: %v", len(calls), calls)
	}
	t.Logf("warm push of one layer: %v", took)
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != digestOf(t, img) {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// A registry collects garbage behind our back: here, another process deletes a blob.
func TestRegistryHealsWhatIsGone(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	w := newWire()
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	repo := newRepo(t, host)
	img := small(t)
	must(t, second(target.Publish(t.Context(), host+"/"+repo+":one", img, progress.Discard)))
	layers, _ := img.Layers()
	gone := digestOf(t, layers[0])
	req, _ := http.NewRequest(http.MethodDelete, "http://"+host+"/v2/"+repo+"/blobs/"+gone, nil)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("delete: %s", resp.Status)
	}
	var notes []string
	next := on(t, img, newLayer(t, "y", 1000))
	r, err := target.Publish(t.Context(), host+"/"+repo+":two", next, func(e progress.Event) {
		if e.Note != "" {
			notes = append(notes, e.Note)
		}
	})
	if err != nil || r.SentLayers != 2 || r.Digest != digestOf(t, next) {
		t.Errorf("%+v, %v", r, err)
	}
	if len(notes) == 0 || !strings.Contains(notes[0], "sent again") {
		t.Errorf("notes: %v", notes)
	}
}

// A registry whose answers about blobs are stale says 200 for what is gone.
func TestRegistryHealsStaleAnswers(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	w := newWire()
	w.fault = func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
			return answer(r, http.StatusOK, ""), nil
		}
		return nil, nil
	}
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	img := small(t)
	r, err := target.Publish(t.Context(), host+"/"+newRepo(t, host)+":one", img, progress.Discard)
	if err != nil || r.SentLayers != 1 || r.Digest != digestOf(t, img) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRegistryFaultsThatPass(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	for name, fault := range map[string]func(*http.Request) (*http.Response, error){
		"500": func(r *http.Request) (*http.Response, error) { return answer(r, 500, "oops"), nil },
		"429": func(r *http.Request) (*http.Response, error) {
			return answer(r, 429, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`), nil
		},
		"connection": func(r *http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"cut": func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				io.CopyN(io.Discard, r.Body, 1000)
			}
			return nil, errors.New("connection reset by peer")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, seen := newWire(), map[string]bool{}
			var mu sync.Mutex
			w.fault = func(r *http.Request) (*http.Response, error) { // each request fails once
				mu.Lock()
				defer mu.Unlock()
				key := r.Method + strings.SplitN(r.URL.Path, "/uploads/", 2)[0] + fmt.Sprint(r.ContentLength)
				if seen[key] {
					return nil, nil
				}
				seen[key] = true
				return fault(r)
			}
			target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
			img := small(t)
			r, err := target.Publish(t.Context(), host+"/"+newRepo(t, host)+":one", img, progress.Discard)
			if err != nil || r.Digest != digestOf(t, img) || r.SentLayers != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestRegistryRefuses(t *testing.T) {
	w := newWire()
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	for _, status := range []int{401, 403} {
		w.fault = func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/v2/" {
				return answer(r, 200, "{}"), nil
			}
			return answer(r, status, `{"errors":[{"code":"DENIED","message":"no"}]}`), nil
		}
		_, err := target.Publish(t.Context(), "127.0.0.1:9/some/app:one", small(t), progress.Discard)
		if want := "push 127.0.0.1:9/some/app:one: "; err == nil || !strings.HasPrefix(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), "push denied by 127.0.0.1:9 for some/app: docker login 127.0.0.1:9") || !errors.Is(err, publish.ErrDenied) {
			t.Errorf("%d: %v", status, err)
		}
	}
	w.fault = nil
	_, err := target.Publish(t.Context(), "127.0.0.1:9/some/app:one", small(t), progress.Discard)
	if !errors.Is(err, publish.ErrUnreachable) || !strings.Contains(err.Error(), "registry 127.0.0.1:9 cannot be reached") {
		t.Errorf("nobody there: %v", err)
	}
	// It says yes to all and shows something else.
	w.fault = func(r *http.Request) (*http.Response, error) {
		resp := answer(r, 200, "{}")
		switch {
		case r.Method == http.MethodPost:
			resp.StatusCode = 202
			resp.Header.Set("Location", "/v2/some/app/blobs/uploads/1")
		case r.Method == http.MethodPut:
			resp.StatusCode = 201
		case strings.Contains(r.URL.Path, "/manifests/"):
			resp.Header.Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		}
		return resp, nil
	}
	_, err = target.Publish(t.Context(), "127.0.0.1:9/some/app:one", small(t), progress.Discard)
	if err == nil || !strings.Contains(err.Error(), `says that the tag means "sha256:000`) {
		t.Errorf("it lies: %v", err)
	}
}

func TestRegistryCanceled(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	ctx, cancel := context.WithCancelCause(t.Context())
	superseded := errors.New("superseded")
	w := newWire()
	w.fault = func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			cancel(superseded)
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return nil, nil
	}
	target := publish.NewRegistry(publish.RegistryDeps{Transport: w})
	_, err := target.Publish(ctx, host+"/"+newRepo(t, host)+":one", small(t), progress.Discard)
	if !errors.Is(err, superseded) {
		t.Errorf("%v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkWarmPush(b *testing.B) {
	host, s := rig(b, "IMGSPECD_TEST_REGISTRY"), openStore(b)
	target := publish.NewRegistry(publish.RegistryDeps{Transport: http.DefaultTransport.(*http.Transport).Clone()})
	name := host + "/" + newRepo(b, host) + ":one"
	from := pythonBase(b, s)
	must(b, second(target.Publish(b.Context(), name, on(b, from, newLayer(b, "a", 100_000)), progress.Discard)))
	for b.Loop() {
		b.StopTimer()
		img := on(b, from, newLayer(b, "a", 100_000))
		digestOf(b, img)
		b.StartTimer()
		must(b, second(target.Publish(b.Context(), name, img, progress.Discard)))
	}
}
