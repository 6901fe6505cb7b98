package integration

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/imgspecd/imgspecd/api"
)

// parity is an ImageSpec that both build. CI has those without full.
type parity struct {
	name   string
	fields string
	locked bool // has no pip_index
	full   bool
	odd    bool // on a base that has what bases seldom have
}

const (
	theLock  = `requirements="locked/uv.lock"`
	theCopy  = `copy=["data", "conf.yaml", "deep/er/file.txt"]`
	theRoot  = `source_root="app", source_copy_mode=CopyFileDetection.ALL`
	theEnv   = `env={"MODE": "test", "QUOTED": "'a b'", "MORE": "$PATH:/more", "PYTHONPATH": "/root:/extra"}`
	theApt   = `apt_packages=["toy", "top"]`
	theDo    = `commands=["toy > /root/played", "mkdir -p /srv/made && chown flytekit /srv/made", "rm -f /etc/issue", "uv --version > /dev/null"]`
	theEntry = `entrypoint=["/bin/echo", "said"]`
	theExtra = `pip_extra_index_url=["SECOND"]`
	theMount = `pip_secret_mounts=[("secret.txt", "/etc/secret.txt")]`
)

// each field alone, and combinations.
var parities = []parity{
	{name: "nothing", fields: ``, full: true},
	{name: "packages", fields: `packages=["ball", "kite"]`, full: true},
	{name: "requirements", fields: `requirements="reqs/requirements.txt"`, full: true},
	{name: "lock", fields: theLock, locked: true},
	{name: "apt", fields: theApt, full: true},
	{name: "commands", fields: `commands=["ls /root > /srv/list", "echo $PATH $HOME > /srv/told"]`},
	{name: "env", fields: theEnv, full: true},
	{name: "entrypoint", fields: theEntry, full: true},
	{name: "no_entrypoint", fields: `entrypoint=[]`, full: true},
	{name: "copy", fields: theCopy, full: true},
	{name: "source_root", fields: theRoot, full: true},
	{name: "python_exec", fields: `python_exec="/usr/local/bin/python3"`, full: true},
	{name: "python_version", fields: `python_version="3.11"`, full: true},
	{name: "extra_index", fields: theExtra + `, packages=["drum"]`, full: true},
	{name: "extra_args", fields: `pip_extra_args="--no-deps", packages=["ball"]`, full: true},
	{name: "secrets", fields: theMount, full: true},
	{name: "registry", fields: `registry="REGISTRY/parity"`, full: true},
	{name: "platform", fields: `platform="linux/amd64"`, full: true},
	{name: "tag_format", fields: `tag_format="{spec_hash}-dev"`, full: true},
	{name: "runtime_packages", fields: `runtime_packages=["ball"]`, full: true},
	{name: "builder_options", fields: `builder_options={"a": 1}`, full: true},
	{name: "registry_config", fields: `registry_config="conf.yaml"`, full: true},

	{name: "lock_apt_commands", fields: theLock + ", " + theApt + ", " + theDo, locked: true},
	{name: "lock_copy_env", fields: theLock + ", " + theCopy + ", " + theEnv, locked: true, full: true},
	{name: "lock_source_copy_commands", fields: theLock + ", " + theRoot + ", " + theCopy + `, commands=["cat /root/main.py > /srv/main"]`, locked: true},
	{name: "packages_apt_env_entrypoint", fields: `packages=["ball"], ` + theApt + ", " + theEnv + ", " + theEntry},
	{name: "requirements_packages_commands", fields: `requirements="reqs/requirements.txt", packages=["ball"], commands=["python -c 'import ball, top' || echo none > /srv/none"]`},
	{name: "exec_packages_copy", fields: `python_exec="/usr/local/bin/python3", packages=["ball"], ` + theCopy},
	{name: "exec_apt_commands_env", fields: `python_exec="/usr/local/bin/python3", ` + theApt + ", " + theDo + ", " + theEnv, full: true},
	{name: "lock_all", fields: theLock + ", " + theApt + ", " + theDo + ", " + theEnv + ", " + theRoot + ", " + theEntry, locked: true, full: true},
	{name: "packages_secrets_commands", fields: `packages=["kite"], ` + theMount + ", " + theApt + ", " + theDo, full: true},
	{name: "version_extra_args", fields: `python_version="3.11", packages=["ball", "drum"], pip_extra_args="--no-deps", ` + theExtra, full: true},
	{name: "all", fields: `packages=["ball", "drum"], requirements="reqs/requirements.txt", ` + strings.Join([]string{theApt, theDo, theEnv, theRoot, theCopy, theExtra, theMount}, ", ") + `, entrypoint=[]`},
	{name: "odd_packages_apt_commands", odd: true, fields: `packages=["ball"], ` + theApt + `, commands=["id > /srv/id", "pwd >> /srv/id", "echo $0 $HOME >> /srv/id"]`},
	{name: "odd_lock_copy_entrypoint", odd: true, full: true, locked: true, fields: theLock + ", " + theCopy + ", " + theEntry},
	{name: "odd_exec", odd: true, full: true, fields: `python_exec="python3", env={"LD_LIBRARY_PATH": "/x", "EMPTY": "$EMPTY$SPACES"}`},
	{name: "child", fields: `base_image=lock_apt_commands, packages=["drum"], pip_extra_index_url=["SECOND"], commands=["echo child > /srv/child"]`},
}

// What imgspecd builds is what flytekit's default builder builds: files, config, and what a task sees.
func TestParityWithTheDefaultBuilder(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varBuildKit)
	engine, builder := newDocker(t, varDocker), newDefaultBuilder(t)
	depot := newDepot(t, "toy", "top")
	base := depot.base(t, os.Getenv(varBase))
	odd := oddBase(t, base)
	p, names := newParity(t, base, odd, builder)
	d := startDaemon(t, "DOCKER_HOST="+engine.host, "IMGSPECD_DOCKER_USE=always", "BUILDKIT_HOST="+os.Getenv(varBuildKit), "IMGSPECD_UV_PATH="+os.Getenv(varUV), "IMGSPECD_BYTECODE=off", "IMGSPECD_REGISTRY_PUSH=never")
	if _, err := d.AddProject(t.Context(), api.AddProject{Dir: p.dir}); err != nil {
		t.Fatal(err)
	}
	theirs := builder.build(t, p, []string{filepath.Join(p.dir, "secret.txt")}, names...)
	type known struct {
		listing
		layers int
	}
	below := map[bool]known{}
	for isOdd, ref := range map[bool]string{false: base, true: odd} {
		below[isOdd] = known{filesOf(t, pull(t, ref), nil, 0), len(layers(t, pull(t, ref)))}
	}
	for _, v := range names {
		t.Run(v, func(t *testing.T) {
			d, engine := d.in(t), docker{t, engine.host}
			img := d.ready(d.spec(p.dir, v).Label, "", "docker")
			engine.forget(img.Name)
			mine, other := inLayout(t, d.state, img.Digest), pull(t, theirs[v])
			may := mayDiffer
			if strings.Contains(img.Label, "lock") {
				may = slices.Concat(mayDiffer, noEnvironment)
			}
			on := below[strings.HasPrefix(v, "odd_")]
			sameFiles(t, v, filesOf(t, mine, on.listing, on.layers), filesOf(t, other, on.listing, on.layers), may)
			sameConfig(t, mine, other)
			engine.run("pull", "-q", theirs[v])
			engine.forget(theirs[v])
			if out := lineDiff(engine.asTask(img.Name), engine.asTask(theirs[v])); out != "" {
				t.Errorf("a task sees (- in ours, + in the default builder's image)\n%s", out)
			}
		})
	}
}

// What flytekit's default builder refuses, imgspecd refuses.
func TestRefusedAsByTheDefaultBuilder(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	p := newProject(t, spec{base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
	refused := map[string]string{
		"cuda": `cuda="12"`, "cudnn": `cudnn="8"`, "both_kinds": `requirements="uv.lock", packages=["six"]`,
		"conda_for_exec": `python_exec="/usr/local/bin/python3", conda_packages=["six"]`, "channels_for_exec": `python_exec="/usr/local/bin/python3", conda_channels=["nvidia"]`,
		"outside": `copy=["../x"]`, "absolute": `copy=["/etc/passwd"]`, "no_project": `requirements="alone/uv.lock"`,
	}
	if err := os.Mkdir(filepath.Join(p.dir, "alone"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("alone/uv.lock", p.read("uv.lock"))
	text := "from flytekit import ImageSpec\n\n"
	for v, fields := range refused {
		text += fmt.Sprintf("%s = ImageSpec(name=%q, base_image=%q, %s)\n", v, strings.ReplaceAll(v, "_", "-"), os.Getenv(varBase), fields)
	}
	p.write("workflow.py", text)
	out := p.flytekit(`
import pathlib, sys, tempfile
sys.path.insert(0, ".")
from flytekit import ImageSpec
from flytekit.image_spec.default_builder import create_docker_context
import workflow
for name, spec in vars(workflow).items():
    if isinstance(spec, ImageSpec):
        try:
            spec.tag
            create_docker_context(spec, pathlib.Path(tempfile.mkdtemp()))
        except (ValueError, OSError):
            print(name)
`)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_UV_PATH="+os.Getenv(varUV))
	for v := range refused {
		if !slices.Contains(strings.Fields(out), v) {
			t.Errorf("%s is not refused by flytekit", v)
		}
		if img := d.settled(d.spec(p.dir, v).Label, "none"); img.State != api.Failed || img.Error == nil {
			t.Errorf("%s is %s: %s", v, img.State, img.Detail)
		}
	}
}

// newParity writes the project, and returns the names of its specs' variables.
func newParity(t *testing.T, base, odd string, builder defaultBuilder) (*project, []string) {
	t.Helper()
	h, second := newToyHouse(t), newHouse(t)
	second.put(t, "drum", map[string]string{"drum.py": "x = 2\n", "drum-1.0.data/scripts/beat": "#!python\nprint('beat')\n"})
	h.put(t, "ball", map[string]string{
		"ball/__init__.py": "def main():\n    print('ball')\n", "ball/data.txt": "x\n", "ball-1.0.data/data/share/ball.txt": "shared\n",
		"ball-1.0.dist-info/entry_points.txt": "[console_scripts]\nball = ball:main\n",
	})
	delete(h.wheels, "drum-1.0-py3-none-any.whl")
	h.release(t, "flytekit", "1.16.31", map[string]string{"flytekit/__init__.py": "def main():\n    print('flytekit')\n", "flytekit-1.16.31.dist-info/entry_points.txt": "[console_scripts]\npyflyte-execute = flytekit:main\n"})
	p := newProject(t, spec{})
	for _, dir := range []string{"locked", "reqs", "data/sub", "deep/er", "app/pkg"} {
		if err := os.MkdirAll(filepath.Join(p.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, content := range map[string]string{
		"reqs/requirements.txt": "# a comment\nkite==1.0\n", "conf.yaml": "a: 1\n", "data/x.csv": "1,2\n", "data/sub/run.sh": "#!/bin/sh\n",
		"deep/er/file.txt": "deep\n", "app/main.py": "print('main')\n", "app/pkg/__init__.py": "", "app/.gitignore": "*.log\n", "app/x.log": "no\n", "secret.txt": "secret\n",
	} {
		p.write(file, content)
	}
	for file, mode := range map[string]os.FileMode{"data/sub/run.sh": 0o755, "conf.yaml": 0o640} {
		if err := os.Chmod(filepath.Join(p.dir, file), mode); err != nil {
			t.Fatal(err)
		}
	}
	p.write("locked/pyproject.toml", "[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"ball\", \"kite\", \"flytekit\"]\n\n"+
		"[tool.uv]\npackage = false\n\n[[tool.uv.index]]\nname = \"house\"\nurl = \""+h.URL+"/simple\"\ndefault = true\n")
	(&project{t: t, dir: filepath.Join(p.dir, "locked")}).lock()

	text := "from flytekit import ImageSpec\nfrom flytekit.constants import CopyFileDetection\n\n"
	mark, names := random(), []string(nil)
	for _, c := range parities {
		if c.full && os.Getenv("IMGSPECD_TEST_FULL") == "" {
			continue
		}
		fields := c.fields
		if c.odd {
			fields += fmt.Sprintf(", base_image=%q", odd)
		} else if !strings.Contains(fields, "base_image=") {
			fields += fmt.Sprintf(", base_image=%q", base)
		}
		if !c.locked {
			fields += fmt.Sprintf(", pip_index=%q", h.URL+"/simple")
		}
		fields = strings.NewReplacer("SECOND", second.URL+"/simple", "REGISTRY", os.Getenv(varRegistry)).Replace(strings.TrimPrefix(fields, ", "))
		text += fmt.Sprintf("%s = ImageSpec(name=\"parity-%s-%s\", builder_config={\"uv_image\": %q, \"micromamba_image\": %q}, %s)\n",
			c.name, mark, strings.ReplaceAll(c.name, "_", "-"), builder.uv, builder.micromamba, fields)
		names = append(names, c.name)
	}
	p.write("workflow.py", text)
	return p, names
}

// oddBase is the base with a user of its own called flytekit, another user and directory to start in, and much in its config.
func oddBase(t *testing.T, base string) string {
	t.Helper()
	img := pull(t, base)
	etc := map[string]string{}
	for _, l := range [][2]string{{"etc/passwd", "flytekit:x:1234:1235::/home/fly:/bin/sh\n"}, {"etc/group", "fly:x:1235:\n"}} {
		etc[l[0]] = contentOf(t, img, l[0]) + l[1]
	}
	etc["home/fly/.profile"], etc["root/.cache/left"] = "# mine\n", "x"
	img = pull(t, basedOn(t, base, etc))
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	c.User, c.WorkingDir, c.Entrypoint, c.Cmd, c.Shell = "nobody", "/srv", []string{"/bin/echo"}, []string{"base"}, []string{"/bin/bash", "-e", "-c"}
	c.ExposedPorts, c.Volumes, c.StopSignal, c.Labels = map[string]struct{}{"80/tcp": {}}, map[string]struct{}{"/data": {}}, "SIGINT", map[string]string{"of": "base"}
	c.Env = append(c.Env, "LD_LIBRARY_PATH=/opt/lib", "PYTHONPATH=/base", "EMPTY=", "SPACES=a b  c")
	if img, err = mutate.Config(img, c); err != nil {
		t.Fatal(err)
	}
	ref := os.Getenv(varRegistry) + "/imgspecd-test/odd-" + random() + ":1"
	push(t, ref, img)
	return ref
}

// contentOf reads a file of an image.
func contentOf(t *testing.T, img v1.Image, name string) string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Trim(h.Name, "./") == name {
			b, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
}

// asTask runs what a task would see, as the image's user.
func (d docker) asTask(image string) string {
	d.t.Helper()
	return d.run("run", "--rm", "--entrypoint", "/bin/bash", image, "-c", `id; pwd; env | grep -v -e HOSTNAME -e _F_IMG_ID | sort
command -v python pyflyte-execute ball beat uv toy; pyflyte-execute; ball; beat; toy
python -c 'import sys; print(sys.version_info[:3], sys.prefix, sys.path)'
python -c 'import flytekit; print(flytekit.__file__)'; python main.py; cat ~/.profile; bash -lc 'command -v python'
echo x > /root/mine && echo x > ~/mine && ls -A -I .local /root ~ /srv; ls -ld /root ~ 2>/dev/null | cut -d' ' -f1,3,4; true`)
}

// lineDiff is the lines that only one text has.
func lineDiff(a, b string) string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	out := ""
	for _, l := range left {
		if !slices.Contains(right, l) {
			out += "-" + l + "\n"
		}
	}
	for _, l := range right {
		if !slices.Contains(left, l) {
			out += "+" + l + "\n"
		}
	}
	return out
}

// sameConfig compares what a container is started with.
func sameConfig(t *testing.T, mine, other v1.Image) {
	t.Helper()
	show := func(img v1.Image) string {
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		c.Config.Labels = nil // doc: labels name the image and its base
		return strings.ReplaceAll(asJSON(t, map[string]any{"config": c.Config, "platform": c.Platform().String()}), `","`, "\",\n\"")
	}
	if got, want := show(mine), show(other); got != want {
		t.Errorf("its config is\n%s\nthe default builder's\n%s", got, want)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
