package builder

import (
	"bytes"
	"encoding/csv"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// poetryProject is a project that the real poetry installs, by its own lock or by one that an older poetry made.
type poetryProject struct {
	oracleProject
	project string // pyproject.toml
	by      string // the version of poetry that makes the lock; empty: the one that installs it
}

// poetryMode makes a project one without a package. PyPI is named as a private index would be: poetry then
// goes by its files alone, not by what else PyPI says.
const (
	poetryMode  = "[tool.poetry]\npackage-mode = false\n" + poetryIndex
	poetryIndex = "[[tool.poetry.source]]\nname = \"mirror\"\nurl = \"https://pypi.org/simple/\"\npriority = \"primary\"\n"
)

const poetryOfOld = "[tool.poetry]\nname = \"demo\"\nversion = \"1\"\ndescription = \"\"\nauthors = []\npackage-mode = false\n[tool.poetry.dependencies]\npython = \"^3.10\"\n" +
	"flask = { version = \"~3.1\", extras = [\"async\"] }\ntomli = { version = \"*\", python = \"<3.11\" }\nidna = [{ version = \"3.4\", python = \"<3.12\" }, { version = \"3.10\", python = \">=3.12\" }]\n" +
	"six = { version = \"*\", optional = true }\n[tool.poetry.extras]\nmore = [\"six\"]\n[tool.poetry.group.test.dependencies]\npytest = \"^8\"\n" + poetryIndex

var poetryProjects = []poetryProject{
	{oracleProject{name: "groups and extras", holds: []string{"/idna/", "/h2/", "bin/httpx", "/iniconfig/"}, lacks: []string{"/attrs/", "/six.py"}},
		"[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.10,<4\"\ndependencies = [\"httpx[http2,cli] (==0.28.1)\", \"colorama; sys_platform == 'win32'\"]\n" +
			"[project.optional-dependencies]\nmore = [\"six\"]\n[dependency-groups]\nextra = [\"docutils==0.21.2\"]\n" + poetryMode +
			"[tool.poetry.group.dev.dependencies]\niniconfig = \"^2\"\n[tool.poetry.group.docs]\noptional = true\n[tool.poetry.group.docs.dependencies]\nattrs = \"*\"\n", ""},
	{oracleProject{name: "as of old", holds: []string{"/flask/", "/werkzeug/"}, lacks: []string{"/tomli/"}},
		poetryOfOld, ""},
	{oracleProject{name: "URL and sources", holds: []string{"six-1.17.0.dist-info/direct_url.json", "/house/", "bin/house"}, lacks: []string{"/docopt", "/odd"},
		builds: map[string]string{"odd": "git: locked as a source", "docopt": "archive: no wheel", "near": "directory: locked as a source"},
		files:  map[string]string{"near/pyproject.toml": "[project]\nname = \"near\"\nversion = \"1\"\n[tool.poetry]\npackages = [{ include = \"near.py\" }]\n", "near/near.py": ""}},
		"[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.10,<4\"\ndependencies = [\"docopt==0.6.2\", \"house\", \"odd\", \"near\", " +
			"\"six @ https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl\"]\n" + poetryMode +
			"[[tool.poetry.source]]\nname = \"corp\"\nurl = \"$INDEX\"\npriority = \"explicit\"\n[tool.poetry.dependencies]\nhouse = { version = \"*\", source = \"corp\" }\n" +
			"odd = { git = \"$REPO\", tag = \"v1\", subdirectory = \"py\" }\nnear = { path = \"near\", develop = true }\n", ""},
	{oracleProject{name: "data and namespaces", full: true, holds: []string{"share/jupyter/", "include/site/", "bin/ninja", "nspkg.pth"}},
		"[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.10,<4\"\n" +
			"dependencies = [\"jupyterlab-widgets==3.0.15\", \"greenlet==3.2.3\", \"ninja==1.11.1.4\", \"zope.interface==7.2\", \"sphinxcontrib-jsmath==1.0.1\"]\n" + poetryMode, ""},
	{oracleProject{name: "lock of 1.8", full: true, holds: []string{"/flask/", "/asgiref/", "/pytest/", "/idna-3.4.dist-info/"}, lacks: []string{"/six.py"}}, poetryOfOld, "1.8.5"},
	{oracleProject{name: "lock of 2.0", full: true, holds: []string{"/flask/", "/asgiref/", "/pytest/", "/idna-3.4.dist-info/"}, lacks: []string{"/six.py"}}, poetryOfOld, "2.0.1"},
	{oracleProject{name: "science", full: true, holds: []string{"/pandas/", "scipy.libs/"}},
		"[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.11,<3.15\"\ndependencies = [\"pandas\", \"scikit-learn\"]\n" + poetryMode, ""},
}

// TestLikePoetry holds the environment that `poetry install --no-root` makes against that in our layers. Besides what TestLikeUVSync lets
// pass, what may differ is what tells which installer was at work: imgspecd installs as uv does from any lock. That is INSTALLER, REQUESTED,
// which poetry does not write, RECORD, the text of launchers, the form of direct_url.json, and directories that a wheel has and nothing
// lies in, which poetry leaves out.
func TestLikePoetry(t *testing.T) {
	python := os.Getenv("IMGSPECD_TEST_POETRY")
	if python == "" {
		if os.Getenv("IMGSPECD_TEST_REQUIRE") != "" {
			t.Fatal("IMGSPECD_TEST_POETRY is not set, and nothing may be left out")
		}
		t.Skip("IMGSPECD_TEST_POETRY does not name a Python that has poetry: see test/run")
	}
	o := newOracle(t)
	cache := t.TempDir()
	for _, p := range poetryProjects {
		t.Run(p.name, func(t *testing.T) {
			if p.full && os.Getenv("IMGSPECD_TEST_FULL") == "" {
				t.Skip("IMGSPECD_TEST_FULL is not set")
			}
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			poetry := func(args ...string) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), python, append([]string{"-m", "poetry", "--no-interaction", "-C", dir}, args...)...)
				cmd.Env = append(os.Environ(), "POETRY_VIRTUALENVS_IN_PROJECT=true", "POETRY_CACHE_DIR="+cache, "PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring", "VIRTUAL_ENV=")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("poetry %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			o.put(t, dir, p.files)
			o.put(t, dir, map[string]string{"pyproject.toml": p.project})
			if p.by == "" {
				poetry("lock")
			} else {
				o.run(t, dir, "tool", "run", "--from", "poetry=="+p.by, "poetry", "--no-interaction", "lock")
			}
			o.run(t, dir, "venv", "-q", "--clear", "--python", o.python, ".venv") // without a package, as the oracle's is
			poetry("install", "--no-root")
			want := o.venv(t, dir)
			for name := range p.builds {
				removeBuilt(t, filepath.Join(dir, ".venv"), want, name)
			}
			got := o.build(t, dir, leaveOut(t, selectOf(t, dir, "poetry.lock", o.info(t)), p.builds))
			asPoetry(t, got, want)
			compareTrees(t, got, want)
			p.prove(t, got)
		})
	}
}

// asPoetry takes out of both trees what tells of the installer, after checking that it is there where it belongs.
func asPoetry(t *testing.T, got, want map[string]onDisk) {
	t.Helper()
	for _, p := range mapKeys(got) {
		info := strings.HasSuffix(path.Dir(p), ".dist-info")
		switch base := path.Base(p); {
		case info && base == "REQUESTED", got[p].mode.IsDir() && want[p].mode == 0 && !anyBelow(got, p):
			delete(got, p)
			delete(want, p)
		case info && (base == "INSTALLER" || base == "RECORD" || base == "direct_url.json"), path.Dir(p) == "bin":
			w, ok := want[p]
			if ok && w.mode == got[p].mode {
				w.sum = got[p].sum
				want[p] = w
			}
		}
	}
}

// removeBuilt takes a package that poetry built out of its tree, with the directories that it leaves empty.
func removeBuilt(t *testing.T, venv string, tree map[string]onDisk, name string) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(venv, "lib/python*/site-packages", name+"-*.dist-info/RECORD"))
	if err != nil || len(records) != 1 {
		all, _ := filepath.Glob(filepath.Join(venv, "lib/python*/site-packages/*"))
		t.Fatalf("%s: its RECORDs are %v, error %v; there are %v", name, records, err, all)
	}
	data, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		at := row[0]
		if !filepath.IsAbs(at) {
			at = filepath.Join(filepath.Dir(filepath.Dir(records[0])), at)
		}
		if rel, err := filepath.Rel(venv, at); err == nil {
			delete(tree, rel)
		}
	}
	maps.DeleteFunc(tree, func(p string, _ onDisk) bool { return strings.HasPrefix(p+"/", "src/") }) // where poetry keeps what it cloned
	for _, p := range slices.Backward(slices.Sorted(maps.Keys(tree))) {
		if tree[p].mode.IsDir() && !anyBelow(tree, p) {
			delete(tree, p)
		}
	}
}

func anyBelow(tree map[string]onDisk, dir string) bool {
	for p := range tree {
		if strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}
