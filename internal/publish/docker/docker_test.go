package docker

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

func TestPublish(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		d := open(t, host, s)
		info, err := d.Info(t.Context())
		must(t, err)
		t.Logf("%+v", info)
		name := newName(t, d)
		if r, err := d.Check(t.Context(), name); err != nil || r.Digest != "" {
			t.Fatalf("before: %+v, %v", r, err)
		}
		from := pythonBase(t, s)
		img := on(t, from, newLayer(t, "a", 100_000), newLayer(t, "b", 100_000))
		start := time.Now()
		first := publishKept(t, s, d, name, img)
		t.Logf("two layers: %v", time.Since(start))
		if first.SentLayers != 2 || first.SentBytes > 220_000 {
			t.Errorf("the base was sent: %+v", first)
		}
		want := digestOf(t, img)
		if !info.Containerd {
			h, _ := img.ConfigName()
			want = h.String()
		}
		if r, err := d.Check(t.Context(), name); err != nil || r.Digest != want || first.Digest != want {
			t.Errorf("check: %+v, %v, want %s", r, err, want)
		}
		if r := publishKept(t, s, d, name, img); r.SentBytes != 0 || r.Digest != want {
			t.Errorf("again: %+v", r)
		}
		run(t, host, name, "/opt/a", "/opt/b")

		start = time.Now()
		r := publishKept(t, s, d, name, on(t, img, newLayer(t, "c", 1000)))
		t.Logf("one more layer: %v", time.Since(start))
		if r.SentLayers != 1 || r.SentBytes > 10_000 {
			t.Errorf("more than the new layer was sent: %+v", r)
		}
		run(t, host, name, "/opt/a", "/opt/c")
		c, err := d.connect(t.Context())
		must(t, err)
		if old, err := c.inspect(t.Context(), first.Digest); err != nil || old != nil {
			t.Errorf("the image that was replaced: %+v, %v", old, err)
		}
	})
}

// The engine is believed to have a base that it has not: each engine must say so, and
// the whole image must get there.
func TestPublishHeals(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		d := open(t, host, openStore(t))
		name := newName(t, d)
		img := on(t, scratch(t), newLayer(t, "base", 100_000), newLayer(t, "top", 1000))
		l := newLoad(t, d, name, img)
		err := l.try(t.Context(), l.parts.Blobs[1:])
		if err == nil {
			t.Fatal("an image without its first layer was loaded")
		}
		t.Log(err)
		if r, err := d.Check(t.Context(), name); err != nil || r.Digest != "" {
			t.Errorf("check: %+v, %v", r, err)
		}
		if r, err := d.Publish(t.Context(), name, img, progress.Discard); err != nil || r.SentLayers != 2 {
			t.Errorf("healed: %+v, %v", r, err)
		}
		if r, err := d.Check(t.Context(), name); err != nil || r.Digest == "" {
			t.Errorf("check: %+v, %v", r, err)
		}
	})
}

// A store holds a manifest some of whose blobs are not those of the base it has, though
// the files are the same (engines: trap 2).
func TestPublishSameFilesOtherBlobs(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		d := open(t, host, s)
		from := pythonBase(t, s)
		layers, _ := from.Layers()
		img := scratch(t)
		for _, l := range layers { // the same files, uncompressed
			plain, err := tarball.LayerFromOpener(l.Uncompressed, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.NoCompression))
			must(t, err)
			img = on(t, img, plain)
		}
		name := newName(t, d)
		img = on(t, img, newLayer(t, "a", 1000))
		l := newLoad(t, d, name, img)
		info := l.info
		if info.Containerd {
			err := l.try(t.Context(), l.parts.Blobs[2:])
			if err == nil || !strings.Contains(err.Error(), "lacks a part of its content") {
				t.Errorf("an image with holes was taken for whole: %v", err)
			}
		}
		r := publishKept(t, s, d, name, img)
		if want := map[bool]int{true: 3, false: 1}[info.Containerd]; r.SentLayers != want {
			t.Errorf("%d layers were sent, want %d", r.SentLayers, want)
		}
		if !info.Containerd {
			return
		}
		var buf countWriter
		out := exec.Command("docker", "-H", host, "save", name)
		out.Stdout = &buf
		if err := out.Run(); err == nil && buf < 100_000_000 {
			t.Errorf("docker save gives %d bytes: the store has holes", buf)
		}
	})
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) { *c += countWriter(len(p)); return len(p), nil }

func TestImage(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		ref, s := pythonRef(t), openStore(t)
		var bytes atomic.Int64
		d := open(t, "unix://"+proxy(t, host, func(n int64) bool { bytes.Add(n); return true }), s)
		name := newName(t, open(t, host, s))
		must(t, exec.Command("docker", "-H", host, "tag", ref, name).Run())
		img, err := d.Image(t.Context(), name, "linux/amd64")
		must(t, err)
		want := pythonBase(t, openStore(t))
		wantConfig, _ := want.ConfigName()
		if got, _ := img.ConfigName(); got != wantConfig {
			t.Errorf("config is %s, want %s", got, wantConfig)
		}
		info, _ := d.Info(t.Context())
		if info.Containerd && digestOf(t, img) != digestOf(t, want) {
			t.Errorf("digest is %s", digestOf(t, img))
		}
		layers, _ := img.Layers()
		for _, l := range layers {
			rc, err := l.Uncompressed()
			must(t, err)
			h, _, err := v1.SHA256(rc)
			rc.Close()
			if diffID, _ := l.DiffID(); err != nil || h != diffID {
				t.Errorf("layer: %s, want %s, %v", h, diffID, err)
			}
		}
		bytes.Store(0)
		again, err := d.Image(t.Context(), name, "linux/amd64")
		if err != nil || digestOf(t, again) != digestOf(t, img) || bytes.Load() > 100_000 {
			t.Errorf("again: %d bytes read, %v", bytes.Load(), err)
		}
		result := newName(t, open(t, host, s))
		if r := publishKept(t, s, d, result, on(t, img, newLayer(t, "a", 1000))); r.SentLayers != 1 {
			t.Errorf("on a base of its own: %+v", r)
		}
		run(t, host, result, "/opt/a")
		if _, err := d.Image(t.Context(), "imgspecd-test/none:none", "linux/amd64"); !errors.Is(err, ErrNoImage) {
			t.Errorf("no such image: %v", err)
		}
	})
}

func TestEngineGone(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		name := newName(t, open(t, host, s))
		var bytes atomic.Int64
		d := open(t, "unix://"+proxy(t, host, func(n int64) bool { return bytes.Add(n) < 2_000_000 }), s)
		_, err := d.Publish(t.Context(), name, on(t, scratch(t), newLayer(t, "a", 8_000_000)), progress.Discard)
		if !errors.Is(err, publish.ErrUnreachable) || !strings.Contains(err.Error(), "Docker does not answer at unix://") {
			t.Errorf("gone in the middle: %v", err)
		}
		t.Log(err)
		if r, err := open(t, host, s).Check(t.Context(), name); err != nil || r.Digest != "" {
			t.Errorf("half an image: %+v, %v", r, err)
		}
	})
	d := open(t, "unix:///nonexistent.sock", openStore(t))
	if _, err := d.Check(t.Context(), "x:y"); !errors.Is(err, publish.ErrUnreachable) {
		t.Errorf("never there: %v", err)
	}
	if _, err := d.Info(t.Context()); !errors.Is(err, publish.ErrUnreachable) {
		t.Errorf("never there: %v", err)
	}
	t.Log(fmt.Sprint(d.Check(t.Context(), "x:y")))
}

func TestCanceled(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		name := newName(t, open(t, host, s))
		ctx, cancel := context.WithCancelCause(t.Context())
		superseded := errors.New("superseded")
		var bytes atomic.Int64
		d := open(t, "unix://"+proxy(t, host, func(n int64) bool {
			if bytes.Add(n) > 2_000_000 {
				cancel(superseded)
			}
			return true
		}), s)
		_, err := d.Publish(ctx, name, on(t, scratch(t), newLayer(t, "a", 8_000_000)), progress.Discard)
		if !errors.Is(err, superseded) {
			t.Errorf("%v", err)
		}
	})
}

func TestBrokenLayerIsOurs(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		d := open(t, host, openStore(t))
		broken := errors.New("disk is gone")
		img := on(t, scratch(t), &failing{newLayer(t, "a", 100_000), broken})
		_, err := d.Publish(t.Context(), newName(t, d), img, progress.Discard)
		if !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}

type failing struct {
	v1.Layer
	err error
}

func (f *failing) Compressed() (io.ReadCloser, error) {
	rc, err := f.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(rc, 50_000), failingReader{f.err})), nil
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func BenchmarkWarmLoad(b *testing.B) {
	for _, name := range []string{"IMGSPECD_TEST_DOCKER", "IMGSPECD_TEST_DOCKER29", "IMGSPECD_TEST_DOCKER29GD"} {
		b.Run(name, func(b *testing.B) {
			host := os.Getenv(name)
			if host == "" {
				b.Skipf("%s is not set", name)
			}
			s := openStore(b)
			d := open(b, host, s)
			image, from := newName(b, d), pythonBase(b, s)
			for b.Loop() {
				b.StopTimer()
				img := on(b, from, newLayer(b, "a", 100_000))
				digestOf(b, img)
				b.StartTimer()
				_, err := d.Publish(b.Context(), image, img, progress.Discard)
				must(b, err)
			}
		})
	}
}

// A base that only the engine has is found there, and an image on it gets back into it.
func TestBaseFromTheEngine(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		d := open(t, host, s)
		mine := "127.0.0.1:1/" + newName(t, d)
		must(t, exec.Command("docker", "-H", host, "tag", pythonRef(t), mine).Run())
		t.Cleanup(func() { exec.Command("docker", "-H", host, "rmi", mine).Run() })
		b, err := base.NewResolver(base.Deps{Blobs: s, Cache: s, FromDocker: d.Image}).Resolve(t.Context(), mine, "linux/amd64", progress.Discard)
		must(t, err)
		if b.Info.From != "docker" || b.Info.Python == nil || b.Info.Python.Version != "3.11.11" {
			t.Errorf("%s %+v", b.Info.From, b.Info.Python)
		}
	})
}
