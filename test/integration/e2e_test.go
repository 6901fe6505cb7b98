package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A saved lock becomes an image that unchanged flytekit code finds: in Docker, in the registry and in the layout.
func TestSavedLockBecomesReadyImage(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := newDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always")
	d.start() // with nothing: all wheels are downloaded

	p := newProject(t, spec{
		name: "science", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varBase),
	}, science...).lock()
	d.cli("watch", p.dir)
	label := d.imageOf(p.dir).Label

	img := d.ready(label, "", "layout", "registry", "docker")
	if ref := strings.TrimSpace(d.cli("image", p.dir)); ref != img.Name {
		t.Errorf("imgspecd image prints %q, not %q", ref, img.Name)
	}
	t.Logf("first: %+v", figures(t, d, img))
	provesItself(t, p, engine, img)

	// One package is upgraded, as its user would.
	old := img
	p.require(replaced(science, "httpx==0.28.1", "httpx==0.27.2")...)
	p.uv("lock")
	img = d.ready(label, old.Name, "layout", "registry", "docker")
	if img.Previous != old.Name {
		t.Errorf("the name before is %q, not %q", img.Previous, old.Name)
	}
	t.Logf("one package: %+v", figures(t, d, img))
	provesItself(t, p, engine, img)
	if v := strings.TrimSpace(engine.in(img.Name, `python -c "import httpx; print(httpx.__version__)"`)); v != "0.27.2" {
		t.Errorf("the image has httpx %s", v)
	}

	// The same content saved again builds nothing.
	before, err := d.Builds(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	p.write("uv.lock", p.read("uv.lock"))
	p.uv("lock", "--check")
	after, err := d.Builds(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("%d builds became %d though nothing changed", len(before), len(after))
	}

	// It is the same after a restart, without a build.
	d.stop()
	d.start()
	if again := d.ready(label, ""); again.Name != img.Name || again.Digest != img.Digest {
		t.Errorf("after a restart %s %s, before %s %s", again.Name, again.Digest, img.Name, img.Digest)
	}
	if after, err = d.Builds(t.Context(), "", 0); err != nil || len(after) != len(before) {
		t.Errorf("after a restart there are %d builds, before %d (%v); the last: %+v", len(after), len(before), err, after[0])
	}
	skopeoReads(t, d.state, img.Digest)
	checkBlobs(t, d.state)
}

// provesItself asks Docker, the registry and flytekit for the image.
func provesItself(t *testing.T, p *project, engine docker, img api.Image) {
	t.Helper()
	engine.forget(img.Name)
	forgetRemote(t, img.Name)
	out := engine.in(img.Name, `id -un && pwd && python -c "import pandas, sklearn, pyarrow, flytekit; print('imports', flytekit.__version__)" && pyflyte --help && which pyflyte-execute`)
	for _, want := range []string{"flytekit\n", "/root\n", "imports 1.16.31\n", "Usage: pyflyte", "/root/.venv/bin/pyflyte-execute"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
			t.Errorf("the container prints\n%s, without %q", out, want)
		}
	}
	if _, err := pull(t, img.Name).Digest(); err != nil {
		t.Error(err)
	}
	out = p.flytekit(`
import sys
sys.path.insert(0, ".")
import workflow
from flytekit.image_spec.image_spec import ImageBuildEngine
print("name", workflow.image.image_name())
print("id", workflow.image.id)
print("exist", workflow.image.exist())
ImageBuildEngine.build(workflow.image)
`, "DOCKER_HOST="+engine.host)
	for _, want := range []string{"name " + img.Name, "id " + img.ID, "exist True", "found. Skip building"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("flytekit prints\n%s, without %q", out, want)
		}
	}
}

// figures returns what an image's last build cost.
func figures(t *testing.T, d *daemon, img api.Image) api.Stats {
	t.Helper()
	b, err := d.Build(t.Context(), img.Build)
	if err != nil {
		t.Fatal(err)
	}
	return b.Stats
}

func replaced(list []string, old, replacement string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		if out[i] = s; s == old {
			out[i] = replacement
		}
	}
	return out
}
