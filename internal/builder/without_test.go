package builder

import (
	"testing"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// What a plan does without is in no part of the image, and what is laid again is found.
func TestWithoutLayersOfTheBase(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	b := newBuilder(newStore(t, t.TempDir()))
	packages := h.some(t, 3)
	first, _, err := b.Build(t.Context(), makePlan(t, info, packages), baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := first.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	next := info
	next.Digest, next.Layers = digest(t, first), len(cfg.RootFS.DiffIDs)
	for _, id := range cfg.RootFS.DiffIDs {
		next.DiffIDs = append(next.DiffIDs, id.String())
	}
	p := makePlan(t, next, packages)
	p.Without = next.DiffIDs[2:] // above the base and what lies below the environment
	img, stats, err := b.Build(t.Context(), p, first, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 + len(p.Layers); len(layers) != want || stats.LayersMade > 1 {
		t.Errorf("%d layers, want %d; %d made", len(layers), want, stats.LayersMade)
	}
	for i, l := range layers {
		id, err := l.DiffID()
		cfg, cfgErr := img.ConfigFile()
		if err != nil || cfgErr != nil || cfg.RootFS.DiffIDs[i] != id {
			t.Errorf("layer %d is %s, the config says otherwise: %v %v", i, id, err, cfgErr)
		}
	}
}
