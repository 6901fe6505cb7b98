package integration

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/api"
)

// conda is images that the default builder takes programs from: micromamba, which stands for one (testdata/conda), and uv.
type conda struct{ micromamba, uv string }

// The packages of conda's, besides Python, and where its solver and installer comes from.
var (
	condaPackages = []string{"pip==25.3", "setuptools==80.9.0", "six==1.16.0", "idna==3.7"}
	rattler       = "py-rattler==0.28.0"
)

var condaOnce struct {
	sync.Once
	conda
}

// newConda pushes the images, once a run.
func newConda(t *testing.T, engine docker) conda {
	t.Helper()
	need(t, varRegistry, varBase, varUV, varCA)
	condaOnce.Do(func() { condaOnce.conda = pushConda(t, engine) })
	if condaOnce.micromamba == "" {
		t.Fatal("the images of micromamba and uv could not be made")
	}
	return condaOnce.conda
}

func pushConda(t *testing.T, engine docker) conda {
	t.Helper()
	dir := t.TempDir()
	python := filepath.Join(dir, "python")
	engine.run("cp", engine.container(os.Getenv(varBase))+":/usr/local", python)
	interpreter := filepath.Join(python, "bin", "python3.11")
	install := func(target, what string, more ...string) string {
		at := filepath.Join(dir, target)
		command{}.run(t, os.Getenv(varUV), append([]string{"pip", "install", "-q", "--no-deps", "--python", interpreter, "--target", at, what}, more...)...)
		return at
	}
	site := install("site", rattler)
	data, err := filepath.Abs(filepath.Join("testdata", "conda"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{filepath.Join(data, "channel.py"), filepath.Join(dir, "conda-forge"), python, "3.11.11"}
	for _, p := range condaPackages {
		args = append(args, install("package-"+p, p))
	}
	command{env: []string{"PYTHONPATH=" + site, "PYTHONDONTWRITEBYTECODE=1"}}.run(t, interpreter, args...)
	command{}.run(t, "cp", filepath.Join(data, "micromamba.py"), dir)
	archive := filepath.Join(dir, "archive")
	// The same bytes each time, so that the registry does not grow.
	command{}.run(t, "tar", "-C", dir, "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-I", "gzip -1n", "-cf", archive, "python", "site", "conda-forge", "micromamba.py")
	script, payload := read(t, filepath.Join(data, "micromamba.sh")), read(t, archive)
	offset := len(script) - len("@OFFSET@") + 1
	offset += len(strconv.Itoa(offset + 3))
	script = bytes.Replace(script, []byte("@OFFSET@"), []byte(strconv.Itoa(offset)), 1)
	if len(script)+1 != offset {
		t.Fatalf("the archive begins at %d, and the script has it at %d", len(script)+1, offset)
	}
	host := os.Getenv(varRegistry) + "/imgspecd-test/"
	c := conda{micromamba: host + "micromamba:1", uv: host + "uv:1"}
	pushFiles(t, c.micromamba, map[string][]byte{"usr/bin/micromamba": append(script, payload...), "etc/ssl/certs/ca-certificates.crt": read(t, os.Getenv(varCA))})
	pushFiles(t, c.uv, map[string][]byte{"uv": read(t, os.Getenv(varUV))})
	return c
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pushFiles pushes an image that holds these programs and nothing else.
func pushFiles(t *testing.T, ref string, files map[string][]byte) {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content := files[path]
		if err := tw.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.AppendLayers(img, static.NewLayer(buf.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// theirs builds an ImageSpec of workflow.py with flytekit's default builder, and returns its image in an engine. The programs come
// from stand-ins, and the `#syntax` line is dropped: BuildKit's own frontend does the same.
func (c conda) theirs(t *testing.T, p *project, engine docker, variable string) string {
	t.Helper()
	address, bin := os.Getenv("IMGSPECD_TEST_BUILDKIT"), os.Getenv("IMGSPECD_RIG_DIR")
	if address == "" || bin == "" {
		t.Skip("needs the rig: IMGSPECD_TEST_BUILDKIT and IMGSPECD_RIG_DIR")
	}
	out := t.TempDir()
	p.flytekit(fmt.Sprintf(`
import pathlib, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, ".")
from flytekit.image_spec.default_builder import create_docker_context
import workflow
spec = workflow.%s
spec.builder_config = {"uv_image": %q, "micromamba_image": %q}
out = pathlib.Path(%q)
create_docker_context(spec, out)
text = (out / "Dockerfile").read_text()
(out / "Dockerfile").write_text(text.partition("\n")[2])
`, variable, c.uv, c.micromamba, out))
	ref, archive := "imgspecd-test/theirs-"+random()+":1", filepath.Join(out, "image.tar")
	command{}.run(t, filepath.Join(bin, "bin", "buildctl"), "--addr", address, "build", "--frontend", "dockerfile.v0", "--progress", "plain",
		"--local", "context="+out, "--local", "dockerfile="+out, "--output", "type=docker,name="+ref+",dest="+archive)
	engine.run("load", "-q", "-i", archive)
	engine.forget(ref)
	return ref
}

// The image of conda's Python, with packages and with a lock, is what flytekit's default builder makes of it.
func TestConda(t *testing.T) {
	need(t, varUV, varFlytekit, varDebian, varDocker)
	engine := newDocker(t, varDocker)
	c := newConda(t, engine)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_UV_PATH="+os.Getenv(varUV), "IMGSPECD_BYTECODE=off")
	p := newProject(t, spec{name: "conda", base: os.Getenv(varDebian)}, "httpx==0.28.1", "certifi==2024.12.14").lock()
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

common = dict(base_image=%[2]q, python_version="3.11", builder_config={"micromamba_image": %[3]q})
lock = ImageSpec(name="lock-%[1]s", requirements="uv.lock", **common)
packages = ImageSpec(name="packages-%[1]s", packages=["httpx==0.28.1", "six>=1.17", "idna"], conda_packages=["six=1.16", "idna=3.7", "setuptools"], **common)
more = ImageSpec(name="more-%[1]s", base_image=packages, packages=["idna>=3.8"])
`, random(), os.Getenv(varDebian), c.micromamba))
	lock, packages := d.spec(p.dir, "lock"), d.spec(p.dir, "packages")
	more := d.ready(d.spec(p.dir, "more").Label, "", "docker")
	lock, packages = d.ready(lock.Label, "", "docker"), d.ready(packages.Label, "", "docker")
	for _, image := range []string{lock.Name, packages.Name, more.Name} {
		engine.forget(image)
	}
	const show = `python -c "import httpx, sys; print(httpx.__version__, sys.version_info[:2])"; id -un; stat -c %U /opt/micromamba /opt/micromamba/envs/runtime/bin/python3.11; tail -1 ~/.profile | grep -o micromamba | wc -l`
	for _, image := range []string{lock.Name, packages.Name} {
		if got := engine.in(image, show); got != "0.28.1 (3, 11)\nflytekit\nflytekit\nflytekit\n1\n" {
			t.Errorf("%s prints\n%s", image, got)
		}
	}
	for variable, image := range map[string]string{"lock": lock.Name, "packages": packages.Name} {
		theirs := c.theirs(t, p, engine, variable)
		mine, other := engine.container(image), engine.container(theirs)
		sameTree(t, variable, engine.tree(mine, "/opt/micromamba"), engine.tree(other, "/opt/micromamba"))
		sameTree(t, variable, engine.tree(mine, "/root"), engine.tree(other, "/root"))
		if variable == "packages" {
			if got, want := engine.in(image, listAll), engine.in(theirs, listAll); got != want {
				t.Errorf("%s holds\n%sthe default builder's\n%s", image, got, want)
			}
		}
		const env = "{{range .Config.Env}}{{println .}}{{end}}"
		got, want := lines(engine.run("inspect", "-f", env, mine)), lines(engine.run("inspect", "-f", env, other))
		if !slices.Equal(got, want) {
			t.Errorf("%s: variables\n%q\nthe default builder's\n%q", variable, got, want)
		}
	}
	if got := engine.in(more.Name, "python -c 'import importlib.metadata as m; print(m.version(\"idna\") != \"3.7\", m.version(\"six\") != \"1.16.0\", m.version(\"setuptools\"))'; ls -d "+
		runtimeEnv+"/lib/python3.11/site-packages/idna-*"); !strings.HasPrefix(got, "True True 80.9.0\n") || strings.Count(got, "dist-info") != 1 {
		t.Errorf("%s prints\n%s", more.Name, got)
	}

	// A change of the lock executes nothing again.
	p.require("httpx==0.28.1", "certifi==2025.1.31")
	p.uv("lock")
	second := d.ready(lock.Label, lock.Name, "docker")
	engine.forget(second.Name)
	if out := engine.in(second.Name, `python -c "import certifi; print(certifi.__version__)"`); out != "2025.01.31\n" {
		t.Errorf("the container prints %q", out)
	}
	if log := d.cli("logs", lock.Label); strings.Contains(log, "conda: ") {
		t.Errorf("the log tells of conda:\n%s", log)
	}
}

func lines(s string) []string {
	out := slices.DeleteFunc(strings.Split(strings.TrimSpace(s), "\n"), func(l string) bool { return strings.HasPrefix(l, "_F_IMG_ID=") })
	slices.Sort(out)
	return out
}

// sameTree compares what is known to be alike: docs/differences.md has the rest.
func sameTree(t *testing.T, what string, ours, theirs map[string]entry) {
	t.Helper()
	skip := func(file string) bool {
		for _, part := range []string{"__pycache__", "uv_cache.json", ".lock", "conda-meta/", ".venv/bin/activate", ".venv/bin/deactivate", "pyvenv.cfg", "pydoc.bat", ".venv/bin/python"} {
			if strings.Contains(file, part) {
				return true
			}
		}
		return file == "pkgs" || strings.HasPrefix(file, "pkgs/")
	}
	for file, want := range theirs {
		if skip(file) {
			continue
		}
		got, ok := ours[file]
		if strings.HasSuffix(file, "/RECORD") {
			got.sum, want.sum = "", ""
		}
		if !ok || got != want { // links to Python: the newer uv of the test does not resolve all of them
			t.Errorf("%s: %s is %+v, there: %v; the default builder's %+v", what, file, got, ok, want)
		}
	}
	for file := range ours {
		if _, ok := theirs[file]; !ok && !skip(file) {
			t.Errorf("%s: %s is there, and not in the default builder's", what, file)
		}
	}
}

// A base with another Python than the one that is asked for. What would be executed is told before anything is.
func TestCondaForAnotherVersionThroughBuildkitd(t *testing.T) {
	need(t, varUV, varFlytekit, varPython314, varDocker, "IMGSPECD_TEST_BUILDKIT")
	engine := newDocker(t, varDocker)
	c := newConda(t, engine)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_BUILDKIT_ADDRESS=unix:///nowhere/buildkitd.sock")
	p := newProject(t, spec{name: "other-" + random(), base: os.Getenv(varPython314)}, "httpx==0.28.1").lock()
	p.edit("workflow.py", `requirements="uv.lock",`, fmt.Sprintf(`requirements="uv.lock", python_version="3.11", builder_config={"micromamba_image": %q},`, c.micromamba))
	label := d.watch(p.dir).Label
	if img := d.settled(label, ""); img.State != api.Failed || img.Error == nil || !strings.Contains(img.Error.Message, "BuildKit") {
		t.Errorf("without a BuildKit: %s, %+v", img.State, img.Error)
	}
	x, err := d.Explain(t.Context(), api.Explain{Image: label})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Steps) != 1 || x.Steps[0].Kind != "conda" || x.Steps[0].Done || x.Base == nil || x.Base.Python != "3.11.0" || len(x.Packages) == 0 {
		t.Errorf("steps %+v, base %+v, %d packages, %v", x.Steps, x.Base, len(x.Packages), x.PlanError)
	}
	d.stop()
	d.env = append(d.env, "IMGSPECD_BUILDKIT_ADDRESS="+os.Getenv("IMGSPECD_TEST_BUILDKIT"))
	d.start()
	d.cli("build", label)
	img := d.ready(label, "", "docker")
	engine.forget(img.Name)
	got := engine.in(img.Name, `python -c "import httpx, sys; print(httpx.__version__, sys.version_info[:2], sys.base_prefix)"; id -un`)
	if got != "0.28.1 (3, 11) "+runtimeEnv+"\nflytekit\n" {
		t.Errorf("it prints\n%s", got)
	}
	if x, err = d.Explain(t.Context(), api.Explain{Image: label}); err != nil || len(x.Steps) != 1 || !x.Steps[0].Done {
		t.Errorf("steps %+v, %v", x.Steps, err)
	}
}
