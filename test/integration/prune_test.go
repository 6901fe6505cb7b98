package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// Two changes of a lock leave two images that nobody needs; prune frees them, and none of the current one.
func TestPruneFreesOldImages(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	with := func(certifi string) []string { return append(slices.Clone(science), "certifi=="+certifi) }
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "prune-" + random(), base: os.Getenv(varBase)}, with("2024.12.14")...).lock()
	label := d.watch(p.dir).Label
	img := d.ready(label, "", "layout")
	var old []string
	for _, v := range []string{"2025.1.31", "2024.8.30"} {
		old = append(old, img.Digest)
		p.require(with(v)...)
		p.uv("lock")
		img = d.ready(label, img.Name, "layout")
	}
	ask := func(v any, args ...string) {
		t.Helper()
		if err := json.Unmarshal([]byte(d.cli(append(args, "--json")...)), v); err != nil {
			t.Fatal(err)
		}
	}
	var dry, freed api.Pruned
	var before, after api.Disk
	current := layers(t, inLayout(t, d.state, img.Digest))
	var gone []string
	for _, digest := range old {
		for _, l := range layers(t, inLayout(t, d.state, digest)) {
			if !slices.Contains(current, l) {
				gone = append(gone, l)
			}
		}
	}
	if len(gone) != 2 {
		t.Fatalf("%d layers are the old images' alone, want 2", len(gone))
	}
	ask(&before, "status", "--disk")
	ask(&dry, "prune", "--dry-run")
	ask(&freed, "prune")
	ask(&after, "status", "--disk")
	if freed.Size == 0 || freed.Size != dry.Size {
		t.Errorf("freed %d bytes, announced %d", freed.Size, dry.Size)
	}
	all := func(k api.Disk) (size int64) {
		for _, k := range k.Kinds {
			if k.Kind != "logs" && k.Kind != "records" { // which grow by themselves
				size += k.Size
			}
		}
		return size
	}
	if all(before)-all(after) != freed.Size {
		t.Errorf("%d bytes before, %d after, %d freed", all(before), all(after), freed.Size)
	}
	for _, l := range gone {
		if _, err := os.Stat(filepath.Join(d.state, "blobs", "sha256", l[len("sha256:"):])); !os.IsNotExist(err) {
			t.Errorf("%s of an old image: %v", l, err)
		}
	}
	checkBlobs(t, d.state)
	skopeoReads(t, d.state, img.Digest)
	p.require(with("2025.1.31")...)
	p.uv("lock")
	if next := figures(t, d, d.ready(label, img.Name, "layout")); next.LayersMade != 1 {
		t.Errorf("the next build made %d layers, want 1", next.LayersMade)
	}
}
