package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

const (
	runtimeEnv = "/opt/micromamba/envs/runtime"
	listAll    = `python - <<'E'
from importlib.metadata import distributions
for d in sorted((d.name.lower().replace("_", "-"), d.version) for d in distributions()):
    print(*d)
E`
)

// pipInstallOn adds packages to an image as flytekit's default builder does, and returns the container.
func pipInstallOn(t *testing.T, engine docker, image string, packages ...string) string {
	t.Helper()
	cache := strings.TrimSpace(command{}.run(t, os.Getenv(varUV), "cache", "dir"))
	name := "imgspecd-test-" + random()
	args := []string{
		"run", "--user", "root", "--name", name, "--volume", os.Getenv(varUV) + ":/usr/local/bin/uv:ro", "--volume", cache + ":/cache", "--network", "host",
		"--env", "UV_CACHE_DIR=/cache", "--env", "UV_COMPILE_BYTECODE=0", "--env", "UV_LINK_MODE=copy", "--env", "UV_NO_PROGRESS=1",
	}
	for _, kv := range os.Environ() { // how the index is reached
		if k, _, _ := strings.Cut(kv, "="); slices.Contains([]string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}, k) {
			args = append(args, "--env", kv)
		}
	}
	if ca := os.Getenv(varCA); ca != "" {
		args = append(args, "--volume", ca+":/ca.pem:ro", "--env", "SSL_CERT_FILE=/ca.pem")
	}
	args = append(args, image, "/bin/bash", "-c", `uv pip install --python "$UV_PYTHON" "$@"`, "-")
	t.Cleanup(func() {
		_, _ = command{}.try(context.WithoutCancel(t.Context()), "docker", "--host", engine.host, "rm", "-f", name)
	})
	engine.run(append(args, packages...)...)
	return name
}

// Packages on a base with packages: what the base has stays where it satisfies, as after `uv pip install` in it, down to the
// last file; and its layers are used again, however long the chain is.
func TestPackagesOnPackages(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	p := newProject(t, spec{name: "adding", base: os.Getenv(varBase)})
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

core = ImageSpec(name="core-%[1]s", base_image=%[2]q, packages=["six==1.16.0", "idna==3.7", "certifi==2024.12.14"])
train = ImageSpec(name="train-%[1]s", base_image=core, packages=["six>=1.17", "anyio==4.4.0"])
more = ImageSpec(name="more-%[1]s", base_image=train, packages=["anyio>=4.5", "wheel==0.44.0"])
`, random(), os.Getenv(varBase)))
	core, train := d.spec(p.dir, "core"), d.spec(p.dir, "train")
	more := d.ready(d.spec(p.dir, "more").Label, "", "docker")
	core, train = d.ready(core.Label, "", "docker"), d.ready(train.Label, "", "docker")
	for _, image := range []string{core.Name, train.Name, more.Name} {
		engine.forget(image)
	}
	names := p.flytekit("import workflow as w\nprint(w.core.image_name(), w.train.image_name(), w.more.image_name())")
	if want := core.Name + " " + train.Name + " " + more.Name + "\n"; names != want {
		t.Errorf("flytekit says\n%swe say\n%s", names, want)
	}
	flytekit := strings.TrimSpace(p.flytekit("import flytekit\nprint(flytekit.__version__)"))
	for _, tt := range []struct {
		base, image string
		packages    []string
		prints      []string
	}{
		{core.Name, train.Name, []string{"pip", "six>=1.17", "anyio==4.4.0"}, []string{"idna 3.7", "certifi 2024.12.14", "anyio 4.4.0"}},
		{train.Name, more.Name, []string{"pip", "anyio>=4.5", "wheel==0.44.0"}, []string{"idna 3.7", "certifi 2024.12.14", "wheel 0.44.0"}},
	} {
		container := pipInstallOn(t, engine, tt.base, append(tt.packages, "flytekit=="+flytekit)...)
		theirs := "theirs-" + random()
		engine.run("commit", container, theirs)
		engine.forget(theirs)
		got := engine.in(tt.image, listAll)
		if want := engine.in(theirs, listAll); got != want {
			t.Errorf("%s holds\n%suv pip install on its base gives\n%s", tt.image, got, want)
		}
		for _, line := range tt.prints {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s holds\n%s, without %s", tt.image, got, line)
			}
		}
		compareFiles(t, engine.tree(engine.container(tt.image), runtimeEnv), engine.tree(container, runtimeEnv))
	}

	// One package became another and some came: all other layers are the base's.
	a, b, c := layersOf(t, d, core.Name), layersOf(t, d, train.Name), layersOf(t, d, more.Name)
	if new, gone := apart(b, a), apart(a, b); new > 5 || gone > 3 {
		t.Errorf("of %d layers %d are new, and %d of the base's %d are not used again", len(b), new, gone, len(a))
	}
	t.Logf("%d, %d and %d layers, of which %d and %d are new", len(a), len(b), len(c), apart(b, a), apart(c, b))
	if len(c)-len(b) > 4 {
		t.Errorf("the chain has %d, %d, %d layers", len(a), len(b), len(c))
	}

	// Built again, it is the same.
	d.cli("build", train.Label, "--force")
	if again := d.ready(train.Label, ""); again.Digest != train.Digest {
		t.Errorf("built again it is %s, before %s", again.Digest, train.Digest)
	}
	findsIt(t, p.with("image = train\n"), engine, train)
}

// with adds to the workflow's code.
func (p *project) with(code string) *project {
	p.t.Helper()
	p.write("workflow.py", p.read("workflow.py")+code)
	return p
}

// compareFiles compares an environment with one that uv has changed.
func compareFiles(t *testing.T, ours, theirs map[string]entry) {
	t.Helper()
	skip := func(file string) bool {
		return strings.Contains(file, "__pycache__") || strings.HasSuffix(file, "/uv_cache.json") || strings.HasSuffix(file, ".lock")
	}
	for file, want := range theirs {
		got, ok := ours[file]
		if skip(file) {
			continue
		}
		if !ok || got.mode != want.mode || got.kind != want.kind || got.link != want.link || (got.sum != want.sum && !strings.HasSuffix(file, "/RECORD")) {
			t.Errorf("%s is %+v, there: %v; uv has %+v", file, got, ok, want)
		}
	}
	for file := range ours {
		if _, ok := theirs[file]; !ok && !skip(file) {
			t.Errorf("%s is there, and not after uv", file)
		}
	}
}

// layersOf lists the layers of an image in the daemon's layout.
func layersOf(t *testing.T, d *daemon, name string) map[v1.Hash]bool {
	t.Helper()
	index, err := layout.ImageIndexFromPath(d.state)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range m.Manifests {
		if desc.Annotations["org.opencontainers.image.ref.name"] != name {
			continue
		}
		img, err := index.Image(desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		im, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		all := map[v1.Hash]bool{}
		for _, l := range im.Layers {
			all[l.Digest] = true
		}
		return all
	}
	t.Fatalf("the layout has no %s", name)
	return nil
}

// apart counts what is in a and not in b.
func apart(a, b map[v1.Hash]bool) int {
	n := 0
	for h := range a {
		if !b[h] {
			n++
		}
	}
	return n
}
