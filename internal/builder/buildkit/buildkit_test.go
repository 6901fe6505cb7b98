package buildkit

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
	"github.com/imgspecd/imgspecd/internal/store"
)

// machines calls f for every BuildKit of the rig.
func machines(t *testing.T, f func(t *testing.T, m *Machine, s *store.Store)) {
	t.Helper()
	for _, v := range []string{"DOCKER", "DOCKER29GD", "DOCKER29", "BUILDKIT"} {
		at := os.Getenv("IMGSPECD_TEST_" + v)
		if at == "" {
			t.Logf("IMGSPECD_TEST_%s is not set: left out", v)
			continue
		}
		t.Run(strings.ToLower(v), func(t *testing.T) {
			s, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			d := Deps{Blobs: s, Tmp: s.Tmp(), Log: slog.New(slog.DiscardHandler), CA: []byte("-- the bundle --\n"), Proxy: Proxy{No: "canary.example"}}
			if v == "BUILDKIT" {
				d.Address = at
			} else {
				eng, err := docker.New(docker.Deps{Host: at, Blobs: s})
				if err != nil {
					t.Fatal(err)
				}
				d.Docker = eng
			}
			m := New(d)
			f(t, m, s)
		})
	}
}

// base is the rig's Python image, kept in s as it is read.
func base(t *testing.T, s *store.Store) v1.Image {
	t.Helper()
	at := os.Getenv("IMGSPECD_TEST_BASE_PYTHON")
	if at == "" {
		t.Skip("IMGSPECD_TEST_BASE_PYTHON is not set")
	}
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := blob.NewImage(blob.Image{Manifest: manifest, Config: config, Store: s, Fetch: func(d v1.Descriptor) (io.ReadCloser, error) {
		l, err := img.LayerByDigest(d.Digest)
		if err != nil {
			return nil, err
		}
		return l.Compressed()
	}})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func shell(title, script string) plan.Step {
	return plan.Step{Title: title, Platform: "linux/amd64", Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}}
}

// entries lists a layer.
func entries(t *testing.T, s *store.Store, l Layer) map[string]*tar.Header {
	t.Helper()
	f, err := s.OpenBlob(l.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := blob.Decompress(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string]*tar.Header{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Trim(h.Name, "/")] = h
	}
}

func TestStepLeavesWhatItDidAndNoMore(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(secret, []byte("the password"), 0o600); err != nil {
		t.Fatal(err)
	}
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		nonce := time.Now().Format(time.RFC3339Nano)
		step := shell("see and write "+nonce, `set -e; mkdir -p /opt/made; echo "$WORD" > /opt/made/word; rm /etc/issue; chown 7:8 /opt/made/word
			grep -q 'the bundle' "$SSL_CERT_FILE"; grep -q 'ca.pem' "$APT_CONFIG"; [ "$no_proxy" = canary.example ]
			grep -q 'the password' /root/.secret; echo kept > /var/cache/mine/x; pwd; id -un; echo `+nonce)
		step.Env = append(step.Env, "WORD=as said")
		step.Mounts = []plan.Mount{{Target: "/var/cache/mine", Cache: "test"}}
		step.Secrets = []plan.Secret{{Source: secret, Target: "/root/.secret"}}
		var said []string
		r, err := m.Run(t.Context(), base(t, s), step, func(line string) { said = append(said, line) })
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Layers) != 1 || r.Cached {
			t.Fatalf("%d layers, cached: %v", len(r.Layers), r.Cached)
		}
		if !slices.Contains(said, "/") || !slices.Contains(said, "root") {
			t.Errorf("it said %q", said)
		}
		got := entries(t, s, r.Layers[0])
		if h := got["opt/made/word"]; h == nil || h.Uid != 7 || h.Gid != 8 {
			t.Errorf("opt/made/word: %+v", h)
		}
		if got["etc/.wh.issue"] == nil {
			t.Error("the removed file has no whiteout")
		}
		for name := range got {
			for _, no := range []string{"run/imgspecd", "secret", "var/cache/mine", "result"} {
				if strings.Contains(name, no) {
					t.Errorf("the layer holds %s, which was mounted", name)
				}
			}
		}
		again, err := m.Run(t.Context(), base(t, s), step, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !again.Cached {
			t.Error("the same step was executed again")
		}
		if len(again.Layers) != 1 || again.Layers[0].DiffID != r.Layers[0].DiffID {
			t.Errorf("another layer the second time: %v, %v", again.Layers, r.Layers)
		}
		step.Anew = true
		if anew, err := m.Run(t.Context(), base(t, s), step, nil); err != nil || anew.Cached {
			t.Errorf("executed anew: %v, %v", !anew.Cached, err)
		}
	})
}

func TestOutputIsTaken(t *testing.T) {
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		src := t.TempDir()
		if err := os.WriteFile(filepath.Join(src, "in.txt"), []byte("from the host"), 0o644); err != nil {
			t.Fatal(err)
		}
		step := shell("fill", "cp /in/in.txt /out/out.txt")
		step.Output = "/out"
		step.Mounts = []plan.Mount{{Target: "/in", Local: src}}
		dir := t.TempDir()
		if err := m.Fill(t.Context(), base(t, s), step, dir, nil); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "out.txt"))
		if err != nil || string(b) != "from the host" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestStepThatFails(t *testing.T) {
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		_, err := m.Run(t.Context(), base(t, s), shell("fail", "echo one; printf 'half\\rno such thing'; exit 3"), nil)
		var step *StepError
		if !errors.As(err, &step) || step.Code != 3 || len(step.Tail) == 0 || step.Tail[len(step.Tail)-1] != "no such thing" {
			t.Errorf("%v: %+v", err, step)
		}
	})
}

func TestCancelEndsTheStep(t *testing.T) {
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("superseded")
		at := time.Now()
		_, err := m.Run(ctx, base(t, s), shell("wait", "echo here; sleep 300"), func(line string) {
			if line == "here" {
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
		if d := time.Since(at); d > time.Minute {
			t.Errorf("it went on for %s", d)
		}
	})
}

func TestOtherPlatformIsRefused(t *testing.T) {
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		step := shell("elsewhere", "true")
		step.Platform = "linux/s390x"
		_, err := m.Run(t.Context(), base(t, s), step, nil)
		var p *PlatformError
		if !errors.As(err, &p) || !strings.Contains(err.Error(), "linux/amd64") {
			t.Errorf("%v", err)
		}
	})
}

func TestNoBuildKit(t *testing.T) {
	m := New(Deps{Default: []string{"unix:///nowhere/buildkitd.sock"}})
	if _, err := m.Info(t.Context()); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "/nowhere/buildkitd.sock") {
		t.Errorf("%v", err)
	}
}

// house is the login of a keychain.
type house struct{}

func (house) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "house", Password: "secret"}, nil
}

func TestMountFromAPrivateRegistry(t *testing.T) {
	open := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	asked := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "house" || password != "secret" {
			asked = true
			w.Header().Set("WWW-Authenticate", `Basic realm="house"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		open.ServeHTTP(w, r)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	img, err := crane.Image(map[string][]byte{"tool": []byte("from a private registry\n")})
	if err != nil {
		t.Fatal(err)
	}
	ref := host + "/tools/" + strings.ToLower(rand.Text()) + ":1"
	if err := crane.Push(img, ref, crane.WithAuthFromKeychain(house{})); err != nil {
		t.Fatal(err)
	}
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		m.deps.Keychain = house{}
		step := shell("mount", "cat /tool # "+rand.Text()) // which no BuildKit has executed yet
		step.Mounts = []plan.Mount{{Target: "/tool", Image: ref, Source: "/tool"}}
		var said []string
		if _, err := m.Run(t.Context(), base(t, s), step, func(line string) { said = append(said, line) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(said, "from a private registry") {
			t.Errorf("it said %q", said)
		}
	})
	if !asked {
		t.Error("no login was asked for")
	}
}

// Steps on one image, at once: none takes away what another needs.
func TestStepsAtOnce(t *testing.T) {
	machines(t, func(t *testing.T, m *Machine, s *store.Store) {
		img := base(t, s)
		var g errgroup.Group
		for i := range 6 {
			g.Go(func() error {
				step := shell("at once", fmt.Sprintf("echo %d %s > /out/n", i, time.Now()))
				step.Output = "/out"
				return m.Fill(t.Context(), img, step, t.TempDir(), nil)
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}
