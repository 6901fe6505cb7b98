package project

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// wild is a project that is written as people write theirs (November 2026: 211 specs of 14 repositories and of
// search excerpts, sorted by the hardest thing that each needs).
var wild = map[string]string{
	"requirements.txt": "pandas==2.2.3\nhttpx\n", "uv.lock": "version = 1\n", "pyproject.toml": "[project]\nname = \"w\"\n",
	"requirements-spark.txt": "pyspark\n", "conf/a.yaml": "a: 1\n", "service/main.py": "x = 1\n",
	// 1: literals; all spellings of the name; positional; in a decorator; conda; long lists; implicit concatenation.
	"c1.py": `
from typing import Optional
import flytekit as fl
import flytekit as fk
import flytekit
import union
from flytekit import ImageSpec, task, workflow
from flytekit.image_spec import ImageSpec as Spec
from flytekit.image_spec.image_spec import ImageSpec as Deep

img = ImageSpec(name="tabular", registry="localhost:30000", packages=["polars==1.9", "scikit-learn"], python_version="3.11")
web = union.ImageSpec("web", packages=["fastapi[standard]", "union-runtime>=0.1.18"], builder="default")
conda: Optional[ImageSpec] = Spec(
    name="gen",
    conda_packages=["samtools", "bwa"],
    conda_channels=["bioconda", "conda-forge"],
    cuda="12.1", cudnn="8",
    apt_packages=["git", "build-essential"],
    env={"PYTHONPATH": "/root", "N": "1"},
    commands=["echo 'a' && "
              "echo \"b\""],
    pip_extra_index_url=["https://download.pytorch.org/whl/cpu"],
    platform="linux/arm64",
)
a, b = fk.ImageSpec(name="left"), flytekit.ImageSpec(name="right")
deep = Deep("deep", "3.12", registry="ghcr.io/acme")
first = second = ImageSpec(name="twice")

@fl.task(container_image=fl.ImageSpec(requirements="uv.lock", apt_packages=["libgomp1"], builder="default"))
def score() -> float:
    return 1.0

@task(
    container_image=img,
    cache=False,
)
def other() -> int:
    return 1

if img.is_container():
    import polars

@workflow
def wf() -> float:
    return score()
`,
	// 2: module-level constants.
	"c2.py": `
from flytekit import ImageSpec
HUB = "ghcr.io/acme"
TORCH: str = "2.4.1"
BASE_PKGS = ["numpy", "pyarrow"]
OPTIONS = dict(registry=HUB, python_version="3.11")
VERSIONS = {"torch": TORCH, "numpy": "1.26"}
PYTHON, CUDA = "3.10", "12.4"
gpu = ImageSpec(name="gpu", registry=HUB, packages=[f"torch=={TORCH}", *BASE_PKGS] + ["tqdm"])
cpu = ImageSpec(name="cpu", registry=f"{HUB}/small", packages=BASE_PKGS)
kw = ImageSpec(name="kw", packages=[f"{k}=={v}" for k, v in VERSIONS.items()], **OPTIONS)
fmt = ImageSpec(name="%s-%s" % ("a", 1), base_image="{}/python:{}".format(HUB, PYTHON), cuda=CUDA)
cond = ImageSpec(name="cond", packages=BASE_PKGS + (["torch"] if CUDA else []), builder=None or "default")
pins = """
polars==1.9
httpx
""".strip().split("\n")
multi = ImageSpec(name="multi", packages=pins)
HUB = "ghcr.io/later"
later = ImageSpec(name="later", registry=HUB, env={**VERSIONS, "X": str(3)})
padded = ImageSpec(name=f"p{3:02d}", packages=["torch==%.1f" % 2.4])
grown = ["a"]
grown += ["b"]
aug = ImageSpec(name="aug", packages=grown)
joined = ImageSpec(name="-".join(["x", "y"]), packages=sorted({"b": 1, "a": 2}))
`,
	// 3: environment variables, set and not set, direct and by a constant.
	"c3.py": `
import os
import os as system
from os import environ, getenv
from flytekit import ImageSpec
REG = os.getenv("TEAM_REGISTRY")
GONE = os.environ.get("NOT_SET")
MODE = os.getenv("MODE", "dev")
a = ImageSpec(name="a3", registry=REG, packages=["httpx"])
b = ImageSpec(name="b3", registry=os.environ.get("NOT_SET", "ghcr.io/acme"), requirements="requirements.txt")
c = ImageSpec(name="c3", base_image=f"{os.environ['MIRROR']}/python:3.12")
d = ImageSpec(name="d3", registry=GONE)
e = ImageSpec(name="e3", registry=environ.get("TEAM_REGISTRY") or "x", packages=["p"] if getenv("MODE") else [])
f = ImageSpec(name=f"f3-{MODE}", env={"MODE": system.environ["MODE"], "E": os.environ.get("EMPTY")})
g = ImageSpec(name="g3", registry=os.environ.get("EMPTY", "ghcr.io/no"))
h = ImageSpec(name="h3", registry=(os.getenv("TEAM_REGISTRY") or "none").lower(), cuda="1" if "MODE" in os.environ else "2")
i = ImageSpec(name="i3", registry=os.environ["TEAM_REGISTRY"] if "TEAM_REGISTRY" in os.environ else None)
j = ImageSpec(name="j3", packages=os.getenv("EXTRA", "").split(",") if os.getenv("EXTRA") else ["none"])
`,
	// 4: chains on calls and on names, with literals and with variables.
	"c4.py": `
import os
from flytekit import ImageSpec
from c2 import BASE_PKGS
serve = ImageSpec(name="serve", packages=["uvicorn"], source_root=".").with_commands(["chmod +x /root/start.sh"])
base = ImageSpec(name="base4", registry=os.getenv("TEAM_REGISTRY"), packages=["x"])
tools = base.with_apt_packages("jq").with_packages(["rich"])
more = (
    tools
    .with_packages(BASE_PKGS)
    .with_commands(["echo 1"])
    .with_copy(["conf"])
    .force_push()
)
opts = base.with_builder_options({"a": "1"}).with_runtime_packages(["y"])
`,
	// 5: nested specs.
	"c5.py": `
import os
import union
from flytekit import ImageSpec
core = ImageSpec(name="core", packages=["pandas"], registry="ghcr.io/acme")
train = ImageSpec(name="train", base_image=core, packages=["lightgbm"], registry="ghcr.io/acme")
app = union.ImageSpec(name="app", base_image=union.ImageSpec(name="app", base_image="nvcr.io/x/y:1", builder="default"))
third = ImageSpec(name="third", base_image=train.with_packages(["z"]), requirements="requirements.txt")
envd = ImageSpec(name="e5", base_image=ImageSpec(name="in5", registry=os.getenv("TEAM_REGISTRY"), packages=[f"a=={os.getenv('MODE')}"]))
`,
	// 6: from other modules of the project.
	"acme_flow/__init__.py": "",
	"acme_flow/settings.py": "import os\nREGISTRY = 'ghcr.io/acme'\nBUILDER = 'default'\nclass Pins:\n    NUMPY = 'numpy==1.26'\n    ALL = [NUMPY, 'pandas']\nFROM_ENV = os.getenv('TEAM_REGISTRY', 'ghcr.io/d')\n",
	"acme_flow/images.py": `
from flytekit import ImageSpec
from . import settings
from .settings import BUILDER, REGISTRY as R
etl = ImageSpec(name="etl", registry=R, builder=BUILDER, packages=["duckdb"])
pinned = ImageSpec(name="pinned6", packages=settings.Pins.ALL, registry=settings.FROM_ENV)
`,
	"acme_flow/jobs/__init__.py": "",
	"acme_flow/jobs/run.py":      "import acme_flow.settings\nfrom acme_flow.images import etl as etl_image\nfrom ..settings import *\nfrom flytekit import ImageSpec\nown = etl_image.with_packages('q')\nstar = ImageSpec(name='star', registry=REGISTRY, packages=[acme_flow.settings.Pins.NUMPY])\n",
	"src/lib6/__init__.py":       "PIN = 'lib==1'\n",
	"c6.py":                      "import sys\nsys.path.insert(0, 'src')\nfrom acme_flow.images import etl as etl_image\nimport lib6\nfrom flytekit import ImageSpec\nsix = ImageSpec(name='six', base_image=etl_image, packages=[lib6.PIN])\n",
	// 7: under a module-level if, and try.
	"c7.py": `
import os
RUNTIME = "cluster"
try:
    from union import ImageSpec
except ImportError:
    from flytekit import ImageSpec
if RUNTIME == "managed":
    spark = ImageSpec(name="spark", base_image="ghcr.io/acme/managed:1", requirements="requirements-spark.txt")
else:
    spark = ImageSpec(name="spark", requirements="requirements-spark.txt")
if os.getenv("MODE") == "prod" and not os.getenv("NOT_SET"):
    seven = ImageSpec(name="prod7")
elif RUNTIME in ("cluster", "other"):
    seven = ImageSpec(name="cluster7")
try:
    MIRROR = os.environ["NOT_SET"]
except KeyError:
    MIRROR = "docker.io"
tried = ImageSpec(name="tried", base_image=MIRROR + "/python:3.12")
if __name__ == "__main__":
    print(spark)
`,
	// 8: paths from __file__.
	"jobs/c8.py": `
import os
from pathlib import Path
from flytekit import ImageSpec
HERE = Path(__file__).parent
ROOT = Path(__file__).resolve().parents[1]
x = ImageSpec(name="x8", requirements=HERE / "r8.txt")
y = ImageSpec(name="y8", requirements=os.path.join(os.path.dirname(__file__), "r8.txt"))
z = ImageSpec(name="z8", requirements=str(ROOT / "requirements.txt"), copy=["conf", str(HERE / "r8.txt")])
w = ImageSpec(name="w8", requirements=os.fspath(HERE.joinpath("r8.txt")), source_root="service")
v = ImageSpec(name="v8", requirements=os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "uv.lock")))
u = ImageSpec(name="u8", requirements=(HERE / ".." / "requirements.txt").resolve().as_posix())
`,
	"jobs/r8.txt": "eight\n",
	// 9: computed.
	"c9.py": `
from flytekit import ImageSpec
SERVICES = [
    {"name": "one", "deps": ["a"], "cmds": ["x"]},
    {"name": "two", "deps": ["b"], "files": ["conf"], "cmds": []},
]
listed = [ImageSpec(name=row["name"], packages=row["deps"], copy=row.get("files", [])).with_commands(row["cmds"]) for row in SERVICES]
images = {}
for row in SERVICES:
    images[row["name"]] = ImageSpec(name=row["name"], packages=row["deps"])

def make(kind: str) -> ImageSpec:
    return ImageSpec(name=kind, packages=read_pins(kind))
`,
	// 10: from_env.
	"c10.py": `
from flytekit import ImageSpec
e = ImageSpec.from_env(name="same-as-here", packages=["pandera"])
f = ImageSpec.from_env(name="pinned", pinned_packages=["flytekit"], registry="ghcr.io/acme")
`,
}

// asked are the specs of wild by module and expression; those without a variable by the line that they stand in.
var asked = []struct{ module, file, names string }{
	{"c1", "c1.py", "img web conda a b deep first score.container_image@29"},
	{"c2", "c2.py", "gpu cpu kw fmt cond multi later aug joined"},
	{"c3", "c3.py", "a b c d e f g h i j"},
	{"c4", "c4.py", "serve base tools more opts"},
	{"c5", "c5.py", "core train app third envd"},
	{"acme_flow.images", "acme_flow/images.py", "etl pinned"},
	{"acme_flow.jobs.run", "acme_flow/jobs/run.py", "own star"},
	{"c6", "c6.py", "six"},
	{"c7", "c7.py", "spark seven tried"},
	{"jobs.c8", "jobs/c8.py", "x y z w v u"},
	{"c9", "c9.py", "listed[0]@7 listed[1]@7"},
	{"c10", "c10.py", "e f"},
}

// refused are specs that are known only when code runs, and those whose evaluation is not worth it.
var refused = []string{"c2.py:21 name", "c9.py:10 name", "c9.py:13 name"}

// TestWildShapes imports wild with the real flytekit, and reads it; both must name the same images.
func TestWildShapes(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON")
	if python == "" {
		t.Skip("needs IMGSPECD_TEST_FLYTEKIT_PYTHON, a Python that has flytekit")
	}
	needPython(t)
	dir, stubs := t.TempDir(), t.TempDir()
	lay(t, dir, wild)
	lay(t, stubs, map[string]string{"union.py": "from flytekit import ImageSpec\n"})
	env := map[string]string{"TEAM_REGISTRY": "ghcr.io/Team", "MIRROR": "mirror.acme.io", "MODE": "prod", "EMPTY": "", "EXTRA": "a==1,b"}

	var prog strings.Builder
	prog.WriteString("import importlib, sys, flytekit\nsys.modules['polars'] = sys\nprint(flytekit.__version__, '%d.%d' % sys.version_info[:2], sys.prefix)\n")
	prog.WriteString("import builtins; builtins.read_pins = lambda k: []\n")
	for _, a := range asked {
		fmt.Fprintf(&prog, "m = importlib.import_module(%q)\n", a.module)
		for name := range strings.FieldsSeq(a.names) {
			expr, line, inline := strings.Cut(name, "@")
			if !inline {
				line = expr
			}
			fmt.Fprintf(&prog, "s = m.%s; print(%q, s.image_name(), s.id)\n", expr, a.file+" "+line)
		}
	}
	cmd := exec.Command(python, "-B", "-c", prog.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir+":"+stubs)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("import with flytekit: %v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	head := strings.Fields(lines[0])
	asVenv(t, dir, head[1], head[2])
	res := read(t, &Reader{}, dir, Options{Env: env})

	got := map[string][]string{}
	for _, f := range res.Specs {
		n, err := imagespec.Name(f.Spec, imagespec.Options{Dir: f.Cwd, Flytekit: head[0], Machine: "x86_64"})
		if err != nil {
			t.Errorf("%s:%d: %v", f.Source.File, f.Source.Line, err)
			continue
		}
		for _, at := range []string{f.Source.Variable, itoa(f.Source.Line)} {
			key := filepath.ToSlash(f.Source.File) + " " + at
			got[key] = append(got[key], n.Name+" "+n.ID)
		}
	}
	for _, l := range lines[1:] {
		parts := strings.Fields(l)
		key, want := parts[0]+" "+parts[1], parts[2]+" "+parts[3]
		if !slices.Contains(got[key], want) {
			t.Errorf("%s: flytekit says %s, read as %q", key, want, got[key])
		}
	}
	var unreadable []string
	for _, u := range res.Unreadable {
		unreadable = append(unreadable, fmt.Sprintf("%s:%d %s", u.File, u.Line, u.Field))
	}
	slices.Sort(unreadable)
	if !slices.Equal(unreadable, refused) {
		t.Errorf("cannot be read: %q, want %q\n%s", unreadable, refused, summary(res))
	}
	if want := []string{"EMPTY", "EXTRA", "MIRROR", "MODE", "NOT_SET", "TEAM_REGISTRY"}; !slices.Equal(res.Variables, want) {
		t.Errorf("variables %v, want %v", res.Variables, want)
	}
	if len(lines) < 45 {
		t.Errorf("only %d specs were compared", len(lines)-1)
	}
}
