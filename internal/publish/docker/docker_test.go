package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unique() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// engines runs a test on each engine of the rig.
func engines(t *testing.T, test func(t *testing.T, host string)) {
	for _, name := range []string{"IMGSPECD_TEST_DOCKER", "IMGSPECD_TEST_DOCKER29", "IMGSPECD_TEST_DOCKER29GD"} {
		t.Run(name, func(t *testing.T) {
			host := os.Getenv(name)
			if host == "" {
				t.Skipf("%s is not set", name)
			}
			test(t, host)
		})
	}
}

func open(t testing.TB, host string, s *store.Store) *Docker {
	t.Helper()
	d, err := New(Deps{Host: host, Blobs: blob.Of(s)})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// newName is an image name that is removed at the end.
func newName(t testing.TB, d *Docker) string {
	t.Helper()
	name := "imgspecd-test/" + unique() + ":one"
	t.Cleanup(func() {
		c, err := d.connect(context.Background())
		if err == nil {
			c.api.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		}
	})
	return name
}

func newLayer(t testing.TB, name string, size int) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	tw := tar.NewWriter(zw)
	var seed [32]byte
	rand.Read(seed[:])
	must(t, tw.WriteHeader(&tar.Header{Name: "opt/", Typeflag: tar.TypeDir, Mode: 0o755}))
	must(t, tw.WriteHeader(&tar.Header{Name: "opt/" + name, Size: int64(size), Mode: 0o644, ModTime: time.Unix(0, 0)}))
	_, err := io.CopyN(tw, mrand.NewChaCha8(seed), int64(size))
	must(t, err)
	must(t, tw.Close())
	must(t, zw.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	must(t, err)
	return l
}

func on(t testing.TB, img v1.Image, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(img, types.OCIManifestSchema1), layers...)
	must(t, err)
	return img
}

func scratch(t testing.TB) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	must(t, err)
	return img
}

func digestOf(t testing.TB, x interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := x.Digest()
	must(t, err)
	return h.String()
}

func pythonRef(t testing.TB) string {
	ref := os.Getenv("IMGSPECD_TEST_BASE_PYTHON")
	if ref == "" {
		t.Skip("IMGSPECD_TEST_BASE_PYTHON is not set")
	}
	return ref
}

func pythonBase(t testing.TB, s *store.Store) v1.Image {
	t.Helper()
	b, err := base.NewResolver(base.Deps{Blobs: blob.Of(s)}).Resolve(t.Context(), pythonRef(t), "linux/amd64", progress.Discard)
	must(t, err)
	return b.Image
}

// publishKept puts an image into the layout first, as the engine does: its manifest is
// then among the blobs.
func publishKept(t testing.TB, s *store.Store, d *Docker, name string, img v1.Image) publish.Receipt {
	t.Helper()
	_, err := publish.NewLayout(blob.Of(s), s).Publish(t.Context(), name, img, progress.Discard)
	must(t, err)
	r, err := d.Publish(t.Context(), name, img, progress.Discard)
	must(t, err)
	return r
}

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

func run(t *testing.T, host, name string, files ...string) {
	t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Log("the docker command is not installed: not run")
		return
	}
	args := append([]string{"-H", host, "run", "--rm", "--network=none", name, "wc", "-c"}, files...)
	if out, err := exec.Command(docker, args...).CombinedOutput(); err != nil {
		t.Errorf("docker run: %v: %s", err, out)
	}
}

func newLoad(t *testing.T, d *Docker, name string, img v1.Image) *load {
	t.Helper()
	ref, err := parse(name)
	must(t, err)
	p, err := publish.PartsOf(img)
	must(t, err)
	c, err := d.connect(t.Context())
	must(t, err)
	info, err := c.info(t.Context())
	must(t, err)
	cfg, err := img.ConfigFile()
	must(t, err)
	return &load{conn: c, ref: ref, parts: p, diffIDs: cfg.RootFS.DiffIDs, info: info, sent: publish.NewTally("docker", progress.Discard)}
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
		img, err := d.Image(t.Context(), name)
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
		again, err := d.Image(t.Context(), name)
		if err != nil || digestOf(t, again) != digestOf(t, img) || bytes.Load() > 100_000 {
			t.Errorf("again: %d bytes read, %v", bytes.Load(), err)
		}
		result := newName(t, open(t, host, s))
		if r := publishKept(t, s, d, result, on(t, img, newLayer(t, "a", 1000))); r.SentLayers != 1 {
			t.Errorf("on a base of its own: %+v", r)
		}
		run(t, host, result, "/opt/a")
		if _, err := d.Image(t.Context(), "imgspecd-test/none:none"); !errors.Is(err, ErrNoImage) {
			t.Errorf("no such image: %v", err)
		}
	})
}

// proxy stands between us and an engine's socket. It hears how many bytes pass, and
// cuts all connections when told false.
func proxy(t *testing.T, host string, pass func(n int64) bool) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy") // short: socket paths are
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	ln, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", strings.TrimPrefix(host, "unix://"))
			if err != nil {
				in.Close()
				return
			}
			relay := func(to, from net.Conn) {
				defer in.Close()
				defer out.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := from.Read(buf)
					if !pass(int64(n)) {
						ln.Close()
						return
					}
					if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			}
			go relay(out, in)
			go relay(in, out)
		}
	}()
	return socket
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
