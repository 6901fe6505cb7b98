package builder

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// TestLikeUVSync holds the environment that `uv sync` makes for a Python of this machine against that in our layers for
// the same Python: paths, types, modes and contents. What may differ is only what a fresh environment without packages
// holds, which plan makes, and .lock, uv's own while it works.
func TestLikeUVSync(t *testing.T) {
	o := newOracle(t)
	for _, p := range oracleProjects {
		t.Run(p.name, func(t *testing.T) {
			if p.full && os.Getenv("IMGSPECD_TEST_FULL") == "" {
				t.Skip("IMGSPECD_TEST_FULL is not set")
			}
			dir := o.sync(t, p)
			want := o.venv(t, dir)
			got := o.build(t, dir, leaveOut(t, selectOf(t, dir, "uv.lock", o.info(t)), p.builds))
			compareTrees(t, got, want)
			p.prove(t, got)
		})
	}
}

// oracle is the real uv, and a Python for it.
type oracle struct {
	uv, python string
	linkMode   string // copy, unless another is set
	version    string // of the Python
	libc       pypa.Libc
	empty      map[string]bool // what an environment without packages holds
	wares      *wares
	wheels     string     // downloaded, for all projects
	t          *testing.T // whose end is that of all projects
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{uv: os.Getenv("IMGSPECD_TEST_UV"), python: os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON"), wheels: t.TempDir(), t: t}
	if o.uv == "" || o.python == "" {
		if os.Getenv("IMGSPECD_TEST_REQUIRE") != "" {
			t.Fatal("IMGSPECD_TEST_UV or IMGSPECD_TEST_FLYTEKIT_PYTHON is not set, and nothing may be left out")
		}
		t.Skip("IMGSPECD_TEST_UV or IMGSPECD_TEST_FLYTEKIT_PYTHON is not set: see test/run")
	}
	out, err := exec.Command(o.python, "-c", "import json, platform; print(json.dumps([platform.python_version(), *platform.libc_ver()]))").Output()
	var about [3]string
	if err == nil {
		err = json.Unmarshal(out, &about)
	}
	if err != nil {
		t.Fatalf("ask %s what it is: %v", o.python, err)
	}
	if _, err := fmt.Sscanf(about[2], "%d.%d", &o.libc.Major, &o.libc.Minor); err != nil || about[1] != "glibc" {
		t.Skipf("this Python is for %s %s", about[1], about[2])
	}
	o.version, o.libc.Kind = about[0], "glibc"
	dir := t.TempDir()
	o.run(t, dir, "venv", "--offline", "--python", o.python, ".venv")
	o.empty = map[string]bool{".lock": true}
	for path := range readTree(t, filepath.Join(dir, ".venv")) {
		o.empty[path] = true
	}
	return o
}

func (o *oracle) run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.uv, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "UV_PYTHON="+o.python, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "UV_COMPILE_BYTECODE=0", "UV_LINK_MODE="+cmp.Or(o.linkMode, "copy"), "VIRTUAL_ENV=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("uv %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sync makes a project, its lock and its environment.
func (o *oracle) sync(t *testing.T, p oracleProject) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"%s\"]\n%s", strings.Join(p.dependencies, `", "`), p.more)
	o.put(t, dir, map[string]string{"pyproject.toml": text})
	o.put(t, dir, p.files)
	if p.by == "" {
		o.run(t, dir, "lock")
	} else {
		o.run(t, dir, "tool", "run", "--from", "uv=="+p.by, "uv", "lock")
	}
	args := []string{"sync", "--frozen", "--no-dev", "--no-install-project"}
	for name := range p.builds {
		args = append(args, "--no-install-package", name)
	}
	o.run(t, dir, args...)
	return dir
}

// put writes a project's files, in which the wares may be named.
func (o *oracle) put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "$") && o.wares == nil {
			o.wares = newWares(o.t) // they outlive the project
		}
		if o.wares != nil {
			text = o.wares.names.Replace(text)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// venv reads what uv has installed.
func (o *oracle) venv(t *testing.T, dir string) map[string]onDisk {
	t.Helper()
	files := readTree(t, filepath.Join(dir, ".venv"))
	for path := range o.empty {
		delete(files, path)
	}
	return files
}

// info is of a base that has the oracle's Python.
func (o *oracle) info(t *testing.T) base.Info {
	_, info := testBase(t)
	info.Platform = "linux/" + runtime.GOARCH
	info.Python = &base.Python{Path: "/usr/bin/python3", Version: o.version}
	info.Libc = o.libc
	return info
}

// selectOf reads a lock and what it chooses.
func selectOf(t *testing.T, dir, name string, info base.Info) []lockfile.Artifact {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	project, err := os.ReadFile(filepath.Join(dir, "pyproject.toml"))
	if err != nil && lockfile.Kind(name) != lockfile.FormatPylock {
		t.Fatal(err)
	}
	parsed, err := lockfile.Parse(name, lock, project)
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := parsed.Select(info.Environment(), lockfile.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	return artifacts
}

// leaveOut takes out what has to be built, which must be just what is expected, for the reasons expected.
func leaveOut(t *testing.T, artifacts []lockfile.Artifact, builds map[string]string) []lockfile.Artifact {
	t.Helper()
	named := map[string]string{}
	var rest []lockfile.Artifact
	for _, a := range artifacts {
		if !a.Sdist {
			rest = append(rest, a)
			continue
		}
		named[a.Name] = fmt.Sprintf("%s: %s", a.Source.Kind, a.Source.Cause)
		if !strings.Contains(a.Reason, a.Name) || !strings.Contains(a.Reason, "built") {
			t.Errorf("the reason for %s is %q", a.Name, a.Reason)
		}
	}
	if !maps.Equal(named, builds) {
		t.Errorf("to be built are %v, not %v", named, builds)
	}
	return rest
}

// build makes layers of wheels, and reads them as an engine would lay them over each other.
func (o *oracle) build(t *testing.T, dir string, artifacts []lockfile.Artifact) map[string]onDisk {
	t.Helper()
	img, _ := testBase(t)
	info := o.info(t)
	p := makePlan(t, info, artifacts)
	venv := filepath.Join(dir, ".venv")
	p.Prefix = schemeAt(venv, o.version) // the store is fresh: the keys of the layers are for nobody
	st := newStore(t, t.TempDir())
	log := slog.New(slog.DiscardHandler)
	files := index.NewClient(index.Deps{HTTP: &http.Client{}, Dir: o.wheels, Tmp: o.wheels, Log: log})
	made, _, err := New(Deps{Index: files, Store: st, Parallel: 2, Log: log}).Build(t.Context(), p, img, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := made.Layers()
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string]onDisk{}
	for i, l := range layers[1:] { // the first is the base's, of random content
		if p.Layers[i].Kind != plan.Packages {
			continue
		}
		for path, e := range readLayer(t, l) {
			if rel, ok := strings.CutPrefix(path, venv+"/"); ok {
				tree[rel] = onDisk{mode: e.FileInfo().Mode(), sum: sha256.Sum256([]byte(e.data))}
			}
		}
	}
	for path := range o.empty { // its directories, which the layers repeat
		delete(tree, path)
	}
	return tree
}

func schemeAt(venv, version string) wheel.Scheme {
	python := "python" + version[:strings.LastIndex(version, ".")]
	return wheel.Scheme{
		Prefix: venv, SitePackages: filepath.Join(venv, "lib", python, "site-packages"), Scripts: filepath.Join(venv, "bin"),
		Headers: filepath.Join(venv, "include", "site", python), Interpreter: filepath.Join(venv, "bin", "python"),
	}
}

// onDisk is what is compared of a path.
type onDisk struct {
	mode fs.FileMode
	sum  [sha256.Size]byte // of a file
}

func readTree(t *testing.T, root string) map[string]onDisk {
	t.Helper()
	files := map[string]onDisk{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := onDisk{mode: info.Mode()}
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.sum = sha256.Sum256(data)
		} else {
			f.sum = sha256.Sum256(nil)
		}
		files[rel] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func compareTrees(t *testing.T, got, want map[string]onDisk) {
	t.Helper()
	wrong := 0
	say := func(path, format string, a ...any) {
		if wrong++; wrong <= 20 {
			t.Errorf("%s: %s", path, fmt.Sprintf(format, a...))
		}
	}
	for _, path := range mapKeys(want) {
		w := want[path]
		g, ok := got[path]
		switch {
		case !ok:
			say(path, "the oracle installs it (%v), we do not", w.mode)
		case g.mode != w.mode:
			say(path, "mode %v, the oracle's %v", g.mode, w.mode)
		case g.sum != w.sum:
			say(path, "its content is not the oracle's")
		}
	}
	for _, path := range mapKeys(got) {
		if _, ok := want[path]; !ok {
			say(path, "we install it, the oracle does not")
		}
	}
	if wrong > 20 {
		t.Errorf("and %d more", wrong-20)
	}
}

func mapKeys(m map[string]onDisk) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
