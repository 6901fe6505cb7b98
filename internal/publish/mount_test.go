package publish_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// uploads counts the uploads in what a wire saw: bodies put, uploads begun and given up.
func uploads(calls []string) (put, begun, given int) {
	for _, c := range calls {
		switch method, path, _ := strings.Cut(c, " "); {
		case !strings.Contains(path, "/blobs/uploads/"):
		case method == http.MethodPut:
			put++
		case method == http.MethodPost:
			begun++
		case method == http.MethodDelete:
			given++
		}
	}
	return put, begun, given
}

func TestRegistryMovesWithoutBytes(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	img := mutate.ConfigMediaType(on(t, small(t), newLayer(t, "a", 100_000), newLayer(t, "b", 100_000)), types.OCIConfigJSON)
	t.Run("seen by this process", func(t *testing.T) {
		target := publish.NewRegistry(publish.RegistryDeps{})
		must(t, second(target.Publish(t.Context(), host+"/"+newRepo(t, host)+":one", img, progress.Discard)))
		r, err := target.Publish(t.Context(), host+"/"+newRepo(t, host)+":one", img, progress.Discard)
		if err != nil || r.SentLayers != 0 || r.Digest != digestOf(t, img) {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		s := openStore(t)
		layout := publish.NewLayout(s, s)
		from, to := host+"/"+newRepo(t, host)+":one", host+"/"+newRepo(t, host)+":one"
		w := newWire()
		deps := publish.RegistryDeps{Transport: w, Elsewhere: publish.Published(s, s)}
		var sent publish.Receipt
		for _, name := range []string{from, to} { // each by a target that has seen nothing
			must(t, second(layout.Publish(t.Context(), name, img, progress.Discard)))
			w.take()
			r, err := publish.NewRegistry(deps).Publish(t.Context(), name, img, progress.Discard)
			must(t, err)
			sent = r
		}
		put, begun, _ := uploads(w.take())
		if sent.SentLayers != 0 || put != 1 || begun != 4 || sent.Digest != digestOf(t, img) { // the config is sent
			t.Errorf("%+v; %d bodies, %d uploads", sent, put, begun)
		}
		skopeoInspect(t, "docker://"+to, digestOf(t, img), "--tls-verify=false")
	})
}

func TestRegistryMountsFromSeveral(t *testing.T) {
	host, img := rig(t, "IMGSPECD_TEST_REGISTRY"), small(t)
	has, lacks := newRepo(t, host), newRepo(t, host)
	must(t, second(publish.NewRegistry(publish.RegistryDeps{}).Publish(t.Context(), host+"/"+has+":one", img, progress.Discard)))
	for name, c := range map[string]struct {
		told  []string
		sends int
	}{
		"the second has it":                   {[]string{lacks, has}, 0},
		"none has it":                         {[]string{lacks, lacks + "/b", lacks + "/c"}, 1},
		"the fourth has it, which is too far": {[]string{lacks, lacks + "/b", lacks + "/c", has}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			target := publish.NewRegistry(publish.RegistryDeps{Transport: w, Elsewhere: func(r string, _ v1.Hash) []string {
				if r != host {
					t.Errorf("asked for %s", r)
				}
				return c.told
			}})
			r, err := target.Publish(t.Context(), host+"/"+newRepo(t, host)+":one", img, progress.Discard)
			if err != nil || r.SentLayers != c.sends || r.Digest != digestOf(t, img) {
				t.Errorf("%+v, %v", r, err)
			}
			// Every upload is used or given up: that of the last mount declined is the one gone on with.
			put, begun, given := uploads(w.take())
			mounted := 1 - c.sends
			if begun != put+given+mounted {
				t.Errorf("%d begun, %d used, %d given up", begun, put, given)
			}
		})
	}
}

// An image in the layout names its own repository before it is pushed: that must not keep a layer from being sent.
func TestPublishedIsAGuess(t *testing.T) {
	s, img := openStore(t), small(t)
	at := publish.Published(s, s)
	layers, err := img.Layers()
	must(t, err)
	h, err := layers[0].Digest()
	must(t, err)
	layout := publish.NewLayout(s, s)
	for _, name := range []string{"r.example.com/p/a:1", "local:1", "acme/app:1", "r.example.com/p/b:x_"} {
		must(t, second(layout.Publish(t.Context(), name, img, progress.Discard)))
	}
	for registry, want := range map[string][]string{
		"r.example.com": {"p/b", "p/a"}, "index.docker.io": {"acme/app"}, "other.example.com": nil,
	} {
		if got := at(registry, h); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", registry, got, want)
		}
	}
	must(t, s.UpdateIndex(func(m *v1.IndexManifest) error { m.Manifests = m.Manifests[:1]; return nil }))
	if got := at("r.example.com", h); !slices.Equal(got, []string{"p/a"}) {
		t.Errorf("after names are gone: %v", got)
	}
}

// guarded is a registry that asks for bearer tokens, and mounts only what the token says may be read: it is silent about
// anything else, and declines. Its token server refuses tokens that are to read what is denied.
type guarded struct {
	*httptest.Server
	mu     sync.Mutex
	scopes [][]string // of the tokens given
	denied string
}

func newGuarded(t *testing.T, host string) *guarded {
	g := &guarded{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: host})
		r.Out.Host = r.In.Host // what the registry's Locations lead to
	}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			g.token(w, r)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer for ")
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+g.URL+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if q := r.URL.Query(); q.Has("from") && !strings.Contains(token, "repository:"+q.Get("from")+":pull") {
			r.URL.RawQuery = ""
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *guarded) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	scopes := r.URL.Query()["scope"]
	g.scopes = append(g.scopes, scopes)
	if g.denied != "" && strings.Contains(strings.Join(scopes, " "), g.denied) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": "for " + strings.Join(scopes, " ")})
}

func TestRegistryMountsWithATokenForBoth(t *testing.T) {
	host := rig(t, "IMGSPECD_TEST_REGISTRY")
	img := on(t, small(t), newLayer(t, "a", 1000), newLayer(t, "b", 1000))
	for name, denied := range map[string]bool{"allowed": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, host)
			at := strings.TrimPrefix(g.URL, "http://")
			from, to := newRepo(t, host), newRepo(t, host)
			must(t, second(publish.NewRegistry(publish.RegistryDeps{}).Publish(t.Context(), host+"/"+from+":one", img, progress.Discard)))
			sends, tokens := 0, 2 // one to push, one to mount too
			if denied {
				g.denied, sends = from, 3
			}
			target := publish.NewRegistry(publish.RegistryDeps{Elsewhere: func(string, v1.Hash) []string { return []string{from} }})
			r, err := target.Publish(t.Context(), at+"/"+to+":one", img, progress.Discard)
			if err != nil || r.SentLayers != sends || r.Digest != digestOf(t, img) {
				t.Errorf("%+v, %v", r, err)
			}
			if len(g.scopes) != tokens {
				t.Errorf("tokens: %q", g.scopes)
			}
		})
	}
}
