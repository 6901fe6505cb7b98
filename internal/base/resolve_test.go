package base_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/store"
)

func rig(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Skipf("%s is not set", name)
	}
	return v
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// counting counts requests by method and whether they are for blobs.
type counting struct {
	mu    sync.Mutex
	calls []string
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.calls = append(c.calls, r.Method+" "+r.URL.Path)
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counting) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func TestResolveFromRegistryReadsEachByteOnce(t *testing.T) {
	ref := rig(t, "IMGSPECD_TEST_BASE_PYTHON")
	s, tr := openStore(t), &counting{}
	r := base.NewResolver(base.Deps{Transport: tr, Cache: s, Blobs: s})
	var last progress.Event
	var mu sync.Mutex
	b, err := r.Resolve(t.Context(), ref, "linux/amd64", func(e progress.Event) { mu.Lock(); last = e; mu.Unlock() })
	if err != nil {
		t.Fatal(err)
	}
	checkPython311(t, b)
	if b.Info.From != "registry" || b.Info.Ref != ref {
		t.Errorf("From, Ref = %q, %q", b.Info.From, b.Info.Ref)
	}
	if last.Bytes != last.BytesTotal || last.Items != 2 || last.Bytes == 0 {
		t.Errorf("last event = %+v", last)
	}
	layers, err := b.Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	tr.take()
	for _, l := range layers {
		if h, _ := l.Digest(); !has(s, h) {
			t.Errorf("layer %s was not kept", h)
		}
		rc, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		rc.Close()
	}
	again, err := r.Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if again.Info.Digest != b.Info.Digest || len(again.Info.Files) != len(b.Info.Files) {
		t.Error("the second finding differs")
	}
	if calls := tr.take(); len(calls) != 1 || !strings.HasPrefix(calls[0], "HEAD ") {
		t.Errorf("requests of the second Resolve: %v", calls)
	}
}

func has(s *store.Store, h v1.Hash) bool { _, ok := s.Has(h.String()); return ok }

func checkPython311(t *testing.T, b *base.Base) {
	t.Helper()
	i := b.Info
	if i.Python == nil || *i.Python != (base.Python{Path: "/usr/local/bin/python3.11", Link: "/usr/local/bin/python3", Version: "3.11.11"}) {
		t.Errorf("Python = %+v", i.Python)
	}
	if i.Libc.Kind != "glibc" || i.Libc.Major != 2 || i.Libc.Minor != 36 {
		t.Errorf("Libc = %+v", i.Libc)
	}
	if i.Platform != "linux/amd64" || i.Layers != 2 || len(i.DiffIDs) != 2 || !i.HasCA {
		t.Errorf("Info = %+v", i)
	}
	if e := i.Files["/etc/passwd"]; !strings.Contains(string(e.Content), "root:x:0:0:") || e.Mode.Perm() != 0o644 {
		t.Errorf("/etc/passwd = %v %q", e.Mode, e.Content)
	}
	if e := i.Files["/etc/shadow"]; e.Mode.Perm() != 0o640 {
		t.Errorf("/etc/shadow = %v", e.Mode)
	}
	for _, p := range []string{"/root", "/root/.bashrc", "/home", "/etc/skel/.profile", "/etc", "/etc/ssl", "/opt"} {
		if _, ok := i.Files[p]; !ok {
			t.Errorf("no entry for %s", p)
		}
	}
	if e := i.Files["/root"]; !e.Mode.IsDir() || e.Mode.Perm() != 0o700 {
		t.Errorf("/root = %v", e.Mode)
	}
}

func TestResolveFromLayout(t *testing.T) {
	dir := rig(t, "IMGSPECD_TEST_BASE_LAYOUT")
	r := base.NewResolver(base.Deps{})
	b, err := r.Resolve(t.Context(), "oci:"+dir+":python:3.11-slim", "linux/amd64", progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	checkPython311(t, b)
	b, err = r.Resolve(t.Context(), "oci:"+dir+"@"+b.Info.Digest, "", progress.Discard)
	if err != nil || b.Info.Python.Version != "3.11.11" {
		t.Errorf("by digest: %v", err)
	}
	b, err = r.Resolve(t.Context(), "oci:"+dir+":python:3.14-slim", "linux/amd64", progress.Discard)
	if err != nil || b.Info.Python.Version != "3.14.6" {
		t.Errorf("3.14: %v %+v", err, b)
	}
	b, err = r.Resolve(t.Context(), "oci:"+dir+":debian:bookworm-slim", "linux/amd64", progress.Discard)
	if err != nil || b.Info.Python != nil {
		t.Errorf("debian: %v %+v", err, b)
	}
	for ref, want := range map[string]string{
		"oci:" + dir:                     "images, and none is named; it has debian:bookworm-slim,",
		"oci:" + dir + ":python:2":       "has no image python:2; it has debian:bookworm-slim,",
		"oci:" + dir + "/nothing:x":      "no OCI layout",
		"oci:relative":                   "absolute path",
		"oci:" + t.TempDir() + "/:a:b:c": "no OCI layout",
	} {
		_, err := r.Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	registry := rig(t, "IMGSPECD_TEST_REGISTRY")
	docker := errors.New("no such image")
	r := base.NewResolver(base.Deps{FromDocker: func(context.Context, string, string) (v1.Image, error) { return nil, docker }})
	for _, c := range []struct {
		ref, platform string
		is            error
		want          string
	}{
		{registry + "/base/none:1", "linux/amd64", base.ErrNotFound, "registry " + registry + " has no base/none:1; nor from Docker: no such image"},
		{"127.0.0.1:1/x:1", "linux/amd64", base.ErrUnreachable, "registry 127.0.0.1:1 cannot be reached"},
		{registry + "/base/python:3.11-slim", "linux/arm64", base.ErrPlatform, "it is for linux/amd64, but linux/arm64 is asked for"},
		{"Not A Ref", "linux/amd64", nil, "not an image reference"},
		{"x", "vax", nil, `platform "vax" is not of the form`},
	} {
		_, err := r.Resolve(t.Context(), c.ref, c.platform, progress.Discard)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.ref, err)
		}
	}
}
