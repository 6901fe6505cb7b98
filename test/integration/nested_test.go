package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// newNested is a project with an image whose base is an ImageSpec with a lock of its own. What the base installs is not
// what the image does: httpx goes, certifi changes, six comes.
func newNested(t *testing.T, name, registry string) *project {
	t.Helper()
	p := newProject(t, spec{}, "certifi==2025.1.31", "six==1.17.0").lock()
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(
    name="%[1]s-child",
    requirements="uv.lock",
    base_image=ImageSpec(
        name="%[1]s-parent",
        registry="%[2]s",
        requirements="parent/uv.lock",
        base_image="%[3]s",
        env={"FROM_PARENT": "yes"},
    ),
)
`, name, registry, os.Getenv(varBase)))
	if err := os.Mkdir(filepath.Join(p.dir, "parent"), 0o755); err != nil {
		t.Fatal(err)
	}
	parent := &project{t: t, dir: filepath.Join(p.dir, "parent")}
	parent.require("httpx==0.28.1", "certifi==2024.12.14")
	parent.lock()
	return p
}

// spec returns the image of a project that has this label behind the slash.
func (d *daemon) spec(dir, name string) api.Image {
	d.t.Helper()
	p, err := d.AddProject(d.t.Context(), api.AddProject{Dir: dir})
	if err != nil {
		d.t.Fatal(err)
	}
	img, err := d.Image(d.t.Context(), p.Name+"/"+name, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	return img
}

// A nested base is built first, under the name that flytekit gives it and in its own targets; what it installed is gone
// from the image on it, in every kind of Docker engine, as after `uv sync` on that base.
func TestNestedBase(t *testing.T) {
	for _, variable := range []string{varDocker, varDocker29, varDockerGD} {
		t.Run(strings.TrimPrefix(variable, "IMGSPECD_TEST_"), func(t *testing.T) {
			need(t, varUV, varFlytekit, varRegistry, varBase)
			engine := newDocker(t, variable)
			d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always")
			p := newNested(t, "nested-"+random(), os.Getenv(varRegistry))
			label := d.spec(p.dir, "image").Label
			child := d.ready(label, "", "layout", "docker")
			engine.forget(child.Name)
			parent := d.ready(label+"@base", "", "layout", "docker", "registry")
			engine.forget(parent.Name)
			forgetRemote(t, parent.Name)

			names := p.flytekit("from workflow import image\nprint(image.image_name())\nprint(image.base_image.image_name())\nprint(image.id, image.base_image.id)")
			if want := fmt.Sprintf("%s\n%s\n%s %s\n", child.Name, parent.Name, child.ID, parent.ID); names != want {
				t.Errorf("flytekit says\n%swe say\n%s", names, want)
			}
			if out := d.cli("image", p.dir); out != child.Name+"\n" {
				t.Errorf("the project's image is %q", out)
			}
			if child.Base != parent.Name || parent.BaseOf != label {
				t.Errorf("base %q, base of %q", child.Base, parent.BaseOf)
			}
			script := `id -un; python -c "import certifi, six; print(certifi.__version__)"; python -c "import httpx" 2>&1 | tail -1; echo $FROM_PARENT $_F_IMG_ID; ls /root/.venv/lib/python3.*/site-packages | grep -i -c httpx; grep -c "export PATH" /home/flytekit/.profile`
			want := "flytekit\n2025.01.31\nModuleNotFoundError: No module named 'httpx'\nyes " + child.ID + "\n0\n2\n"
			if out := engine.in(child.Name, script); out != want {
				t.Errorf("the container prints\n%swant\n%s", out, want)
			}
			if out := engine.in(parent.Name, `python -c "import httpx, certifi; print(certifi.__version__)"`); out != "2024.12.14\n" {
				t.Errorf("the base prints %q", out)
			}

			ours := engine.tree(engine.container(child.Name), "/root/.venv")
			theirs := engine.tree(uvSyncOn(t, engine, p, parent.Name), "/root/.venv")
			if len(theirs) < 20 {
				t.Fatalf("uv sync left only %d files", len(theirs))
			}
			uid, err := strconv.Atoi(strings.TrimSpace(engine.in(child.Name, "id -u")))
			if err != nil {
				t.Fatal(err)
			}
			compareTrees(t, ours, theirs, uid)

			if out := d.cli("explain", label); !strings.Contains(out, parent.Name) || !strings.Contains(out, "built first") {
				t.Errorf("explain does not tell of the base:\n%s", out)
			}
			skopeoReads(t, d.state, child.Digest)
			if variable != varDocker {
				return // the rest is the same for every engine
			}
			nestedFollows(t, d, p, label, child, parent)
		})
	}
}

// nestedFollows changes the base's lock: both get other names, and the base is built before the image on it.
func nestedFollows(t *testing.T, d *daemon, p *project, label string, child, parent api.Image) {
	t.Helper()
	inner := &project{t: t, dir: filepath.Join(p.dir, "parent")}
	inner.require("httpx==0.28.1", "certifi==2025.1.31")
	inner.lock()
	next := d.ready(label, child.Name, "layout", "docker")
	base := d.ready(label+"@base", parent.Name, "layout", "docker", "registry")
	newDocker(t, varDocker).forget(next.Name)
	newDocker(t, varDocker).forget(base.Name)
	forgetRemote(t, base.Name)
	if next.Base != base.Name {
		t.Errorf("after a change of the base's lock the image is on %s, not on %s", next.Base, base.Name)
	}
	if got := p.flytekit("from workflow import image\nprint(image.image_name())"); got != next.Name+"\n" {
		t.Errorf("flytekit says %s, we say %s", got, next.Name)
	}
}
