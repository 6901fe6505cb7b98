package plan

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

// bare is a Debian image without Python.
func bare() base.Info {
	b := debian()
	b.Ref, b.Python = "debian:bookworm-slim", nil
	return b
}

// conda is that after micromamba was executed on it.
func conda() base.Info {
	b, err := Expected(imagespec.Spec{}, bare(), "3.12.7")
	if err != nil {
		panic(err)
	}
	dir := func(p string) { b.Runtime.Dirs[p] = base.Entry{Mode: fs.ModeDir | 0o755, UID: 1000} }
	site := runtimeDir + "/lib/python3.12/site-packages"
	dir(site + "/pkg001")
	b.Runtime.Dists = []base.Dist{
		{Name: "pip", Version: "24.3", Paths: []string{site + "/pip", site + "/pip-24.3.dist-info", runtimeBin + "/pip"}},
		{Name: "pkg001", Version: "0.9", Paths: []string{site + "/pkg001", site + "/pkg001-0.9.dist-info"}},
		{Name: "stuck", Version: "1.0", Stuck: "it has no RECORD"},
	}
	return b
}

func TestWhenMicromambaIsExecuted(t *testing.T) {
	for _, c := range []struct {
		name, kwargs string
		base         base.Info
		want         string // of python; empty: it is not
	}{
		{"the base's Python will do", `{"packages": ["x"]}`, debian(), ""},
		{"it is the version that is asked for", `{"python_version": "3.11"}`, debian(), ""},
		{"... in full", `{"python_version": "3.11.11"}`, debian(), ""},
		{"another minor is asked for", `{"python_version": "3.12"}`, debian(), "3.12"},
		{"no minor of the same beginning", `{"python_version": "3.1"}`, debian(), "3.1"},
		{"another patch", `{"python_version": "3.11.2"}`, debian(), "3.11.2"},
		{"more than a version", `{"python_version": "3.11.*"}`, debian(), "3.11.*"},
		{"packages of conda", `{"conda_packages": ["cudatoolkit"], "requirements": "uv.lock"}`, debian(), "3.12 cudatoolkit"},
		{"a channel", `{"conda_channels": ["nvidia"]}`, debian(), "3.12"},
		{"empty lists", `{"conda_channels": [], "conda_packages": []}`, debian(), ""},
		{"no Python in the base", `{"packages": ["x"]}`, bare(), "3.12"},
		{"none, and python_version", `{"python_version": "3.10.4"}`, bare(), "3.10.4"},
		{"python_exec", `{"python_exec": "/usr/bin/python3"}`, bare(), ""},
		{"conda's own Python", `{"packages": ["x"]}`, conda(), ""},
		{"another than conda's own", `{"python_version": "3.11"}`, conda(), "3.11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := below(t, c.kwargs, c.base)
			if c.want == "" {
				if len(steps) != 0 {
					t.Errorf("%+v", steps)
				}
				return
			}
			if len(steps) != 1 || !strings.Contains(steps[0].Args[2], " python="+c.want+" ") {
				t.Errorf("%+v", steps)
			}
		})
	}
}

// The step is the default builder's, but for the name of the user, who is made later: its id stands there.
func TestTheStepOfMicromamba(t *testing.T) {
	b := bare()
	kwargs := `{"apt_packages": ["git"], "conda_packages": ["numpy<2", "mkl"], "conda_channels": ["nvidia", "main"], "python_version": "3.12"}`
	steps := below(t, kwargs, b)
	if len(steps) != 2 || steps[0].Kind != StepApt || steps[1].Kind != StepConda {
		t.Fatalf("%+v", steps)
	}
	st := steps[1]
	args := "-n runtime --root-prefix /opt/micromamba -c conda-forge -c nvidia -c main python=3.12 numpy<2 mkl"
	want := "micromamba config set use_lockfiles False && ( micromamba create " + args + " || micromamba install " + args + " ) && chown -R 1000 /opt/micromamba"
	if st.Args[2] != want {
		t.Errorf("executes\n%s\nwant\n%s", st.Args[2], want)
	}
	if m := st.Mounts[1]; m.Image != "mambaorg/micromamba:2.0.3-debian12-slim" || m.Target != "/usr/bin/micromamba" {
		t.Errorf("%+v", m)
	}
	if env := st.Finds(b); !slices.Contains(env, "PATH="+runtimeBin+":"+basePath) || steps[0].Finds(b) != nil {
		t.Errorf("what is found: %q", env)
	}
	b.Files["/etc/passwd"] = base.Entry{Mode: 0o644, Content: []byte("flytekit:x:777:888::/home/me:/bin/bash\n")}
	own := strings.Replace(kwargs, "{", `{"builder_config": {"micromamba_image": "house/micromamba:1"}, `, 1)
	st = below(t, own, b)[1]
	if st.Mounts[1].Image != "house/micromamba:1" || !strings.HasSuffix(st.Args[2], "chown -R 777 /opt/micromamba") {
		t.Errorf("%+v", st)
	}
}

func TestNoStepOfMicromamba(t *testing.T) {
	var invalid *Invalid
	if _, err := Below(spec(t, `{"packages": ["x"]}`), bare(), ""); !errors.As(err, &invalid) || invalid.Field != "python_version" {
		t.Errorf("no Python is known: %v", err)
	}
	if steps, err := Below(spec(t, `{"conda_packages": ["x"]}`), debian(), ""); err != nil || !strings.Contains(steps[0].Title, "python=3.11") {
		t.Errorf("the base's own minor: %+v, %v", steps, err)
	}
	b, _ := made(twoLayers(), mustMake(t, runtime(t, twoLayers(), 3)))
	var unsupported *Unsupported
	if _, err := Below(spec(t, `{"conda_packages": ["x"]}`), b, "3.11"); !errors.As(err, &unsupported) || !strings.Contains(unsupported.Hint, "conda_channels") {
		t.Errorf("on an environment that is not conda's: %v", err)
	}
}

// A lock has an environment of its own, of conda's Python.
func TestLockOnConda(t *testing.T) {
	in := input(t)
	in.Base = conda()
	in.Base.Files["/root/.condarc"] = base.Entry{Mode: 0o644}
	in.Late = map[string]bool{"/root/.condarc": true}
	p := mustMake(t, in)
	if f := p.Layers[0].Files; slices.ContainsFunc(f, func(f File) bool { return f.Path == "/root/.condarc" }) || at(t, p.Layers[0], "/root/.bashrc").Owner.UID != 1000 {
		t.Error("what micromamba left in the home is given to the user")
	}
	if f := at(t, p.Layers[1], venvDir+"/bin/python"); f.Link != runtimeBin+"/python3.12" {
		t.Errorf("%+v", f)
	}
	path, _ := variables(p.Config.Env).get("PATH")
	if path != venvDir+"/bin:"+runtimeBin+":"+basePath+":/usr/local/nvidia/bin:/usr/local/cuda/bin" {
		t.Errorf("PATH is %s", path)
	}
	for _, l := range p.Layers {
		for _, f := range l.Files {
			if strings.HasPrefix(f.Path, "/opt") || f.Opaque || f.Gone {
				t.Errorf("%s has %+v", l.Title, f)
			}
		}
	}
}

// Packages go into conda's environment as it is; what they take the place of is taken away first.
func TestPackagesOnConda(t *testing.T) {
	in := runtime(t, conda(), 3)
	in.Artifacts = slices.DeleteFunc(in.Artifacts, func(a lockfile.Artifact) bool { return a.Name == "pkg002" })
	fresh := mustMake(t, in)
	for _, l := range fresh.Layers {
		if l.Kind != System && l.Kind != Packages {
			t.Errorf("a layer of %s", l.Kind)
		}
	}
	if fresh.Prefix.Headers != runtimeDir+"/include/python3.12" || fresh.Prefix.SitePackages != runtimeDir+"/lib/python3.12/site-packages" || fresh.Owner != (Owner{}) {
		t.Errorf("%+v %v", fresh.Prefix, fresh.Owner)
	}
	if d, ok := fresh.Dir(runtimeBin); !ok || d.Owner.UID != 1000 {
		t.Errorf("%s belongs to %v", runtimeBin, d.Owner)
	}
	site := fresh.Prefix.SitePackages
	if f := at(t, fresh.Layers[1], site); f.Owner.UID != 1000 || f.Mode != fs.ModeDir|0o755 {
		t.Errorf("%+v", f)
	}

	in.Replaced = []string{"pkg001"}
	p := mustMake(t, in)
	var gone []string
	for _, f := range p.Layers[1].Files {
		if f.Gone {
			gone = append(gone, f.Path)
		}
	}
	if !slices.Equal(gone, []string{site + "/pkg001", site + "/pkg001-0.9.dist-info"}) || p.Layers[1].Kind != Replaced {
		t.Errorf("%s takes away %q", p.Layers[1].Title, gone)
	}
	if _, ok := p.Dir(site + "/pkg001"); ok {
		t.Error("what is taken away lends its owner to what comes")
	}
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "pkg001 0.9") }) {
		t.Errorf("notes: %q", p.Notes)
	}

	in.Replaced = []string{"stuck"}
	var invalid *Invalid
	if _, err := Make(in); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "no RECORD") {
		t.Errorf("%v", err)
	}

	in.Replaced = nil
	in.Base.Runtime.Dirs[runtimeBin] = base.Entry{Mode: fs.ModeDir | 0o700}
	if mustMake(t, in).Layers[1].Key == fresh.Layers[1].Key {
		t.Error("the key does not tell whose the directories are")
	}
}
