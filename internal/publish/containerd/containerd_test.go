package containerd

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each runs a test on each containerd of the rig, in a namespace of its own.
func each(t *testing.T, test func(t *testing.T, c *Containerd, api *client.Client, ctx context.Context)) {
	for _, variable := range []string{"IMGSPECD_TEST_CONTAINERD", "IMGSPECD_TEST_CONTAINERD2"} {
		t.Run(variable, func(t *testing.T) {
			address := os.Getenv(variable)
			if address == "" {
				t.Skipf("%s is not set", variable)
			}
			c := New(Deps{Address: "unix://" + address, Namespace: "imgspecd-test-" + strings.ToLower(rand.Text())})
			t.Cleanup(func() { must(t, c.Close()) })
			api, ctx, err := c.connect(context.WithoutCancel(t.Context()))
			must(t, err)
			t.Cleanup(func() { purge(ctx, t, api, c.deps.Namespace) })
			test(t, c, api, ctx)
		})
	}
}

// purge removes a namespace with what is in it.
func purge(ctx context.Context, t *testing.T, api *client.Client, namespace string) {
	all, err := api.ImageService().List(ctx)
	must(t, err)
	for _, i := range all {
		must(t, api.ImageService().Delete(ctx, i.Name, images.SynchronousDelete()))
	}
	collect(ctx, t, api)
	if err := api.NamespaceService().Delete(ctx, namespace); err != nil && !errdefs.IsNotFound(err) {
		t.Logf("namespace %s stays: %v", namespace, err)
	}
}

// collect has the garbage collector run, as the deletion of an image does.
func collect(ctx context.Context, t *testing.T, api *client.Client) {
	t.Helper()
	const name = "docker.io/imgspecd-test/collect:1"
	_, err := api.ImageService().Create(ctx, images.Image{Name: name, Target: descriptor(v1.Descriptor{
		MediaType: types.OCIManifestSchema1, Size: 1, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)},
	})})
	must(t, err)
	must(t, api.ImageService().Delete(ctx, name, images.SynchronousDelete()))
}

// debian is a base of the rig, whole.
func debian(t *testing.T) v1.Image {
	t.Helper()
	dir, ref := os.Getenv("IMGSPECD_TEST_BASE_LAYOUT"), os.Getenv("IMGSPECD_TEST_BASE_DEBIAN")
	if dir == "" {
		t.Skip("IMGSPECD_TEST_BASE_LAYOUT is not set")
	}
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	m, err := index.IndexManifest()
	must(t, err)
	_, tag, _ := strings.Cut(ref, "/base/")
	for _, d := range m.Manifests {
		if strings.HasSuffix(d.Annotations["org.opencontainers.image.ref.name"], tag) {
			img, err := index.Image(d.Digest)
			must(t, err)
			return img
		}
	}
	t.Fatalf("no %s in %s: %+v", tag, dir, m.Manifests)
	return nil
}

// on adds a layer with one file.
func on(t *testing.T, img v1.Image, file, text string) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(img, types.OCIManifestSchema1), static.NewLayer(tarOf(t, file, text), types.OCIUncompressedLayer))
	must(t, err)
	return img
}

func scratch(t *testing.T, arch string) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch})
	must(t, err)
	return mutate.ConfigMediaType(img, types.OCIConfigJSON)
}

func put(t *testing.T, c *Containerd, name string, content publish.Content) publish.Receipt {
	t.Helper()
	r, err := c.Publish(t.Context(), name, content, progress.Discard)
	must(t, err)
	return r
}

// sizes is what a change of one layer may send: that layer, the config and the manifest.
func sizes(t *testing.T, img v1.Image) (n int64) {
	t.Helper()
	m, err := img.Manifest()
	must(t, err)
	size, err := img.Size()
	must(t, err)
	return m.Layers[len(m.Layers)-1].Size + m.Config.Size + size
}

func TestPublish(t *testing.T) {
	each(t, func(t *testing.T, c *Containerd, api *client.Client, ctx context.Context) {
		base := debian(t)
		name := "imgspecd-test/app:one"
		first := on(t, base, "etc/said", "one\n")
		r := put(t, c, name, first)
		if digest, _ := first.Digest(); r.Digest != digest.String() || r.SentLayers == 0 {
			t.Errorf("the receipt is %+v", r)
		}
		if again := put(t, c, name, first); again.SentBytes != 0 || again.Digest != r.Digest {
			t.Errorf("again: %+v", again)
		}
		second := on(t, base, "etc/said", "two\n")
		if r := put(t, c, name, second); r.SentLayers != 1 || r.SentBytes != sizes(t, second) {
			t.Errorf("one layer changed: %+v, want %d bytes", r, sizes(t, second))
		}
		collect(ctx, t, api)
		if got, err := c.Check(t.Context(), name); err != nil || got.Digest == "" || got.Digest == r.Digest {
			t.Errorf("after a collection: %+v, %v", got, err)
		}
		if out := ctr(t, c, "images", "check", "name==docker.io/"+name); !strings.Contains(out, "complete") || !strings.Contains(out, "true") {
			t.Errorf("ctr images check: %s", out)
		}
		if out := ctr(t, c, "run", "--rm", "docker.io/"+name, "t"+strings.ToLower(rand.Text()), "cat", "/etc/said"); out != "two\n" {
			t.Errorf("the container prints %q", out)
		}
	})
}

// A blob that is gone is noticed, and sent again.
func TestHoles(t *testing.T) {
	each(t, func(t *testing.T, c *Containerd, api *client.Client, ctx context.Context) {
		name := "imgspecd-test/holes:1"
		img := on(t, on(t, scratch(t, "amd64"), "a", rand.Text()), "b", rand.Text())
		put(t, c, name, img)
		m, err := img.Manifest()
		must(t, err)
		lost := m.Layers[0]
		must(t, api.ContentStore().Delete(ctx, digest.Digest(lost.Digest.String())))
		if r, err := c.Check(t.Context(), name); err != nil || r.Digest != "" {
			t.Errorf("without a layer it is there: %+v, %v", r, err)
		}
		if r := put(t, c, name, img); r.SentLayers != 1 || r.SentBytes != lost.Size {
			t.Errorf("healed by %+v, want %d bytes", r, lost.Size)
		}
		if r, err := c.Check(t.Context(), "imgspecd-test/holes:none"); err != nil || r.Digest != "" {
			t.Errorf("what was never there: %+v, %v", r, err)
		}
	})
}

// Of an index all is there and stays there, and what this machine can run is unpacked.
func TestIndex(t *testing.T) {
	each(t, func(t *testing.T, c *Containerd, api *client.Client, ctx context.Context) {
		foreign, own := on(t, scratch(t, "s390x"), "a", rand.Text()), on(t, scratch(t, "amd64"), "a", rand.Text())
		both, err := publish.Together([]v1.Image{foreign, own})
		must(t, err)
		name := "imgspecd-test/index:1"
		want, err := both.Digest()
		must(t, err)
		if r := put(t, c, name, both); r.Digest != want.String() || r.SentLayers != 2 {
			t.Errorf("the receipt is %+v", r)
		}
		collect(ctx, t, api)
		if r, err := c.Check(t.Context(), name); err != nil || r.Digest != want.String() {
			t.Errorf("after a collection: %+v, %v", r, err)
		}
		if r := put(t, c, "imgspecd-test/foreign:1", foreign); r.SentBytes != 0 {
			t.Errorf("alone: %+v", r)
		}
	})
}

// A publish that is canceled leaves the name as it was.
func TestCanceled(t *testing.T) {
	each(t, func(t *testing.T, c *Containerd, _ *client.Client, _ context.Context) {
		name := "imgspecd-test/canceled:1"
		old := put(t, c, name, on(t, scratch(t, "amd64"), "a", rand.Text()))
		ctx, cancel := context.WithCancel(t.Context())
		halfway := halting{static.NewLayer(tarOf(t, "b", strings.Repeat(rand.Text(), 1<<16)), types.OCIUncompressedLayer), cancel}
		img, err := mutate.AppendLayers(scratch(t, "amd64"), halfway)
		must(t, err)
		if _, err := c.Publish(ctx, name, img, progress.Discard); !errors.Is(err, context.Canceled) {
			t.Fatalf("canceled: %v", err)
		}
		if r, err := c.Check(t.Context(), name); err != nil || r.Digest != old.Digest {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
		whole, err := mutate.AppendLayers(scratch(t, "amd64"), halfway.Layer)
		must(t, err)
		put(t, c, name, whole) // what was begun is in nobody's way
	})
}

// halting is a layer whose reader ends its own publish after a while.
type halting struct {
	v1.Layer
	cancel func()
}

func (h halting) Compressed() (io.ReadCloser, error) {
	rc, err := h.Layer.Compressed()
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(rc, 1<<17), readerFunc(func([]byte) (int, error) {
		h.cancel()
		return 0, io.ErrClosedPipe
	})), rc}, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What another attempt left behind, locked by a process that hangs or with other bytes than it should have, is in nobody's way.
func TestStaleIngest(t *testing.T) {
	for name, locked := range map[string]bool{"locked": true, "left": false} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *Containerd, api *client.Client, ctx context.Context) {
				img := on(t, scratch(t, "amd64"), "a", strings.Repeat(rand.Text(), 1000))
				m, err := img.Manifest()
				must(t, err)
				cs, ref := api.ContentStore(), "imgspecd-"+m.Layers[0].Digest.String()
				w, err := cs.Writer(ctx, content.WithRef(ref), content.WithDescriptor(descriptor(m.Layers[0])))
				must(t, err)
				_, err = w.Write(make([]byte, 1000))
				must(t, err)
				if !locked {
					must(t, w.Close())
				}
				t.Cleanup(func() {
					w.Close() // which containerd does not wait for
					for range 50 {
						if err = cs.Abort(ctx, ref); err == nil || errdefs.IsNotFound(err) {
							return
						}
						time.Sleep(100 * time.Millisecond)
					}
					t.Errorf("abort: %v", err)
				})
				limited, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if _, err := c.Publish(limited, "imgspecd-test/stale:1", img, progress.Discard); err != nil {
					t.Error(err)
				}
				collect(ctx, t, api)
				if left, err := cs.ListStatuses(ctx); err != nil || len(left) != 1 || left[0].Ref != ref {
					t.Errorf("uploads that are left: %+v, %v", left, err)
				}
			})
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	at := filepath.Join(t.TempDir(), "containerd.sock")
	c := New(Deps{Address: at, Namespace: "default"})
	_, err := c.Check(t.Context(), "app:1")
	if !errors.Is(err, publish.ErrUnreachable) || err.Error() != "check app:1 in containerd: containerd does not answer at "+at+": connect: no such file or directory" {
		t.Errorf("%v", err)
	}
}

func TestUnknownSnapshotter(t *testing.T) {
	each(t, func(t *testing.T, c *Containerd, _ *client.Client, _ context.Context) {
		c = New(Deps{Address: c.deps.Address, Namespace: c.deps.Namespace, Snapshotter: "nosuch"})
		defer c.Close()
		_, err := c.Publish(t.Context(), "imgspecd-test/snap:1", on(t, scratch(t, "amd64"), "a", "a"), progress.Discard)
		if err == nil || !strings.Contains(err.Error(), `"nosuch"`) {
			t.Errorf("%v", err)
		}
	})
}

// ctr is containerd's own client, of the same release where the rig has one.
func ctr(t *testing.T, c *Containerd, args ...string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("IMGSPECD_RIG_DIR"), "bin", "ctr")
	if !strings.Contains(c.deps.Address, "containerd2") {
		path = "ctr"
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--address", c.deps.Address, "--namespace", c.deps.Namespace}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, stderr.String())
	}
	return string(out)
}
