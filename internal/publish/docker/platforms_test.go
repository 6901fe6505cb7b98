package docker

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// forArch is an image for a machine, which need not be the engine's.
func forArch(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img := scratch(t)
	cfg, err := img.ConfigFile()
	must(t, err)
	cfg.OS, cfg.Architecture = "linux", arch
	img, err = mutate.ConfigFile(img, cfg)
	must(t, err)
	return on(t, img, layers...)
}

func inspect(t *testing.T, d *Docker, name string) client.ImageInspectResult {
	t.Helper()
	c, err := d.connect(t.Context())
	must(t, err)
	r, err := c.api.ImageInspect(t.Context(), name) // what flytekit asks
	must(t, err)
	return r
}

// Every engine takes an image for a machine that it is not.
func TestForeignImage(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		d := open(t, host, openStore(t))
		name := newName(t, d)
		img := forArch(t, "s390x", newLayer(t, "a", 1000))
		r, err := d.Publish(t.Context(), name, img, progress.Discard)
		must(t, err)
		if again, err := d.Publish(t.Context(), name, img, progress.Discard); err != nil || again.SentBytes != 0 || again.Digest != r.Digest {
			t.Errorf("again: %+v, %v", again, err)
		}
		if got := inspect(t, d, name); got.Architecture != "s390x" || got.Os != "linux" {
			t.Errorf("the engine says %s/%s", got.Os, got.Architecture)
		}
		if got, err := d.Check(t.Context(), name); err != nil || got.Digest != r.Digest {
			t.Errorf("check: %+v, %v", got, err)
		}
	})
}

// A containerd store takes an index whole, a graph driver the image that the engine can run; either way the name is there.
func TestIndex(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		d := open(t, host, s)
		info, err := d.Info(t.Context())
		must(t, err)
		own := strings.TrimPrefix(info.Platform, "linux/")
		name := newName(t, d)
		shared := newLayer(t, "shared", 9<<20)
		foreign, fit := forArch(t, "s390x", shared, newLayer(t, "b", 1000)), forArch(t, own, shared, newLayer(t, "a", 1000))
		content, err := publish.Together([]v1.Image{foreign, fit})
		must(t, err)
		layout := publish.NewLayout(s, s)
		known, err := layout.Publish(t.Context(), name, content, progress.Discard)
		must(t, err)

		var notes []string
		r, err := d.Publish(t.Context(), name, content, func(e progress.Event) {
			if e.Note != "" {
				notes = append(notes, e.Note)
			}
		})
		must(t, err)
		want, layers := digestOf(t, content), 3
		if !info.Containerd {
			h, _ := fit.ConfigName()
			want, layers = h.String(), 2
			if len(notes) != 1 || !strings.Contains(notes[0], "of linux/s390x, linux/"+own+" it gets linux/"+own) {
				t.Errorf("notes %q", notes)
			}
		}
		if r.Digest != want || r.SentLayers != layers || !r.Same(known) {
			t.Errorf("receipt %+v, want %s; the layout has %+v", r, want, known)
		}
		if got, err := d.Check(t.Context(), name); err != nil || !got.Same(known) {
			t.Errorf("check: %+v, %v", got, err)
		}
		if got := inspect(t, d, name); got.Architecture != own || !slices.Contains(got.RepoTags, name) {
			t.Errorf("the engine says %s, %v", got.Architecture, got.RepoTags)
		}
		if again, err := d.Publish(t.Context(), name, content, progress.Discard); err != nil || again.SentBytes != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}

		content, err = publish.Together([]v1.Image{on(t, foreign, newLayer(t, "c", 1000)), on(t, fit, newLayer(t, "d", 1000))})
		must(t, err)
		if next := publishKept(t, s, d, name, content); next.SentBytes > 1<<20 {
			t.Errorf("one more layer: %+v", next)
		}
	})
}

// Of a base that only the engine has, in several platforms, each is found.
func TestBaseOfAPlatform(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		d := open(t, host, openStore(t))
		info, err := d.Info(t.Context())
		must(t, err)
		if !info.Containerd {
			return // a graph driver has one platform of a name
		}
		name := newName(t, d)
		content, err := publish.Together([]v1.Image{forArch(t, "s390x", newLayer(t, "a", 1000)), forArch(t, "arm64", newLayer(t, "b", 1000))})
		must(t, err)
		_, err = d.Publish(t.Context(), name, content, progress.Discard)
		must(t, err)
		for _, arch := range []string{"s390x", "arm64"} {
			img, err := d.Image(t.Context(), name, "linux/"+arch)
			must(t, err)
			cfg, err := img.ConfigFile()
			must(t, err)
			if cfg.Architecture != arch {
				t.Errorf("asked for %s, got %s", arch, cfg.Architecture)
			}
		}
	})
}
