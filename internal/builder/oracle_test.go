package builder

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// oracleProject is a project of real packages, whose lock and environment the real uv makes.
type oracleProject struct {
	name         string
	dependencies []string
	more         string            // of pyproject.toml
	files        map[string]string // besides it
	holds        []string          // parts of paths without which the project does not prove what it is here for
	full         bool              // only with IMGSPECD_TEST_FULL
}

// oracleProjects are of all the shapes in which packages come.
var oracleProjects = []oracleProject{
	{name: "scripts", dependencies: []string{"flask==3.1.1", "pygments==2.19.2", "docutils==0.21.2"}, holds: []string{"bin/flask", "bin/rst2html"}},
	{name: "gui scripts and bundled libraries", dependencies: []string{"qtconsole==5.6.1"}, holds: []string{"bin/jupyter-qtconsole", "pyzmq.libs/"}},
	{name: "extras", dependencies: []string{"httpx[http2,cli]==0.28.1", "uvicorn[standard]==0.35.0"}, holds: []string{"/h2/", "bin/httpx", "/uvloop/"}},
	{
		name: "data", dependencies: []string{"jupyterlab-widgets==3.0.15", "greenlet==3.2.3", "ninja==1.11.1.4"},
		holds: []string{"share/jupyter/", "include/site/", "bin/ninja"},
	},
	{
		name: "namespaces", dependencies: []string{"zope.interface==7.2", "zope.event==5.0", "jaraco.text==4.0.0", "jaraco.functools==4.2.1", "sphinxcontrib-jsmath==1.0.1", "googleapis-common-protos==1.70.0"},
		holds: []string{"nspkg.pth", "/jaraco/text/"},
	},
	{name: "abi3", dependencies: []string{"bcrypt==4.3.0", "cryptography==45.0.5", "tornado==6.5.1"}, holds: []string{".abi3.so"}},
	{name: "Unicode names", dependencies: []string{"pelican==4.9.1"}, holds: []string{"décembre/02"}},
	{
		name: "URLs", dependencies: []string{"six", "attrs"}, holds: []string{"six-1.17.0.dist-info/direct_url.json"},
		more: "[tool.uv.sources]\nsix = { url = \"https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl\" }\n",
	},
	{
		name: "workspace", dependencies: []string{"attrs", "member"}, holds: []string{"/idna/", "/attrs/"},
		more: "[tool.uv.workspace]\nmembers = [\"libs/*\"]\n[tool.uv.sources]\nmember = { workspace = true }\n",
		files: map[string]string{"libs/member/pyproject.toml": "[project]\nname = \"member\"\nversion = \"1\"\nrequires-python = \">=3.10\"\n" +
			"dependencies = [\"idna==3.10\"]\n[tool.uv]\npackage = false\n"},
	},
	{
		name: "groups", dependencies: []string{"attrs"}, holds: []string{"/idna/", "/six.py"},
		more: "[dependency-groups]\ndev = [\"iniconfig\"]\nbase = [\"idna\"]\nrun = [{ include-group = \"base\" }, \"six\"]\ndocs = [\"docutils\"]\n" +
			"[tool.uv]\ndefault-groups = [\"dev\", \"run\"]\n",
	},
	{name: "markers", dependencies: []string{"colorama; sys_platform == 'win32'", "importlib-metadata; python_version < '3.15'", "pywin32; sys_platform == 'win32'", "uvloop==0.21.0; platform_python_implementation == 'CPython'"}},
	{name: "flytekit", dependencies: []string{"flytekit==1.16.3"}, full: true},
	{name: "science", dependencies: []string{"pandas", "pyarrow", "scikit-learn"}, full: true},
	{name: "pictures", dependencies: []string{"pillow", "matplotlib", "opencv-python-headless"}, full: true},
	{name: "notebooks", dependencies: []string{"jupyterlab"}, full: true},
	{name: "web", dependencies: []string{"django", "djangorestframework", "gunicorn"}, full: true},
	{name: "services", dependencies: []string{"fastapi[standard]", "sqlalchemy[asyncio]", "alembic", "psycopg[binary]"}, full: true},
	{name: "clouds", dependencies: []string{"boto3", "google-cloud-storage", "azure-storage-blob", "s3fs"}, full: true},
	{name: "documents", dependencies: []string{"sphinx", "mkdocs-material", "lxml"}, full: true},
	{name: "tests", dependencies: []string{"pytest", "pytest-xdist", "hypothesis", "coverage[toml]"}, full: true},
	{name: "tools", dependencies: []string{"ruff", "mypy", "black", "pre-commit"}, full: true},
	{name: "remote calls", dependencies: []string{"grpcio-tools", "protobuf", "pyzmq", "msgpack"}, full: true},
	{name: "scraping", dependencies: []string{"scrapy", "beautifulsoup4", "playwright"}, full: true},
	{name: "frames", dependencies: []string{"polars", "duckdb"}, full: true},
	{name: "languages", dependencies: []string{"spacy", "tokenizers"}, full: true},
	{name: "machines", dependencies: []string{"ansible-core", "paramiko"}, full: true},
	{name: "builders", dependencies: []string{"setuptools", "wheel", "pip", "build", "cython", "pybind11", "cmake"}, full: true},
}

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
			got := o.build(t, dir)
			compareWithUV(t, got, want)
			for _, part := range p.holds {
				if !slices.ContainsFunc(mapKeys(got), func(path string) bool { return strings.Contains("/"+path, part) }) {
					t.Errorf("nothing is at %s: the project proves nothing", part)
				}
			}
			t.Logf("%d files", len(got))
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
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{uv: os.Getenv("IMGSPECD_TEST_UV"), python: os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON")}
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
	files := map[string]string{"pyproject.toml": text}
	for name, text := range p.files {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o.run(t, dir, "lock")
	o.run(t, dir, "sync", "--frozen", "--no-dev", "--no-install-project")
	return dir
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

// build makes layers from the project's lock, and reads them as an engine would lay them over each other.
func (o *oracle) build(t *testing.T, dir string) map[string]onDisk {
	t.Helper()
	img, info := testBase(t)
	info.Platform = "linux/" + runtime.GOARCH
	info.Python = &base.Python{Path: "/usr/bin/python3", Version: o.version}
	info.Libc = o.libc
	lock, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := os.ReadFile(filepath.Join(dir, "pyproject.toml"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := lockfile.ParseUV(lock, project)
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := parsed.Select(info.Environment())
	if err != nil {
		t.Fatal(err)
	}
	p := makePlan(t, info, artifacts)
	venv := filepath.Join(dir, ".venv")
	p.Prefix = schemeAt(venv, o.version) // the store is fresh: the keys of the layers are for nobody
	made, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, img, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := made.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]onDisk{}
	for i, l := range layers[1:] { // the first is the base's, of random content
		if p.Layers[i].Kind != plan.Packages {
			continue
		}
		for path, e := range readLayer(t, l) {
			if rel, ok := strings.CutPrefix(path, venv+"/"); ok {
				files[rel] = onDisk{mode: e.FileInfo().Mode(), sum: sha256.Sum256([]byte(e.data))}
			}
		}
	}
	for path := range o.empty { // its directories, which the layers repeat
		delete(files, path)
	}
	return files
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

func compareWithUV(t *testing.T, got, want map[string]onDisk) {
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
			say(path, "uv installs it (%v), we do not", w.mode)
		case g.mode != w.mode:
			say(path, "mode %v, uv's %v", g.mode, w.mode)
		case g.sum != w.sum:
			say(path, "its content is not uv's")
		}
	}
	for _, path := range mapKeys(got) {
		if _, ok := want[path]; !ok {
			say(path, "we install it, uv does not")
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

// Of a file and a launcher that several packages own, uv with one worker leaves the last one's by name; so does a layer.
func TestOneFileOfManyLikeUV(t *testing.T) {
	o := newOracle(t)
	h := newWheelhouse(t)
	var artifacts []lockfile.Artifact
	var urls []string
	for _, name := range []string{"dd", "aa", "cc", "bb"} { // not the order of their names
		a := h.add(t, name, "1.0", map[string]string{
			"shared/owner.py": "owner = " + name + "\n", name + "-1.0.dist-info/entry_points.txt": "[console_scripts]\nowner = " + name + ":main\n",
		})
		artifacts = append(artifacts, a)
		urls = append(urls, name+" @ "+a.URL)
	}
	slices.SortFunc(artifacts, func(a, b lockfile.Artifact) int { return strings.Compare(a.Name, b.Name) })
	ps := openAll(t, h, artifacts)
	for _, mode := range []string{"copy", "hardlink"} {
		t.Setenv("UV_CONCURRENT_INSTALLS", "1")
		o.linkMode = mode
		dir := o.sync(t, oracleProject{dependencies: urls})
		files, err := ps.files(artifacts, schemeAt(filepath.Join(dir, ".venv"), o.version))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			if base := filepath.Base(f.Path); base != "owner" && base != "owner.py" {
				continue
			}
			n++
			data, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			if f.from.Name != "dd" || !strings.Contains(string(data), "dd") {
				t.Errorf("%s, %s: ours is of %s, uv's is\n%s", mode, filepath.Base(f.Path), f.from.Name, data)
			}
		}
		if n != 2 {
			t.Errorf("%d files are shared, not 2", n)
		}
	}
}

// openAll opens wheels of h.
func openAll(t *testing.T, h *wheelhouse, artifacts []lockfile.Artifact) packages {
	t.Helper()
	paths := map[string]string{}
	for _, a := range artifacts {
		paths[a.Hash] = filepath.Join(t.TempDir(), a.Filename)
		if err := os.WriteFile(paths[a.Hash], h.files[a.Filename], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ps, err := openPackages(plan.Layer{Packages: artifacts}, paths, wheel.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ps.close)
	return ps
}
