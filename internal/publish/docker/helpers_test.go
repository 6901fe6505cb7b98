package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/base"
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
	d, err := New(Deps{Host: host, Blobs: s})
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
	b, err := base.NewResolver(base.Deps{Blobs: s}).Resolve(t.Context(), pythonRef(t), "linux/amd64", progress.Discard)
	must(t, err)
	return b.Image
}

// publishKept puts a content into the layout first, as the engine does: its manifest is
// then among the blobs.
func publishKept(t testing.TB, s *store.Store, d *Docker, name string, content publish.Content) publish.Receipt {
	t.Helper()
	_, err := publish.NewLayout(s, s).Publish(t.Context(), name, content, progress.Discard)
	must(t, err)
	r, err := d.Publish(t.Context(), name, content, progress.Discard)
	must(t, err)
	return r
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
	return &load{conn: c, ref: ref, parts: p, info: info, sent: publish.NewTally("docker", progress.Discard)}
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
