package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A spec with builder="envd" is what the plug-in has envd make: its packages are among those of the base's own Python, which is the one
// with flytekit where no base is named. A lock, which the plug-in cannot read, is installed there too.
func TestEnvd(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker29)
	engine := newDocker(t, varDocker29)
	mark := random()

	// The stand-in for flytekit's own image.
	maker := startDaemon(t, "DOCKER_HOST="+engine.host, "BUILDKIT_HOST=", "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	p := newProject(t, spec{name: "envd-base-" + mark, base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(name="envd-base-%s", builder="envd", registry=%q, base_image=%q, packages=["flytekit==1.16.31", "httpx==0.27.0"], python_version="3.11")
`, mark, os.Getenv(varRegistry), os.Getenv(varBase)))
	made := maker.ready(maker.watch(p.dir).Label, "", "registry")
	maker.stop()

	d := startDaemon(t, "DOCKER_HOST="+engine.host, "BUILDKIT_HOST=", "IMGSPECD_UV_PATH="+os.Getenv(varUV), "FLYTE_INTERNAL_IMAGE="+made.Name)
	p.write("data.txt", "copied "+mark)
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(
    name="envd-%s", builder="envd", packages=["httpx==0.28.1"], env={"GREETING": "it's $HOME", "PYTHONPATH": "/mine"}, copy=["data.txt"],
    commands=["python -c 'import httpx, flytekit; print(httpx.__version__)' > /root/seen", "whoami >> /root/seen"],
)
`, mark))
	img := d.ready(d.watch(p.dir).Label, "", "docker")
	engine.forget(img.Name)
	for script, want := range map[string]string{
		"cat /root/seen":                          "0.28.1\nroot\n",
		"cat /root/data.txt":                      "copied " + mark,
		`echo "$GREETING|$PYTHONPATH|$_F_IMG_ID"`: "it's $HOME|/mine|" + img.ID + "\n",
		`python -c "import flytekit, httpx; print(flytekit.__version__, httpx.__file__)"`: "1.16.31 /usr/local/lib/python3.11/site-packages/httpx/__init__.py\n",
		"ls -d /usr/local/lib/python3.11/site-packages/httpx-*":                           "/usr/local/lib/python3.11/site-packages/httpx-0.28.1.dist-info\n",
		"pip check":                                      "No broken requirements found.\n",
		"grep index-url /etc/pip.conf":                   "index-url=https://pypi.org/simple\n",
		"head -1 $(which pyflyte-execute)":               "#!/usr/local/bin/python3\n",
		"pyflyte-execute --help >/dev/null && echo runs": "runs\n",
		`echo "$PATH" | tr : '\n' | tail -1`:             "/root\n",
	} {
		if got := engine.in(img.Name, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}

	// The same with a lock: it says all that is installed besides what the base has.
	p.require("flytekit==1.16.31", "httpx==0.28.0", "six==1.17.0")
	p.uv("lock")
	before := d.imageOf(p.dir).Name
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(name="envd-%s", builder="envd", requirements="uv.lock")
`, mark))
	img = d.ready(d.imageOf(p.dir).Label, before, "docker")
	engine.forget(img.Name)
	if got := engine.in(img.Name, `python -c "import flytekit, httpx, six; print(flytekit.__version__, httpx.__version__, six.__version__)"; pip check; test -e /root/.venv || echo none`); got !=
		"1.16.31 0.28.0 1.17.0\nNo broken requirements found.\nnone\n" {
		t.Errorf("with a lock: %q", got)
	}
	x, err := d.Explain(t.Context(), api.Explain{Image: img.Label})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range x.Packages {
		if one.Name == "flytekit" {
			t.Error("flytekit is installed again, in the version that the base has")
		}
	}
	if notes := strings.Join(x.Notes, "\n"); !strings.Contains(notes, "httpx 0.27.0 of the base gives way") {
		t.Errorf("notes: %s", notes)
	}
}

// apt and commands are executed for it as for any other, and a poetry.lock is read.
func TestEnvdExecutes(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "BUILDKIT_HOST=")
	base := newDepot(t, "toy").base(t, os.Getenv(varBase))
	p := newProject(t, spec{name: "envd", base: base})
	p.write("poetry.lock", poetryLock)
	p.write("pyproject.toml", "[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"idna==3.10\", \"six==1.17.0\"]\n")
	p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(
    name="envd-%s", builder="envd", base_image=%q, requirements="poetry.lock", apt_packages=["toy"],
    commands=["toy > /root/played", "python -c 'import six; print(six.__version__)' >> /root/played"],
)
`, random(), base))
	img := d.ready(d.watch(p.dir).Label, "", "docker")
	engine.forget(img.Name)
	if got := engine.in(img.Name, "cat /root/played; pip check; ls -A /var/lib/apt/lists"); got != "toy\n1.17.0\nNo broken requirements found.\n" {
		t.Errorf("the container prints %q", got)
	}
}
