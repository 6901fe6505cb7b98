package project

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// memory is a Cache.
type memory struct{ m *sync.Map }

func newMemory() memory { return memory{&sync.Map{}} }

func (m memory) Found(key string) ([]byte, bool) {
	b, ok := m.m.Load(key)
	if !ok {
		return nil, false
	}
	return b.([]byte), true
}

func (m memory) PutFound(key string, value []byte) error {
	m.m.Store(key, value)
	return nil
}

func needPython(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
}

// lay writes files, as a txtar-like list of names and contents.
func lay(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, r *Reader, dir string, o Options) Result {
	t.Helper()
	res, err := r.Read(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// summary is one line for each spec and each unreadable one.
func summary(res Result) string {
	var lines []string
	for _, f := range res.Specs {
		lines = append(lines, f.Source.File+":"+itoa(f.Source.Line)+" "+f.Label+" "+string(f.Spec.JSON()))
	}
	for _, u := range res.Unreadable {
		lines = append(lines, u.File+":"+itoa(u.Line)+" "+u.Field+": "+u.Reason)
	}
	return strings.Join(lines, "\n")
}

func itoa(n int) string { return strconv.Itoa(n) }

// TestShapes goes through the shapes in which people write specs, and those that cannot be known.
func TestShapes(t *testing.T) {
	needPython(t)
	for name, c := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  string
	}{
		"literals, aliases, positional name, decorator": {
			files: map[string]string{"wf.py": `
import flytekit as fl, union
from flytekit.image_spec import ImageSpec as IS
img = IS("tab", registry="localhost:30000", packages=["polars==1.9"], python_version="3.11")
@fl.task(container_image=fl.ImageSpec(requirements="uv.lock", env={"B": "2", "A": "1"}))
def score(): ...
web: union.ImageSpec = union.ImageSpec(name="web")
`},
			want: `wf.py:4 img {"name": "tab", "python_version": "3.11", "registry": "localhost:30000", "packages": ["polars==1.9"]}
wf.py:5 wf:5 {"env": {"B": "2", "A": "1"}, "requirements": "uv.lock"}
wf.py:7 web {"name": "web"}`,
		},
		"another library's ImageSpec": {
			files: map[string]string{"a.py": "from OpenImageIO import ImageSpec\nx = ImageSpec(1, 2)\n", "b.py": "class ImageSpec:\n    pass\ny = ImageSpec()\n"},
		},
		"constants, in order": {
			files: map[string]string{"wf.py": `
from flytekit import ImageSpec
HUB = "ghcr.io/acme"
PKGS = ["numpy"]
a = ImageSpec(name="a", registry=f"{HUB}/x", packages=PKGS + ["tqdm"])
HUB = "ghcr.io/other"
b = ImageSpec(name="b", registry=HUB, packages=[*PKGS, "x-%s" % "1", "y-{}".format(2)] , **{"cuda": "12"})
c = ImageSpec(name="c" if HUB else "d", builder="default" or None, packages=[f"{p}==1" for p in PKGS])
`},
			want: `wf.py:5 a {"name": "a", "registry": "ghcr.io/acme/x", "packages": ["numpy", "tqdm"]}
wf.py:7 b {"name": "b", "registry": "ghcr.io/other", "packages": ["numpy", "x-1", "y-2"], "cuda": "12"}
wf.py:8 c {"name": "c", "builder": "default", "packages": ["numpy==1"]}`,
		},
		"environment": {
			files: map[string]string{"wf.py": `
import os
from os import environ as E
from flytekit import ImageSpec
a = ImageSpec(name="a", registry=os.getenv("REG"))
b = ImageSpec(name="b", registry=E.get("NONE", "ghcr.io/d"), env={"X": E["REG"]})
c = ImageSpec(name="c", base_image=f"{os.environ['MIRROR']}/p:1")
try:
    M = os.environ["MIRROR"]
except KeyError:
    M = "docker.io"
d = ImageSpec(name="d", base_image=M)
`},
			env: map[string]string{"REG": "ghcr.io/me"},
			want: `wf.py:5 a {"name": "a", "registry": "ghcr.io/me"}
wf.py:6 b {"name": "b", "env": {"X": "ghcr.io/me"}, "registry": "ghcr.io/d"}
wf.py:12 d {"name": "d", "base_image": "docker.io"}
wf.py:7 base_image: the environment variable MIRROR is not set`,
		},
		"a variable that stops the import": {
			files: map[string]string{"wf.py": "import os\nfrom flytekit import ImageSpec\nR = os.environ['R']\na = ImageSpec(name='a')\n"},
			want:  `wf.py:4 : line 3: the environment variable R is not set`,
		},
		"chains and nesting": {
			files: map[string]string{"wf.py": `
from flytekit import ImageSpec
core = ImageSpec(name="core", packages=["pandas"])
tools = core.with_apt_packages("jq").with_packages(["rich"])
train = ImageSpec(name="train", base_image=core)
deep = ImageSpec(name="deep", base_image=ImageSpec(name="in").with_commands(["x"])).force_push()
`},
			want: `wf.py:3 core {"name": "core", "packages": ["pandas"]}
wf.py:4 tools {"name": "core", "packages": ["pandas", "rich"], "apt_packages": ["jq"]}
wf.py:5 train {"name": "train", "base_image": {"__imagespec__": {"name": "core", "packages": ["pandas"]}}}
wf.py:6 deep {"name": "deep", "base_image": {"__imagespec__": {"name": "in", "commands": ["x"]}}}`,
		},
		"imports in the project": {
			files: map[string]string{
				"acme/__init__.py":       "",
				"acme/settings.py":       "REGISTRY = 'ghcr.io/acme'\nclass Cfg:\n    CUDA = '12'\n",
				"acme/images.py":         "from flytekit import ImageSpec\nfrom .settings import REGISTRY\nimport acme.settings as s\netl = ImageSpec(name='etl', registry=REGISTRY, cuda=s.Cfg.CUDA)\n",
				"src/lib/__init__.py":    "from lib.pins import *\n",
				"src/lib/pins.py":        "PINS = ['a==1']\n_HIDDEN = 1\n",
				"flows/wf.py":            "from flytekit import ImageSpec\nimport lib\nfrom acme.images import etl as base\nx = ImageSpec(name='x', packages=lib.PINS)\ny = base.with_packages('q')\n",
				"flows/only_a_method.py": "from acme.images import etl\nz = etl.with_commands(['ls'])\n",
			},
			want: `acme/images.py:4 etl {"name": "etl", "registry": "ghcr.io/acme", "cuda": "12"}
flows/only_a_method.py:2 z {"name": "etl", "registry": "ghcr.io/acme", "cuda": "12", "commands": ["ls"]}
flows/wf.py:4 x {"name": "x", "packages": ["a==1"]}
flows/wf.py:5 y {"name": "etl", "registry": "ghcr.io/acme", "packages": ["q"], "cuda": "12"}`,
		},
		"branches": {
			files: map[string]string{"wf.py": `
from flytekit import ImageSpec
MODE = "local"
if MODE == "cloud":
    a = ImageSpec(name="cloud")
elif MODE == "local":
    a = ImageSpec(name="local")
import mystery
if mystery.flag:
    b = ImageSpec(name="b1")
else:
    b = ImageSpec(name="b2")
c = b.with_packages("x")
if __name__ == "__main__":
    MODE = "main"
d = ImageSpec(name=MODE)
`},
			want: `wf.py:7 a {"name": "local"}
wf.py:10 wf.py:10 {"name": "b1"}
wf.py:12 wf.py:12 {"name": "b2"}
wf.py:16 d {"name": "local"}
wf.py:13 : it depends on what is decided at line 9`,
		},
		"branches in branches, functions, classes, matches": {
			files: map[string]string{"wf.py": `
from flytekit import ImageSpec
import mystery
if mystery.a:
    if mystery.b:
        a = ImageSpec(name="a1")
    else:
        x = 1
    with mystery.c as d:
        b = ImageSpec(name="b")
class Images:
    REG = "ghcr.io/c"
    c = ImageSpec(name="c", registry=REG)
def later():
    from flytekit import ImageSpec as IS
    name = "d"
    return IS(name=name, base_image=Images.c)
e = lambda n: ImageSpec(name=n)
async def f(*, x=ImageSpec(name="f")): ...
`},
			want: `wf.py:6 a {"name": "a1"}
wf.py:10 b {"name": "b"}
wf.py:13 c {"name": "c", "registry": "ghcr.io/c"}
wf.py:19 wf:19 {"name": "f"}
wf.py:17 wf:17 {"name": "d", "base_image": {"__imagespec__": {"name": "c", "registry": "ghcr.io/c"}}}
wf.py:18 name: it is known only when the function at line 18 is called`,
		},
		"scopes": {
			files: map[string]string{"settings.py": "REG = 'a'\n", "wf.py": `
from flytekit import ImageSpec
import settings
NAME = "module"
class K:
    NAME = "class"
    def method(self):
        return ImageSpec(name=NAME)
PIN = "1"
def make():
    return ImageSpec(name="m", packages=[PIN])
img = make()
PIN = "2"
settings.REG = "b"
a = ImageSpec(name="a", registry=settings.REG)
X = ["a"]
Y = X
Y += ["b"]
b = ImageSpec(name="b", packages=X)
c = ImageSpec(name="c", packages=Y)
`},
			want: `wf.py:20 c {"name": "c", "packages": ["a", "b"]}
wf.py:8 wf:8 {"name": "module"}
wf.py:11 packages: PIN changes, and when the function runs is not known
wf.py:15 registry: line 14 of wf.py changes it
wf.py:19 packages: line 18 changes the value in place`,
		},
		"libraries that may be missing": {
			files: map[string]string{"wf.py": "try:\n    from union import ImageSpec\nexcept ImportError:\n    from flytekit import ImageSpec\na = ImageSpec(name='a')\n"},
			want:  `wf.py:5 a {"name": "a"}`,
		},
		"paths": {
			files: map[string]string{"pkg/wf.py": `
import os
from pathlib import Path
from flytekit import ImageSpec
from flytekit.constants import CopyFileDetection
HERE = Path(__file__).parent
a = ImageSpec(name="a", requirements=Path("r.txt"))
b = ImageSpec(name="b", requirements=os.path.join("x", "y.txt"), source_root=".", source_copy_mode=CopyFileDetection.ALL)
c = ImageSpec(name="c", requirements=str(HERE.name) + "/r.txt")
`},
			want: `pkg/wf.py:7 a {"name": "a", "requirements": {"__path__": "r.txt"}}
pkg/wf.py:8 b {"name": "b", "source_root": ".", "requirements": "x/y.txt", "source_copy_mode": {"__copymode__": "ALL"}}
pkg/wf.py:9 c {"name": "c", "requirements": "pkg/r.txt"}`,
		},
		"refusals": {
			files: map[string]string{"wf.py": `
from flytekit import ImageSpec
import numpy
LIST = ["a"]
a = ImageSpec(packages=LIST)
LIST.append("b")
G = "x"
def change():
    global G
    G = "y"
b = ImageSpec(name=G)
def make(kind):
    return ImageSpec(name=kind)
for n in open("x"):
    c = ImageSpec(name=n)
d = ImageSpec(name="d", packages=numpy.pins())
e = ImageSpec(name="e")
e.packages = ["z"]
f = ImageSpec(nmae="f")
g = ImageSpec(name="g", packages={"x", "y"})
h = ImageSpec(name="h", **numpy.kw)
i = ImageSpec(name="i", builder="union")
j = ImageSpec(name=undefined)
`, "star.py": "from flytekit import ImageSpec\nfrom mystery import *\nk = ImageSpec(name='k')\n"},
			want: `wf.py:22 i {"name": "i", "builder": "union"}
star.py:3 : the star import at line 2 may shadow it
wf.py:5 packages: line 6 changes the value by append()
wf.py:11 name: a function may change G (global at line 9)
wf.py:13 name: it is known only when the function at line 12 is called
wf.py:15 name: it changes in the loop at line 14
wf.py:16 packages: the result of numpy.pins() at line 16 is known only when it runs
wf.py:17 packages: line 18 changes the spec after it was made
wf.py:19 nmae: flytekit's ImageSpec has no argument nmae
wf.py:20 packages: the order of a set is known only when it runs
wf.py:21 : numpy.kw is known only when it runs
wf.py:23 name: the name undefined is not known at line 23`,
		},
		"growth is bounded": {
			files: map[string]string{"wf.py": "from flytekit import ImageSpec\nx = 'aaaaaaaaaa'\n" + strings.Repeat("x = x + x\n", 40) + "a = ImageSpec(name=x)\nb = ImageSpec(name='b' * 10**9)\nc = ImageSpec(name='%999999999s' % 'c')\n"},
			want: `wf.py:43 name: the value is too large
wf.py:44 name: the operator Pow is not evaluated
wf.py:45 name: ValueError: a width or precision in a % format is not evaluated`,
		},
		"declared": {
			files: map[string]string{"pyproject.toml": `
[project]
name = "x"

[[tool.imgspecd.image]]
name = "train"
requirements = "uv.lock"
env = { B = "2", A = "1" }
source_copy_mode = "NO_COPY"
pip_secret_mounts = [["a", "/a"]]

[[tool.imgspecd.image]]
name = "bad"
pakages = ["x"]

[[tool.imgspecd.image]]
[tool.imgspecd.image.env]
Z = "1"
"dotted.key" = "2"
[[tool.imgspecd.image]]
base_image = { name = "core", packages = ["a"] }
`},
			want: `pyproject.toml:5 train {"name": "train", "env": {"B": "2", "A": "1"}, "requirements": "uv.lock", "pip_secret_mounts": [{"__tuple__": ["a", "/a"]}], "source_copy_mode": {"__copymode__": "NO_COPY"}}
pyproject.toml:16 pyproject:16 {"env": {"Z": "1", "dotted.key": "2"}}
pyproject.toml:20 pyproject:20 {"base_image": {"__imagespec__": {"name": "core", "packages": ["a"]}}}
pyproject.toml:14 pakages: ImageSpec has no such field`,
		},
		"declared in a file of its own": {
			files: map[string]string{
				"pyproject.toml": "[[tool.imgspecd.image]]\nname = \"a\"\n",
				"imgspecd.toml":  "cwd = \".\"\n[env]\nA = \"1\"\n[[image]]\nname = \"b\"\nenv.X = \"1\"\n[[image]]\nnmae = \"c\"\n",
			},
			want: `pyproject.toml:1 a {"name": "a"}
imgspecd.toml:4 b {"name": "b", "env": {"X": "1"}}
imgspecd.toml:8 nmae: ImageSpec has no such field`,
		},
		"a file of its own that is not right": {
			files: map[string]string{"imgspecd.toml": "[image]\nname = \"b\"\n"},
			want:  `imgspecd.toml:0 : it cannot be read: line 1: image is an array of tables: write [[image]]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, c.files)
			res := read(t, &Reader{}, dir, Options{Env: c.env})
			if got := summary(res); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestVariables proves that only the variables that specs depend on are named: others may hold secrets.
func TestVariables(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	lay(t, dir, map[string]string{"wf.py": `
import os
from flytekit import ImageSpec
TOKEN = os.environ.get("TOKEN")
REG = os.environ.get("REG")
NAME = f"{REG}-x".lower()
if os.getenv("MODE") == "x":
    PIN = "1"
else:
    PIN = "2"
a = ImageSpec(name="a", env={"N": NAME})
b = ImageSpec(name="b", packages=[PIN])
c = ImageSpec(name="c", base_image=a)
d = ImageSpec(name="d")
`})
	res := read(t, &Reader{}, dir, Options{})
	if want := []string{"MODE", "REG"}; !slices.Equal(res.Variables, want) {
		t.Errorf("variables %v, want %v", res.Variables, want)
	}
	for i, want := range [][]string{{"REG"}, {"MODE"}, {"REG"}, {}} {
		if got := res.Specs[i].Variables; !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", res.Specs[i].Label, got, want)
		}
	}
}

// TestCache proves that Python is started for changed inputs only.
func TestCache(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	write := func(name, text string) {
		t.Helper()
		lay(t, dir, map[string]string{name: text})
		old = old.Add(time.Second)
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	write("settings.py", "NAME = 'one'\n")
	write("wf.py", "import os\nfrom flytekit import ImageSpec\nfrom settings import NAME\na = ImageSpec(name=NAME, registry=os.getenv('R'))\n")
	write("uv.lock", "version = 1\n")
	cache := newMemory()
	named := func(want string, started bool, o Options) {
		t.Helper()
		r := &Reader{Cache: cache}
		if !started {
			r.Python = "no-such-python"
		}
		res, err := r.Read(t.Context(), dir, o)
		if err != nil {
			t.Fatalf("Python was started: %v", err)
		}
		if len(res.Specs) != 1 || res.Specs[0].Spec.ImageName() != want {
			t.Fatalf("got %s, want %s", summary(res), want)
		}
	}
	named("one", true, Options{})
	named("one", false, Options{})
	write("uv.lock", "version = 2\n")
	named("one", false, Options{})
	write("settings.py", "NAME = 'two'\n")
	named("two", true, Options{})
	named("two", true, Options{Env: map[string]string{"R": "ghcr.io/x"}})
	named("two", false, Options{Env: map[string]string{"R": "ghcr.io/x", "OTHER": "1"}})
	write("settings/__init__.py", "NAME = 'three'\n") // found before settings.py
	named("three", true, Options{})
}

// TestBrokenFile proves that a file that does not parse keeps its last specs and is reported.
func TestBrokenFile(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	r := &Reader{Cache: newMemory()}
	lay(t, dir, map[string]string{"wf.py": "from flytekit import ImageSpec\na = ImageSpec(name='a')\n"})
	read(t, r, dir, Options{})
	lay(t, dir, map[string]string{"wf.py": "from flytekit import ImageSpec\na = ImageSpec(name='b'\n"})
	res := read(t, r, dir, Options{})
	if len(res.Specs) != 1 || res.Specs[0].Spec.ImageName() != "a" || res.Specs[0].Stale == "" {
		t.Errorf("got %s, want the last good spec", summary(res))
	}
	if len(res.Unreadable) != 1 || res.Unreadable[0].Line != 2 {
		t.Errorf("got %+v, want a report of line 2", res.Unreadable)
	}
	lay(t, dir, map[string]string{"wf.py": "ImageSpec = '\x00'\n", "deep.py": "# ImageSpec\nx = " + strings.Repeat("(", 5000) + "\n"})
	if res = read(t, r, dir, Options{}); len(res.Unreadable) != 2 {
		t.Errorf("got %s, want two reports", summary(res))
	}
}

// TestFiles proves what is looked at.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, map[string]string{
		"a.py": "", "sub/b.py": "", ".venv/lib/c.py": "", "node_modules/d.py": "", ".hidden/e.py": "", "env2/pyvenv.cfg": "", "env2/f.py": "",
		"ignored/g.py": "", ".gitignore": "ignored/\n", "notes.txt": "",
	})
	list := func() string {
		files, err := pythonFiles(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for i := range files {
			files[i] = strings.TrimPrefix(files[i], dir+"/")
		}
		return strings.Join(files, " ")
	}
	if got := list(); got != "a.py ignored/g.py sub/b.py" {
		t.Errorf("outside git: %s", got)
	}
	if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
		t.Skipf("git init: %s", out)
	}
	if got := list(); got != "a.py env2/f.py sub/b.py" {
		t.Errorf("in git: %s", got)
	}
}

// TestEnvironment proves where flytekit's version and Python's come from.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	check := func(flytekit, source, python string) {
		t.Helper()
		res := read(t, &Reader{}, dir, Options{})
		if res.Flytekit != flytekit || res.FlytekitSource != source || res.Python != python {
			t.Errorf("got %s by %s, Python %q, want %s by %s, Python %q", res.Flytekit, res.FlytekitSource, res.Python, flytekit, source, python)
		}
	}
	check(imagespec.Newest, "default", "")
	lay(t, dir, map[string]string{"pyproject.toml": "[project]\nrequires-python = '>=3.10,<4'\n", "uv.lock": "version = 1\n\n[[package]]\nname = \"flytekit\"\nversion = \"1.15.4\"\nsource = { registry = \"https://pypi.org/simple\" }\n"})
	check("1.15.4", "lock", "3.10")
	lay(t, dir, map[string]string{".python-version": "3.12.4\n"})
	check("1.15.4", "lock", "3.12")
	lay(t, dir, map[string]string{".venv/pyvenv.cfg": "home = /usr/bin\nversion_info = 3.13.0\n", ".venv/lib/python3.13/site-packages/flytekit-1.16.2.dist-info/METADATA": ""})
	check("1.16.2", "venv", "3.13")
}
