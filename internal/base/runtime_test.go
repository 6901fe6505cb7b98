package base_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
)

const (
	condaDir  = "opt/micromamba/envs/runtime"
	condaSite = condaDir + "/lib/python3.12/site-packages"
)

// condaLayer is an environment of conda's with a Python.
func condaLayer(t *testing.T, more ...string) v1.Layer {
	lines := []string{
		condaDir + "/", condaDir + "/bin/python3.12*=\x7fELF\x003.12.7\x00", condaDir + "/bin/python3 -> python3.12", condaDir + "/bin/python -> python3.12",
		condaDir + "/include/python3.12/patchlevel.h=#define PY_VERSION \"3.12.7\"\n", condaSite + "/",
	}
	for _, l := range more {
		lines = append(lines, strings.ReplaceAll(l, "@", condaSite+"/"))
	}
	return makeLayer(t, lines...)
}

func inRuntime(t *testing.T, layers ...v1.Layer) *base.Base {
	t.Helper()
	b, err := resolve(t, v1.Config{Env: []string{"PATH=/" + condaDir + "/bin:/usr/bin"}}, layers...)
	must(t, err)
	if b.Info.Python == nil || b.Info.Python.Version != "3.12.7" || b.Info.Runtime == nil {
		t.Fatalf("Python %+v, runtime %+v", b.Info.Python, b.Info.Runtime)
	}
	return b
}

// What goes with an installed package is what uv takes away: see uninstall_wheel and uninstall_egg in its sources.
func TestWhatIsInstalledInConda(t *testing.T) {
	b := inRuntime(t, condaLayer(t,
		"@six.py=", "@six-1.16.0.dist-info/METADATA=", "@six-1.16.0.dist-info/RECORD=six.py,sha256=x,1\nsix-1.16.0.dist-info/METADATA,,\nsix-1.16.0.dist-info/RECORD,,\n",
		"@__pycache__/six.cpython-312.pyc=", "@six-1.16.0.dist-info/INSTALLER=conda",
		"@Tool_Kit/a.py=", "@Tool_Kit/__pycache__/a.cpython-312.pyc=", "@Tool_Kit/sub/b.py=", "@tool_kit-2.0.dist-info/RECORD=\"Tool_Kit/a.py\",,\nTool_Kit/sub/b.py,,\ntool_kit-2.0.dist-info/RECORD,,\n../../../bin/tool,,\n../../../bin/gone,,\n../../../../../../etc/passwd,,\n/etc/passwd,,\n",
		condaDir+"/bin/tool*=x", "etc/passwd=root",
		"@shared/one.py=", "@shared/two.py=", "@one-1.dist-info/RECORD=shared/one.py,,\none-1.dist-info/RECORD,,\n", "@two-1.dist-info/RECORD=shared/two.py,,\ntwo-1.dist-info/RECORD,,\n",
		"@none-1.0.dist-info/METADATA=", "@old-3.0-py3.12.egg-info=Metadata", "@egg-4.0-py3.12.egg-info/top_level.txt=egg\n_egg\nns\n", "@egg-4.0-py3.12.egg-info/namespace_packages.txt=ns\n",
		"@egg/x.py=", "@_egg.py=", "@ns/y.py=", "@README.dist-info/x=", "@odd-version.dist-info/RECORD=",
	))
	at := func(names ...string) (out []string) {
		for _, n := range names {
			if n = strings.ReplaceAll(n, "@", condaSite+"/"); !strings.HasPrefix(n, "/") {
				n = "/" + n
			}
			out = append(out, n)
		}
		slices.Sort(out)
		return out
	}
	want := []base.Dist{
		{Name: "egg", Version: "4.0", Paths: at("@egg-4.0-py3.12.egg-info", "@egg", "@_egg.py")},
		{Name: "none", Version: "1.0", Stuck: "it has no RECORD of what it installed"},
		{Name: "old", Version: "3.0", Stuck: "it was installed by distutils, which does not note what it installs"},
		{Name: "one", Version: "1", Paths: at("@shared/one.py", "@one-1.dist-info")},
		{Name: "six", Version: "1.16.0", Paths: at("@six.py", "@six-1.16.0.dist-info/METADATA", "@six-1.16.0.dist-info/RECORD")},
		{Name: "tool-kit", Version: "2.0", Paths: at("@Tool_Kit", "@tool_kit-2.0.dist-info", condaDir+"/bin/tool")},
		{Name: "two", Version: "1", Paths: at("@shared/two.py", "@two-1.dist-info")},
	}
	if diff := cmp.Diff(want, b.Info.Runtime.Dists); diff != "" {
		t.Error(diff)
	}
	dirs := b.Info.Runtime.Dirs
	for _, dir := range at("opt", "opt/micromamba", condaDir, condaDir+"/bin", "@", "@Tool_Kit/sub") {
		if !dirs[strings.TrimSuffix(dir, "/")].Mode.IsDir() {
			t.Errorf("no directory %s", dir)
		}
	}
	if _, ok := dirs["/"+condaSite+"/__pycache__"]; ok {
		t.Error("a cache is among the directories")
	}
	for p := range b.Info.Files {
		if strings.HasPrefix(p, "/"+condaDir+"/") {
			t.Errorf("%s is held", p)
		}
	}
}

// A later layer's whiteouts and versions count.
func TestCondaChangedByALayerAbove(t *testing.T) {
	b := inRuntime(t, condaLayer(t, "@six.py=", "@six-1.16.0.dist-info/RECORD=six.py,,\n"),
		makeLayer(t, condaSite+"/.wh.six-1.16.0.dist-info=", condaSite+"/six.py=", condaSite+"/six-1.17.0.dist-info/RECORD=six.py,,\nsix-1.17.0.dist-info/RECORD,,\n"))
	if d := b.Info.Runtime.Dists; len(d) != 1 || d[0].Version != "1.17.0" || len(d[0].Paths) != 2 {
		t.Errorf("%+v", d)
	}
}

func TestAnEnvironmentThatIsNotConda(t *testing.T) {
	b, err := resolve(t, v1.Config{Env: []string{"PATH=/" + condaDir + "/bin:/usr/local/bin"}}, makeLayer(t,
		"usr/local/bin/python3.11*=\x7fELF\x003.11.2\x00", condaDir+"/bin/python3 -> /usr/local/bin/python3.11"))
	must(t, err)
	if b.Info.Python == nil || b.Info.Runtime != nil {
		t.Errorf("Python %+v, runtime %+v", b.Info.Python, b.Info.Runtime)
	}
}

// Packages may be added to a Python's own, where these are not the system's.
func TestWhatIsInstalledInThePythonItself(t *testing.T) {
	const prefix = "usr/local"
	layer := func(prefix string, more ...string) v1.Layer {
		return makeLayer(t, append([]string{
			prefix + "/bin/python3.12*=\x7fELF\x003.12.7\x00", prefix + "/bin/python3 -> python3.12", prefix + "/include/python3.12/patchlevel.h=#define PY_VERSION \"3.12.7\"\n",
			prefix + "/lib/python3.12/json/__init__.py=", prefix + "/lib/python3.12/site-packages/six.py=",
			prefix + "/lib/python3.12/site-packages/six-1.16.0.dist-info/RECORD=six.py,,\nsix-1.16.0.dist-info/RECORD,,\n../../../bin/six,,\n", prefix + "/bin/six*=x",
		}, more...)...)
	}
	site := "/" + prefix + "/lib/python3.12/site-packages"
	b, err := resolve(t, v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin"}}, layer(prefix))
	must(t, err)
	got := b.Info.Site
	if got == nil || got.Prefix != "/"+prefix || got.Site != site || got.Venv {
		t.Fatalf("%+v", got)
	}
	want := []base.Dist{{Name: "six", Version: "1.16.0", Paths: []string{"/usr/local/bin/six", site + "/six-1.16.0.dist-info", site + "/six.py"}}}
	if diff := cmp.Diff(want, got.Dists); diff != "" {
		t.Error(diff)
	}
	if _, ok := got.Dirs["/usr/local/lib/python3.12/json"]; ok || !got.Dirs["/usr/local/bin"].Mode.IsDir() || !got.Dirs[site].Mode.IsDir() || !got.Dirs["/usr"].Mode.IsDir() {
		t.Errorf("directories: %v", got.Dirs)
	}

	b, err = resolve(t, v1.Config{Env: []string{"PATH=/opt/venv/bin:/usr/local/bin"}}, layer(prefix),
		makeLayer(t, "opt/venv/bin/python3 -> /usr/local/bin/python3.12", "opt/venv/pyvenv.cfg=home = /usr/local/bin\n", "opt/venv/lib/python3.12/site-packages/"))
	must(t, err)
	if got := b.Info.Site; got == nil || got.Prefix != "/opt/venv" || !got.Venv || len(got.Dists) != 0 {
		t.Errorf("%+v", got)
	}

	for name, l := range map[string]v1.Layer{"the system's": layer("usr"), "managed": layer(prefix, prefix+"/lib/python3.12/EXTERNALLY-MANAGED=")} {
		b, err := resolve(t, v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin"}}, l)
		must(t, err)
		if b.Info.Python == nil || b.Info.Site != nil {
			t.Errorf("%s: %+v", name, b.Info.Site)
		}
	}
}
