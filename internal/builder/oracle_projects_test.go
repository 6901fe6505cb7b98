package builder

import (
	"slices"
	"strings"
	"testing"
)

// oracleProject is a project of real packages, whose lock and environment the real uv makes.
type oracleProject struct {
	name         string
	dependencies []string
	more         string            // of pyproject.toml
	files        map[string]string // besides it
	holds        []string          // parts of paths without which the project does not prove what it is here for
	lacks        []string          // and those with which it does not
	builds       map[string]string // packages that have to be built, with kind and cause; on both sides they are left out
	full         bool              // only with IMGSPECD_TEST_FULL
	by           string            // the version of uv that makes the lock; empty: the one that syncs
}

// prove makes sure that the project is of the shape for which it is here.
func (p oracleProject) prove(t *testing.T, got map[string]onDisk) {
	t.Helper()
	has := func(part string) bool {
		return slices.ContainsFunc(mapKeys(got), func(path string) bool { return strings.Contains("/"+path, part) })
	}
	for _, part := range p.holds {
		if !has(part) {
			t.Errorf("nothing is at %s: the project proves nothing", part)
		}
	}
	for _, part := range p.lacks {
		if has(part) {
			t.Errorf("something is at %s: the project proves nothing", part)
		}
	}
	t.Logf("%d files", len(got))
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
		name: "groups", dependencies: []string{"attrs"}, holds: []string{"/idna/", "/six.py"}, lacks: []string{"/iniconfig/", "/docutils/"},
		more: "[dependency-groups]\ndev = [\"iniconfig\"]\nbase = [\"idna\"]\nrun = [{ include-group = \"base\" }, \"six\"]\ndocs = [\"docutils\"]\n" +
			"[tool.uv]\ndefault-groups = [\"dev\", \"run\"]\n",
	},
	{name: "markers", dependencies: []string{"colorama; sys_platform == 'win32'", "importlib-metadata; python_version < '3.15'", "pywin32; sys_platform == 'win32'", "uvloop==0.21.0; platform_python_implementation == 'CPython'"}},
	{
		name: "all groups", dependencies: []string{"attrs"}, holds: []string{"/idna/", "/six.py"}, lacks: []string{"/iniconfig/"},
		more: "[dependency-groups]\ndev = [\"iniconfig\"]\nbase = [\"idna\"]\nrun = [\"six\"]\n[tool.uv]\ndefault-groups = \"all\"\n",
	},
	{
		name: "forks", dependencies: []string{"idna<3.5; python_version < '3.12'", "idna>=3.10; python_version >= '3.12'", "attrs"}, holds: []string{"/idna-3."},
		more: "[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\nrequired-environments = [\"sys_platform == 'linux' and platform_machine == 'aarch64'\"]\n",
	},
	{
		name: "conflicts", dependencies: []string{"attrs"}, holds: []string{"/idna-3.4.dist-info/"},
		more: "[project.optional-dependencies]\nold = [\"idna==3.7\"]\nnew = [\"idna==3.10\"]\n[dependency-groups]\nfirst = [\"idna==3.4\"]\nsecond = [\"idna==3.6\"]\n" +
			"[tool.uv]\ndefault-groups = [\"first\"]\nconflicts = [[{ extra = \"old\" }, { extra = \"new\" }, { group = \"first\" }, { group = \"second\" }]]\n",
	},
	{
		name: "extras of its own", dependencies: []string{"demo[fast]", "attrs"}, holds: []string{"/idna/"}, lacks: []string{"/six.py"},
		more: "[project.optional-dependencies]\nfast = [\"idna\"]\nslow = [\"six\"]\n",
	},
	{
		name: "several indexes", dependencies: []string{"house", "idna==3.10"}, holds: []string{"/house/", "/idna/", "bin/house"},
		more: "[[tool.uv.index]]\nname = \"corp\"\nurl = \"$INDEX\"\nexplicit = true\n[tool.uv.sources]\nhouse = { index = \"corp\" }\n",
	},
	{
		name: "overrides and bounds", dependencies: []string{"flask==3.1.1"}, holds: []string{"/click-8.1.7.dist-info/", "/werkzeug-3.1.0.dist-info/"}, lacks: []string{"/blinker/"},
		more: "[tool.uv]\noverride-dependencies = [\"click==8.1.7\", \"blinker; sys_platform == 'win32'\"]\nconstraint-dependencies = [\"werkzeug==3.1.0\"]\n",
	},
	{
		name: "sources", dependencies: []string{"odd", "member", "near", "docopt==0.6.2", "attrs"}, holds: []string{"/idna/", "/attrs/", "/six.py"}, lacks: []string{"/docopt", "/odd", "/near"},
		more: "[tool.uv.workspace]\nmembers = [\"libs/*\"]\n[tool.uv.sources]\nodd = { git = \"$REPO\", tag = \"v1\", subdirectory = \"py\" }\n" +
			"member = { workspace = true }\nnear = { path = \"near\" }\n",
		files: map[string]string{
			"libs/member/pyproject.toml": "[project]\nname = \"member\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"six\"]\n[build-system]\nrequires = []\nbuild-backend = \"none\"\n",
			"near/pyproject.toml":        "[project]\nname = \"near\"\nversion = \"1\"\nrequires-python = \">=3.10\"\n[build-system]\nrequires = []\nbuild-backend = \"none\"\n",
		},
		builds: map[string]string{
			"odd": "git: locked as a source", "member": "directory: locked as a source", "near": "directory: locked as a source", "docopt": "archive: no wheel",
		},
	},
	{
		name: "no-binary-package", dependencies: []string{"six==1.17.0", "attrs"}, holds: []string{"/attrs/"}, lacks: []string{"/six.py"},
		more: "[tool.uv]\nno-binary-package = [\"six\"]\n", builds: map[string]string{"six": "archive: wheels not allowed"},
	},
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
	{name: "lowest versions", dependencies: []string{"requests>=2.31", "jinja2>=3.1"}, more: "[tool.uv]\nresolution = \"lowest-direct\"\n", holds: []string{"/requests-2.31.0.dist-info/"}, full: true},
	{name: "a day of the past", dependencies: []string{"requests", "rich"}, more: "[tool.uv]\nexclude-newer = \"2024-01-01T00:00:00Z\"\n", holds: []string{"/requests-2.31.0.dist-info/"}, full: true},
	{name: "pre-releases", dependencies: []string{"pydantic==2.12.0b1", "six"}, more: "[tool.uv]\nprerelease = \"allow\"\n", holds: []string{"/pydantic-2.12.0b1.dist-info/"}, full: true},
	{
		name: "lock of 0.5.1", dependencies: []string{"httpx[http2]==0.28.1", "idna<3.5; python_version < '3.12'", "uvloop==0.21.0", "six"}, holds: []string{"/h2/", "/idna-3.4.dist-info/", "/attrs/", "direct_url.json"}, lacks: []string{"/iniconfig/"},
		more: lockedOfOld, full: true, by: "0.5.1"},
	{
		name: "lock of 0.6.17", dependencies: []string{"httpx[http2]==0.28.1", "idna<3.5; python_version < '3.12'", "uvloop==0.21.0", "six"}, holds: []string{"/h2/", "/idna-3.4.dist-info/", "/attrs/", "direct_url.json"}, lacks: []string{"/iniconfig/"},
		more: lockedOfOld, full: true, by: "0.6.17"},
	{
		name: "lock of 0.7.22", dependencies: []string{"httpx[http2]==0.28.1", "idna<3.5; python_version < '3.12'", "uvloop==0.21.0", "six"}, holds: []string{"/h2/", "/idna-3.4.dist-info/", "/attrs/", "direct_url.json"}, lacks: []string{"/iniconfig/"},
		more: lockedOfOld, full: true, by: "0.7.22"},
	{
		name: "lock of 0.8.24", dependencies: []string{"httpx[http2]==0.28.1", "idna<3.5; python_version < '3.12'", "uvloop==0.21.0", "six"}, holds: []string{"/h2/", "/idna-3.4.dist-info/", "/attrs/", "direct_url.json"}, lacks: []string{"/iniconfig/"},
		more: lockedOfOld, full: true, by: "0.8.24"},
}

const lockedOfOld = "[dependency-groups]\ndev = [\"iniconfig\"]\nrun = [\"attrs\"]\n[tool.uv]\ndefault-groups = [\"run\"]\n[tool.uv.sources]\n" +
	"six = { url = \"https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl\" }\n"
