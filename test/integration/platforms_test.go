package integration

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/imgspecd/imgspecd/api"
)

// mixed are packages of which some hold machine code and some do not.
var mixed = []string{"numpy==2.2.1", "pyyaml==6.0.2", "markupsafe==3.0.2", "httpx==0.28.1", "click==8.1.8"}

// on makes the project's image be for other platforms.
func (p *project) on(platform string) *project {
	p.t.Helper()
	p.edit("workflow.py", `requirements="uv.lock",`, `requirements="uv.lock", platform="`+platform+`",`)
	return p
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// holds reads the image's own layers and checks that all machine code in them is for its platform, or for any; it
// returns the libraries that the code needs.
func holds(t *testing.T, img v1.Image, arch string) (needed []string) {
	t.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.OS != "linux" || cfg.Architecture != arch {
		t.Errorf("the config says %s/%s, not linux/%s", cfg.OS, cfg.Architecture, arch)
	}
	code := 0
	eachFile(t, img, func(h *tar.Header, r io.Reader) {
		if !strings.Contains(path.Base(h.Name), ".so") {
			return
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", h.Name, err)
			return
		}
		if code++; f.Machine != machines[arch] {
			t.Errorf("%s is for %v", h.Name, f.Machine)
		}
		libraries, err := f.ImportedLibraries()
		if err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
		needed = append(needed, libraries...)
	})
	if code < 10 {
		t.Errorf("only %d files of machine code", code)
	}
	slices.Sort(needed)
	return slices.Compact(needed)
}

// skips asks flytekit whether it would build the image.
func skips(t *testing.T, p *project, engine docker, img api.Image) {
	t.Helper()
	out := p.flytekit(`
import sys
sys.path.insert(0, ".")
import workflow
from flytekit.image_spec.image_spec import ImageBuildEngine
print("name", workflow.image.image_name())
print("exist", workflow.image.exist())
ImageBuildEngine.build(workflow.image)
`, "DOCKER_HOST="+engine.host)
	for _, want := range []string{"name " + img.Name, "exist True", "found. Skip building"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("flytekit prints\n%s, without %q", out, want)
		}
	}
}

// An image for another machine than this is made without running anything for that machine: in every target.
func TestForeignPlatform(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varMulti)
	for _, variable := range []string{varDocker, varDocker29, varDockerGD} {
		t.Run(strings.TrimPrefix(variable, "IMGSPECD_TEST_"), func(t *testing.T) {
			engine := newDocker(t, variable)
			d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always")
			p := newProject(t, spec{
				name: "foreign", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varMulti),
			}, mixed...).on("linux/arm64").lock()
			img := d.ready(d.watch(p.dir).Label, "", "layout", "registry", "docker")
			engine.forget(img.Name)
			forgetRemote(t, img.Name)
			holds(t, inLayout(t, d.state, img.Digest), "arm64")
			if got := strings.TrimSpace(engine.run("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", img.Name)); got != "linux/arm64" {
				t.Errorf("Docker says %s", got)
			}
			if digest, err := pull(t, img.Name).Digest(); err != nil || digest.String() != img.Digest {
				t.Errorf("the registry has %v (%v), not %s", digest, err, img.Digest)
			}
			skips(t, p, engine, img)
		})
	}
}

// Packages that no wheel fits are named, with the platform.
func TestPlatformWithoutWheels(t *testing.T) {
	need(t, varUV, varFlytekit, varMulti)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	for platform, want := range map[string]string{
		"linux/arm/v7":             "it is for linux/amd64, linux/arm64, but linux/arm/v7 is asked for",
		"linux/amd64,linux/s390x":  "linux/s390x: ",
		"linux/amd64, linux/arm64": "is not of the form",
	} {
		p := newProject(t, spec{name: "none-" + random(), base: os.Getenv(varMulti)}, "click==8.1.8").on(platform).lock()
		img := d.settled(d.watch(p.dir).Label, "")
		if img.State != api.Failed || img.Error == nil || !strings.Contains(img.Error.Message, want) {
			t.Errorf("%s: %s, %+v", platform, img.State, img.Error)
		}
	}
}

// Several platforms are one name: an index whose images share what they can.
func TestPlatforms(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varMulti)
	for _, variable := range []string{varDocker, varDocker29, varDockerGD} {
		t.Run(strings.TrimPrefix(variable, "IMGSPECD_TEST_"), func(t *testing.T) {
			engine := newDocker(t, variable)
			d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always")
			p := newProject(t, spec{
				name: "both", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varMulti),
			}, mixed...).on("linux/amd64,linux/arm64").lock()
			label := d.watch(p.dir).Label
			img := d.ready(label, "", "layout", "registry", "docker")
			engine.forget(img.Name)
			forgetRemote(t, img.Name)
			first := bothImages(t, img)
			if out := engine.in(img.Name, `python -c "import numpy, yaml, httpx; print(numpy.__version__)"`); out != "2.2.1\n" {
				t.Errorf("the container prints %q", out)
			}
			skips(t, p, engine, img)
			if out := d.cli("explain", p.dir); !strings.Contains(out, "linux/amd64") || !strings.Contains(out, "linux/arm64") {
				t.Errorf("explain says nothing of the platforms:\n%s", out)
			}

			p.require(replaced(mixed, "click==8.1.8", "click==8.1.7")...)
			p.uv("lock")
			second := d.ready(label, img.Name, "layout", "registry", "docker")
			engine.forget(second.Name)
			forgetRemote(t, second.Name)
			if tgt, _ := second.InTarget("registry"); tgt.SentLayers != 1 {
				t.Errorf("one package changed in both images, and %d layers were sent", tgt.SentLayers)
			}
			for i, layers := range bothImages(t, second) {
				if n := len(slices.DeleteFunc(layers, func(l string) bool { return slices.Contains(first[i], l) })); n != 1 {
					t.Errorf("%d layers of image %d changed", n, i)
				}
			}

			before, err := d.Builds(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			d.stop()
			d.start()
			if again := d.ready(label, "", "layout", "registry", "docker"); again.Digest != second.Digest {
				t.Errorf("after a restart %s, before %s", again.Digest, second.Digest)
			}
			if after, err := d.Builds(t.Context(), "", 0); err != nil || len(after) != len(before) {
				t.Errorf("after a restart there are %d builds, before %d (%v)", len(after), len(before), err)
			}
			checkBlobs(t, d.state)
		})
	}
}

// bothImages checks the index that the registry has, and returns the layers of its two images.
func bothImages(t *testing.T, img api.Image) (layersOf [2][]string) {
	t.Helper()
	ref, err := name.ParseReference(img.Name)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := index.Digest(); err != nil || digest.String() != img.Digest {
		t.Errorf("the registry has %v (%v), not %s", digest, err, img.Digest)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, arch := range []string{"amd64", "arm64"} {
		if got := m.Manifests[i].Platform.String(); got != "linux/"+arch {
			t.Fatalf("image %d is for %s", i, got)
		}
		one, err := index.Image(m.Manifests[i].Digest)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, one, arch)
		layersOf[i] = layers(t, one)
	}
	shared := 0
	for _, l := range layersOf[0] {
		if slices.Contains(layersOf[1], l) {
			shared++
		}
	}
	// httpx, httpcore, h11, anyio, certifi, idna, sniffio, typing-extensions and click, and the empty environment.
	if shared < 9 {
		t.Errorf("the images share %d layers", shared)
	}
	return layersOf
}

// What no lock pins is pinned for each platform, also on a nested base of several.
func TestPlatformsOfPackages(t *testing.T) {
	need(t, varUV, varFlytekit, varMulti)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	p := newProject(t, spec{})
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

core = ImageSpec(name="core-%[1]s", base_image=%[2]q, packages=["markupsafe==3.0.2", "six==1.17.0"], platform="linux/arm64,linux/amd64")
image = ImageSpec(name="more-%[1]s", base_image=core, packages=["numpy==2.2.1"], platform="linux/arm64,linux/amd64")
`, random(), os.Getenv(varMulti)))
	label := d.spec(p.dir, "image").Label
	img := d.ready(label, "", "layout")
	for i, arch := range []string{"arm64", "amd64"} {
		one := ofIndex(t, d.state, img.Digest, i)
		holds(t, one, arch)
		var names []string
		for _, f := range files(t, one) {
			if before, ok := strings.CutSuffix(f, ".dist-info/RECORD"); ok {
				names = append(names, path.Base(before))
			}
		}
		for _, want := range []string{"markupsafe-3.0.2", "numpy-2.2.1", "six-1.17.0"} {
			if n := slices.IndexFunc(names, func(s string) bool { return strings.EqualFold(s, want) }); n < 0 {
				t.Errorf("%s: no %s among %v", arch, want, names)
			}
		}
	}
}

// ofIndex returns an image of an index that the state directory's layout has under a digest.
func ofIndex(t *testing.T, state, digest string, i int) v1.Image {
	t.Helper()
	l, err := layout.FromPath(state)
	if err != nil {
		t.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	all, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	index, err := all.ImageIndex(h)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := index.Image(m.Manifests[i].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// files lists what an image's own layers hold, without a slash at the front.
func files(t *testing.T, img v1.Image) []string {
	t.Helper()
	var names []string
	eachFile(t, img, func(h *tar.Header, _ io.Reader) { names = append(names, strings.TrimPrefix(h.Name, "/")) })
	return names
}

// eachFile reads the layers above the two of the base.
func eachFile(t *testing.T, img v1.Image, see func(h *tar.Header, r io.Reader)) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers[2:] {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			see(h, tr)
		}
		r.Close()
	}
}

// A free-threaded Python gets the wheels built for it, into the directory where it looks. None is to be had here, so
// the base holds one that says of itself what such a build says, and is not run.
func TestFreeThreaded(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varPython314)
	tag := os.Getenv(varRegistry) + "/t-" + random() + "/python:3.14t"
	img, err := mutate.AppendLayers(pull(t, os.Getenv(varPython314)), freeThreaded(t))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	forgetRemote(t, tag)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "free-" + random(), base: tag}, "markupsafe==3.0.3", "click==8.1.8").lock()
	made := inLayout(t, d.state, d.ready(d.watch(p.dir).Label, "", "layout").Digest)
	links := map[string]string{}
	eachFile(t, made, func(h *tar.Header, _ io.Reader) { links[strings.TrimPrefix(h.Name, "/")] = h.Linkname })
	for want, link := range map[string]string{
		"root/.venv/lib/python3.14t/site-packages/markupsafe/_speedups.cpython-314t-x86_64-linux-gnu.so": "",
		"root/.venv/lib/python3.14t/site-packages/click/core.py":                                         "",
		"root/.venv/bin/python3.14t": "python",
		"root/.venv/bin/python":      "/usr/local/bin/python3.14t",
	} {
		if got, ok := links[want]; !ok || got != link {
			t.Errorf("%s: %t, %q", want, ok, got)
		}
	}
}

// freeThreaded is a layer with a python3.14t that python3 leads to.
func freeThreaded(t *testing.T) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	text := "\x7fELF\x00%.80s free-threading build (%.80s) %.80s\x003.14.6\x00"
	for _, h := range []tar.Header{
		{Name: "usr/local/bin/python3.14t", Mode: 0o755, Size: int64(len(text))},
		{Name: "usr/local/bin/python3", Typeflag: tar.TypeSymlink, Linkname: "python3.14t"},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = io.WriteString(tw, text) // into memory
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The index is what BuildKit makes of the same argument, which is what `docker build --platform` leads to.
func TestIndexAsBuildKit(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varMulti, varBuildKit)
	buildctl := filepath.Join(os.Getenv("IMGSPECD_RIG_DIR"), "bin", "buildctl")
	if _, err := os.Stat(buildctl); err != nil {
		t.Skip("there is no buildctl")
	}
	const platform = "linux/arm64,linux/x86_64"
	theirs := os.Getenv(varRegistry) + "/t-" + random() + "/theirs:1"
	p := newProject(t, spec{name: "same", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varMulti)}, "click==8.1.8").on(platform).lock()
	p.write("Dockerfile", "FROM "+os.Getenv(varMulti)+"\nENV A=1\n")
	command{dir: p.dir}.run(t, buildctl, "--addr", os.Getenv(varBuildKit), "build", "--progress=plain", "--frontend=dockerfile.v0", "--local=context=.", "--local=dockerfile=.",
		"--opt=platform="+platform, "--output=type=image,name="+theirs+",push=true,oci-mediatypes=true,registry.insecure=true")
	forgetRemote(t, theirs)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	ours := d.ready(d.watch(p.dir).Label, "", "registry").Name
	forgetRemote(t, ours)
	if a, b := shape(t, ours), shape(t, theirs); a != b {
		t.Errorf("ours is %s, BuildKit's %s", a, b)
	}
}

// shape is all of an index but digests and sizes.
func shape(t *testing.T, image string) string {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Manifests {
		m.Manifests[i].Digest, m.Manifests[i].Size = v1.Hash{}, 0
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// On musl, packages are those that were built for it.
func TestMusl(t *testing.T) {
	need(t, varUV, varFlytekit, varMusl)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "musl-" + random(), base: os.Getenv(varMusl)}, mixed...).lock()
	img := d.ready(d.watch(p.dir).Label, "", "layout")
	needed := holds(t, inLayout(t, d.state, img.Digest), "amd64")
	if slices.Contains(needed, "libc.so.6") || !slices.ContainsFunc(needed, func(s string) bool { return strings.HasPrefix(s, "libc.musl-") || s == "libc.so" }) {
		t.Errorf("the code needs %v", needed)
	}
}
