package integration

import (
	"os"
	"slices"
	"testing"
)

// Same lock, same digest: in two directories, by two daemons that share nothing, the second with its packages in
// another order in the lock.
func TestSameDigestTwice(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase)
	s := spec{name: "same", base: os.Getenv(varBase)}
	p := newProject(t, s, science...).lock()
	q := newProject(t, s, science...)
	q.write("uv.lock", p.read("uv.lock"))

	var digests []string
	for _, proj := range []*project{p, q} {
		d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
		img := d.ready(d.watch(proj.dir).Label, "", "layout")
		digests = append(digests, img.Digest)
		d.stop()
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds of one lock: %s and %s", digests[0], digests[1])
	}
}

// A change of one package changes one layer, and what holds metadata: the config and the manifest.
func TestOnePackageOneLayer(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase)
	with := func(certifi string) []string { return append(slices.Clone(science), "certifi=="+certifi) }
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{
		name: "onelayer", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varBase),
	}, with("2024.12.14")...).lock()
	label := d.watch(p.dir).Label
	first := d.ready(label, "", "registry")
	forgetRemote(t, first.Name)
	p.require(with("2025.1.31")...)
	p.uv("lock")
	second := d.ready(label, first.Name, "registry")
	forgetRemote(t, second.Name)

	a, b := layers(t, pull(t, first.Name)), layers(t, pull(t, second.Name))
	if len(a) != len(b) {
		t.Fatalf("%d layers became %d", len(a), len(b))
	}
	var changed []int
	for i := range a {
		if a[i] != b[i] {
			changed = append(changed, i)
		}
	}
	if len(changed) != 1 {
		t.Errorf("layers %v of %d changed, want one", changed, len(a))
	}
	stats := figures(t, d, second)
	if stats.LayersMade != 1 || stats.Fetched > 1 {
		t.Errorf("one package changed, and %d layers were made from %d downloads", stats.LayersMade, stats.Fetched)
	}
	if stats.SentBytes >= 1<<20 {
		t.Errorf("%d bytes were sent, want under 1 MiB", stats.SentBytes)
	}
	for _, img := range []string{first.Digest, second.Digest} {
		if got := layers(t, inLayout(t, d.state, img)); !slices.Equal(got, a) && !slices.Equal(got, b) {
			t.Errorf("the layout's %s has other layers than the registry's", img)
		}
	}
}
