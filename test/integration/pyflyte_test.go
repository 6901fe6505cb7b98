package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// newPipeline is a workflow in two modules. Tasks of both use the shared image; the trainer's is built on it, and the name
// of the reporter's comes from an environment variable.
func newPipeline(t *testing.T, name string) *project {
	t.Helper()
	p := newProject(t, spec{}, "certifi==2024.12.14", "six==1.17.0").lock()
	if err := os.Remove(filepath.Join(p.dir, "workflow.py")); err != nil {
		t.Fatal(err)
	}
	p.write("features.py", fmt.Sprintf(`import os

from flytekit import ImageSpec, task

BASE = %q

shared = ImageSpec(name="%s-shared", base_image=BASE, requirements="uv.lock", env={"STAGE": "features"})
reporter = ImageSpec(
    name=os.environ["REPORTER_IMAGE"],
    base_image=BASE,
    requirements="uv.lock",
    env={"LEVEL": os.getenv("REPORT_LEVEL", "unset")},
)


@task(container_image=shared)
def prepare(n: int) -> int:
    return n + 1


@task(container_image=reporter)
def report(n: int) -> str:
    return str(n)
`, os.Getenv(varBase), name))
	p.write("train.py", fmt.Sprintf(`from features import prepare, report, shared
from flytekit import ImageSpec, task, workflow

trainer = ImageSpec(name="%s-trainer", base_image=shared, requirements="uv.lock")


@task(container_image=trainer)
def fit(n: int) -> int:
    return n * 2


@task(container_image=shared)
def check(n: int) -> int:
    return n


@workflow
def pipeline(n: int = 1) -> str:
    return report(n=check(n=fit(n=prepare(n=n))))
`, name))
	return p
}

// pyflyte runs `pyflyte build --fast` on the workflow and returns the images that it found, and those that it says it builds.
func (p *project) pyflyte(engine docker, variables ...string) (found, built []string) {
	p.t.Helper()
	env := append(slices.Clone(variables), "DOCKER_HOST="+engine.host, "PYTHONDONTWRITEBYTECODE=1", "HOME="+p.t.TempDir())
	bin := filepath.Join(filepath.Dir(os.Getenv(varFlytekit)), "pyflyte")
	out := command{dir: p.dir, env: env}.run(p.t, bin, "build", "--fast", "train.py", "pipeline")
	words := strings.Fields(out)
	for i, w := range words {
		if w != "Image" || i+3 >= len(words) {
			continue
		}
		switch strings.Join(words[i+2:min(i+5, len(words))], " ") {
		case "found. Skip building.":
			found = append(found, words[i+1])
		default:
			built = append(built, words[i+1])
		}
	}
	if len(found)+len(built) == 0 {
		p.t.Errorf("pyflyte names no image:\n%s", out)
	}
	slices.Sort(found)
	return slices.Compact(found), built
}

// The promise as its user sees it: the workflow is as it was, the lock changed, and the real pyflyte builds nothing.
func TestPyflyteFindsEveryImageOfAWorkflow(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always")
	name := "pipeline-" + random()
	p := newPipeline(t, name)
	shell := []string{"REPORTER_IMAGE=" + name + "-reporter", "REPORT_LEVEL=brief"}
	code := p.read("features.py") + p.read("train.py")

	d.fromShell(shell, "watch", p.dir)
	first := d.pipeline(p, engine, nil)
	if found, built := p.pyflyte(engine, shell...); !slices.Equal(found, names(first)) || built != nil {
		t.Errorf("pyflyte finds %v and builds %v, ready are %v", found, built, names(first))
	}

	p.require("certifi==2025.1.31", "six==1.17.0")
	p.uv("lock")
	second := d.pipeline(p, engine, first)
	if found, built := p.pyflyte(engine, shell...); !slices.Equal(found, names(second)) || built != nil {
		t.Errorf("after the lock changed pyflyte finds %v and builds %v, ready are %v", found, built, names(second))
	}
	if p.read("features.py")+p.read("train.py") != code {
		t.Error("the workflow is not as it was")
	}
	for _, img := range second {
		if v := engine.in(img.Name, `python -c "import certifi; print(certifi.__version__)"`); v != "2025.01.31\n" {
			t.Errorf("%s has certifi %s", img.Name, v)
		}
	}
}

// pipeline waits until the three images of the workflow are ready in Docker under other names than before.
func (d *daemon) pipeline(p *project, engine docker, before []api.Image) []api.Image {
	d.t.Helper()
	var images []api.Image
	for i, name := range []string{"shared", "reporter", "trainer"} {
		old := ""
		if before != nil {
			old = before[i].Name
		}
		img := d.ready(filepath.Base(p.dir)+"/"+name, old, "layout", "docker")
		engine.forget(img.Name)
		images = append(images, img)
	}
	return images
}

func names(images []api.Image) []string {
	var all []string
	for _, img := range images {
		all = append(all, img.Name)
	}
	slices.Sort(all)
	return all
}
