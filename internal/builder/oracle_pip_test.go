package builder

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/resolve"
)

// pipProject is what the default builder installs with `uv pip install`: lines of requirements.txt and packages, or a lock of PEP 751.
type pipProject struct {
	oracleProject          // files, with what they must hold
	requirements  string   // requirements.txt
	packages      []string // packages=[...]
	index         string   // pip_index
	extra         []string // pip_extra_index_url
	pylock        string   // of a pyproject.toml, exported by uv
	needs         string   // what has to be built to be resolved; then nothing is installed
}

var pipProjects = []pipProject{
	{
		oracleProject: oracleProject{name: "requirements", holds: []string{"/h2/", "bin/httpx", "/idna-3.7.dist-info/", "/attrs/", "/six.py", "/flytekit/"}, lacks: []string{"/win32"},
			files: map[string]string{"more/base.txt": "-c bounds.txt\nattrs\n", "more/bounds.txt": "idna==3.7\nanyio<4.9\n"}},
		requirements: "# ours\n--extra-index-url $INDEX\n\nhttpx[http2,cli]==0.28.1\n-r more/base.txt   # and more\npywin32; sys_platform == 'win32'\n" +
			"six==1.17.0 \\\n  --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274 \\\n  --hash=sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81\nflytekit==1.0\n",
	},
	{
		oracleProject: oracleProject{name: "packages", holds: []string{"/flask/", "bin/house", "/flytekit/", "/pip/"}},
		packages:      []string{"pip", "flask>=3", "house", "flytekit==1.0"}, extra: []string{"$INDEX"},
	},
	{
		oracleProject: oracleProject{name: "URLs and files", holds: []string{"six-1.17.0.dist-info/direct_url.json", "/house/"}},
		packages: []string{"six @ https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl",
			"house", "flytekit==1.0"}, index: "$INDEX",
	},
	{
		oracleProject: oracleProject{name: "pylock.toml", holds: []string{"/h2/", "/uvloop/", "six-1.17.0.dist-info/direct_url.json"}, lacks: []string{"/iniconfig/"}},
		pylock: "[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"httpx[http2]==0.28.1\", \"uvloop==0.21.0\", \"six\"]\n" +
			"[dependency-groups]\ndev = [\"iniconfig\"]\n[tool.uv.sources]\nsix = { url = \"https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl\" }\n",
	},
	{oracleProject: oracleProject{name: "git", builds: map[string]string{"odd": "git: locked as a source"}}, packages: []string{"odd @ git+$REPO@v1#subdirectory=py", "flytekit==1.0"}, extra: []string{"$INDEX"}},
	{oracleProject: oracleProject{name: "editable"}, requirements: "-e ./near\n", needs: "./near"},
	{oracleProject: oracleProject{name: "source distribution"}, packages: []string{"docopt==0.6.2"}, needs: "docopt"},
	{
		oracleProject: oracleProject{name: "flytekit", full: true, holds: []string{"/flytekit/", "/pandas/", "bin/pyflyte-execute"}},
		requirements:  "pandas<3\nscikit-learn\n",
	},
}

// TestLikeUVPipInstall holds what `uv pip install` makes of requirements against what is resolved and then laid into our layers.
func TestLikeUVPipInstall(t *testing.T) {
	o := newOracle(t)
	for _, p := range pipProjects {
		t.Run(p.name, func(t *testing.T) {
			if p.full && os.Getenv("IMGSPECD_TEST_FULL") == "" {
				t.Skip("IMGSPECD_TEST_FULL is not set")
			}
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			o.put(t, dir, p.files)
			o.run(t, dir, "venv", "-q", "--python", o.python, ".venv")
			var artifacts []lockfile.Artifact
			args := []string{"pip", "install", "--python", ".venv/bin/python"}
			if p.pylock != "" {
				o.put(t, dir, map[string]string{"pyproject.toml": p.pylock})
				o.run(t, dir, "export", "-q", "--format", "pylock.toml", "-o", "pylock.toml", "--no-dev", "--no-emit-project")
				args = append(args, "-r", "pylock.toml")
				artifacts = selectOf(t, dir, "pylock.toml", o.info(t))
			} else {
				artifacts = o.resolve(t, dir, p, &args)
			}
			if p.needs != "" {
				return
			}
			rest := leaveOut(t, artifacts, p.builds)
			if len(p.builds) > 0 {
				return // `uv pip install` cannot leave it out
			}
			o.run(t, dir, args...)
			want := o.venv(t, dir)
			got := o.build(t, dir, rest)
			compareTrees(t, got, want)
			p.prove(t, got)
		})
	}
}

// resolve pins requirements, and writes the default builder's file of them for the oracle.
func (o *oracle) resolve(t *testing.T, dir string, p pipProject, args *[]string) []lockfile.Artifact {
	t.Helper()
	o.put(t, dir, map[string]string{"requirements.txt": p.requirements, "packages": strings.Join(p.packages, "\n"), "index": p.index, "extra": strings.Join(p.extra, "\n")})
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	req := resolve.Request{Environment: o.info(t).Environment(), Requirements: []byte(read("requirements.txt")), Dir: dir, Flytekit: "1.16.31",
		Packages: strings.Fields(strings.ReplaceAll(read("packages"), " @ ", "@")), PipIndex: read("index"), PipExtraIndexURL: strings.Fields(read("extra"))}
	if req.PipIndex != "" {
		*args = append(*args, "--index-url", req.PipIndex)
	}
	for _, url := range req.PipExtraIndexURL {
		*args = append(*args, "--extra-index-url", url)
	}
	lines := string(req.Requirements) + strings.Join(req.Packages, "\n") + "\n"
	if !strings.Contains(lines, "flytekit") {
		lines += "flytekit==1.16.31\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "requirements_uv.txt"), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	*args = append(*args, "-r", "requirements_uv.txt")
	r := resolve.New(resolve.Deps{UV: o.uv, Env: os.Environ(), Tmp: t.TempDir(), Cache: noCache{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	lock, _, err := r.Resolve(t.Context(), req)
	if p.needs != "" {
		var e *resolve.Error
		if !errors.As(err, &e) || e.Kind != resolve.NeedsBuild || len(e.Packages) != 1 || e.Packages[0] != p.needs {
			t.Errorf("error %#v names nothing that has to be built", err)
		}
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := lockfile.ParsePylock("pylock.toml", lock)
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := parsed.Select(req.Environment, lockfile.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	return artifacts
}

// noCache forgets.
type noCache struct{}

func (noCache) Resolved(string) ([]byte, bool)   { return nil, false }
func (noCache) PutResolved(string, []byte) error { return nil }
