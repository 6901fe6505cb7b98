package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// fromShell runs a command of imgspecd in a shell that has these variables.
func (d *daemon) fromShell(variables []string, args ...string) string {
	d.t.Helper()
	return command{dir: d.home, env: append(append([]string{}, d.env...), variables...)}.run(d.t, d.bin, args...)
}

// The shell of `imgspecd watch` decides the variables that specs read: the name is flytekit's in that shell.
func TestNameFollowsTheShell(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "x", base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	name := "shell-" + random()
	p.edit("workflow.py", `name="x"`, `name=os.environ.get("TEAM_IMAGE", "unset"), env={"MODE": os.getenv("MODE")}`)
	p.write("workflow.py", "import os\n"+p.read("workflow.py"))
	ask := "from workflow import image; print(image.image_name())"

	out := d.fromShell([]string{"TEAM_IMAGE=" + name, "MODE=", "SECRET=canary-of-the-shell"}, "watch", p.dir)
	label := d.imageOf(p.dir).Label
	img := d.ready(label, "", "layout")
	if want := strings.TrimSpace(p.flytekit(ask, "TEAM_IMAGE="+name, "MODE=")); img.Name != want || !strings.Contains(out, "reads TEAM_IMAGE from the shell") {
		t.Errorf("%s, flytekit says %s; watch prints\n%s", img.Name, want, out)
	}
	if log := d.log(); strings.Contains(log, "canary-of-the-shell") || strings.Contains(log, name+"\"") {
		t.Error("the log holds the value of a variable")
	}
	old := img
	d.fromShell([]string{"MODE=x"}, "watch", p.dir, "--env", "TEAM_IMAGE="+name+"-b")
	img = d.ready(label, old.Name, "layout")
	if want := strings.TrimSpace(p.flytekit(ask, "TEAM_IMAGE="+name+"-b", "MODE=x")); img.Name != want {
		t.Errorf("%s, flytekit says %s", img.Name, want)
	}
	x, err := d.Explain(t.Context(), api.Explain{Image: label})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Variables) != 2 || x.Variables[0].From != api.FromShell || x.Variables[1].From != api.FromOption {
		t.Errorf("variables %+v", x.Variables)
	}
	if x.Change == nil || x.Change.From != old.Name || strings.Join(x.Change.Because, "; ") != "name changed; env changed" {
		t.Errorf("change %+v", x.Change)
	}
}

// What the name does not see is said if it changes what would be built, over restarts, and is built when asked.
func TestContentBehindANameIsNotSilentlyStale(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "stale-" + random(), base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	p.edit("pyproject.toml", `dev = ["iniconfig"]`, "dev = [\"iniconfig\"]\nextra = [\"idna==3.10\"]\n\n[tool.uv]\ndefault-groups = []")
	p.uv("lock")
	label := d.watch(p.dir).Label
	first := d.ready(label, "", "layout")
	differs := func(want string) api.Image {
		t.Helper()
		var im api.Image
		eventually(t, "the image differs: "+want, 20*time.Second, func() bool {
			var err error
			im, err = d.Image(t.Context(), label, 0)
			return err == nil && im.State == api.Ready && strings.Join(im.Differs, "; ") == want
		})
		if im.Name != first.Name {
			t.Errorf("another name: %s", im.Name)
		}
		return im
	}
	p.edit("pyproject.toml", "default-groups = []", "default-groups = []  # none yet")
	time.Sleep(time.Second)
	differs("")
	p.edit("pyproject.toml", "default-groups = []", `default-groups = ["extra"]`)
	differs("pyproject.toml changed")
	d.stop()
	d.start()
	if im := differs("pyproject.toml changed"); im.Digest != first.Digest {
		t.Errorf("it was built without being asked for: %s", im.Digest)
	}
	if out := d.cli("status"); !strings.Contains(out, "its content would differ now") {
		t.Errorf("status says nothing of it:\n%s", out)
	}
	d.cli("build", p.dir)
	second := differs("")
	if second.Digest == first.Digest {
		t.Error("the build made the same image")
	}
	p.write("imgspecd.toml", "rebuild = \"auto\"\n")
	p.edit("pyproject.toml", `default-groups = ["extra"]`, "default-groups = []")
	eventually(t, "it is built at once", 30*time.Second, func() bool {
		im, err := d.Image(t.Context(), label, 0)
		return err == nil && im.State == api.Ready && im.Digest == first.Digest && len(im.Differs) == 0
	})
}
