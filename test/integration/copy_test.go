package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// What is copied is in the image, is the user's, and follows every save, whatever the file.
func TestWhatIsCopiedFollowsASave(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host)
	p := newProject(t, spec{name: "copied-" + random(), base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	for _, dir := range []string{"app", "data"} {
		if err := os.Mkdir(filepath.Join(p.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.write("app/main.py", "print('first')\n")
	p.write("app/main.pyc", "no source")
	p.write("data/x.csv", "1,2\n")
	p.write("conf.yaml", "a: 1\n")
	p.edit("workflow.py", "from flytekit import", "from flytekit.constants import CopyFileDetection\nfrom flytekit import")
	p.edit("workflow.py", `requirements="uv.lock",`, `requirements="uv.lock",
    source_root="app",
    source_copy_mode=CopyFileDetection.ALL,
    copy=["data", "conf.yaml"],
    env={"MODE": "test"},`)
	label := d.watch(p.dir).Label
	img := d.ready(label, "", "docker")
	engine.forget(img.Name)
	out := engine.in(img.Name, `echo $MODE; python main.py; cat data/x.csv conf.yaml; echo mine > data/mine && rm conf.yaml && stat -c '%U:%G %a %n' main.py data data/x.csv; ls`)
	want := "test\nfirst\n1,2\na: 1\nflytekit:flytekit 644 main.py\nflytekit:flytekit 755 data\nflytekit:flytekit 644 data/x.csv\ndata\nmain.py\n"
	if out != want {
		t.Errorf("the container prints\n%s, want\n%s", out, want)
	}
	findsIt(t, p, engine, img)

	saves := []struct {
		what string
		save func()
		show string
	}{
		{"a source is saved", func() { p.write("app/main.py", "print('second')\n") }, "python main.py"},
		{"a data file is new", func() { p.write("data/new.csv", "second\n") }, "cat data/new.csv"},
		{"a folder is new", func() {
			if err := os.MkdirAll(filepath.Join(p.dir, "data", "deep", "er"), 0o755); err != nil {
				t.Fatal(err)
			}
			p.write("data/deep/er/f", "second\n")
		}, "cat data/deep/er/f"},
		{"a file in it is saved", func() { p.write("data/deep/er/f", "second") }, "cat data/deep/er/f; echo"},
		{"a file goes", func() {
			if err := os.Remove(filepath.Join(p.dir, "data", "x.csv")); err != nil {
				t.Fatal(err)
			}
		}, "test -e data/x.csv || echo second"},
	}
	for _, s := range saves {
		s.save()
		img = d.ready(label, img.Name, "docker")
		engine.forget(img.Name)
		if out := engine.in(img.Name, s.show); out != "second\n" {
			t.Errorf("%s: %q", s.what, out)
		}
		if made := figures(t, d, img).LayersMade; made != 1 {
			t.Errorf("%s: %d layers were made", s.what, made)
		}
	}
	findsIt(t, p, engine, img)

	// flytekit's name sees no empty folder.
	if err := os.Mkdir(filepath.Join(p.dir, "data", "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an empty folder is said to be missing", 20*time.Second, func() bool {
		im, err := d.Image(t.Context(), label, 0)
		return err == nil && im.Name == img.Name && strings.Join(im.Differs, "; ") == "data/empty appeared"
	})
}

// A file that is to be copied is waited for, and what cannot be copied is said.
func TestWhatCannotBeCopied(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "refused-" + random(), base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	p.edit("workflow.py", `requirements="uv.lock",`, `requirements="uv.lock", copy=["later.txt"],`)
	label := d.watch(p.dir).Label
	img := d.settled(label, "")
	if img.State != api.Failed || img.Error == nil || !strings.Contains(img.Error.Message, "there is no file "+filepath.Join(p.dir, "later.txt")) {
		t.Errorf("%s: %+v", img.State, img.Error)
	}
	p.write("later.txt", "x")
	img = d.ready(label, img.Name)
	if err := os.Remove(filepath.Join(p.dir, "later.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(p.dir, "later.txt")); err != nil {
		t.Fatal(err)
	}
	img = d.settled(label, img.Name)
	if img.State != api.Failed || img.Error == nil || img.Error.Code != api.CodeUnsupported || !strings.Contains(img.Error.Message, "is a link to /etc/passwd, outside of "+p.dir) {
		t.Errorf("%s: %+v", img.State, img.Error)
	}
}

// python_exec: packages go into an environment that sees what the base has installed, and is not changed by it.
func TestPythonExecSeesTheBase(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	p := newProject(t, spec{name: "exec", base: os.Getenv(varBase)})
	p.write("workflow.py", fmt.Sprintf("from flytekit import ImageSpec\n\nimage = ImageSpec(name=\"exec-%s\", base_image=%q, packages=[\"six==1.16.0\"], python_exec=\"/usr/local/bin/python\")\n",
		random(), os.Getenv(varBase)))
	img := d.ready(d.watch(p.dir).Label, "", "docker")
	engine.forget(img.Name)
	out := engine.in(img.Name, `which python pyflyte; echo $UV_PYTHON; python -c 'import six, flytekit, pip; print(six.__file__, flytekit.__file__, pip.__file__, sep="\n")'; stat -c %U /root/.venv /root/.venv/lib/python3.11/site-packages/six.py; ls /opt`)
	want := "/root/.venv/bin/python\n/root/.venv/bin/pyflyte\n/root/.venv/bin/python\n/root/.venv/lib/python3.11/site-packages/six.py\n" +
		"/root/.venv/lib/python3.11/site-packages/flytekit/__init__.py\n/usr/local/lib/python3.11/site-packages/pip/__init__.py\nflytekit\nflytekit\n"
	if out != want {
		t.Errorf("the container prints\n%s, want\n%s", out, want)
	}
	findsIt(t, p, engine, img)
}
