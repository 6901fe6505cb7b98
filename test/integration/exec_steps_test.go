package integration

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// engines are the BuildKits that steps are executed in, by the settings of the daemon.
var engines = map[string]func() []string{
	"graph driver": func() []string { return []string{"DOCKER_HOST=" + os.Getenv(varDocker), "BUILDKIT_HOST="} },
	"containerd":   func() []string { return []string{"DOCKER_HOST=" + os.Getenv(varDocker29), "BUILDKIT_HOST="} },
	"buildkitd": func() []string {
		return []string{"IMGSPECD_DOCKER_USE=never", "BUILDKIT_HOST=" + os.Getenv(varBuildKit)}
	},
}

// forgets removes images from the daemon's Docker engine, if it has one, when the test ends.
func (d *daemon) forgets(images ...api.Image) {
	for _, kv := range d.env {
		if host, ok := strings.CutPrefix(kv, "DOCKER_HOST="); ok {
			for _, img := range images {
				docker{d.t, host}.forget(img.Name)
			}
		}
	}
}

// unlessFull leaves an engine out where not everything is wanted: TestStepsInEveryBuildKit has shown that it is like the others.
func unlessFull(t *testing.T, engine string) {
	t.Helper()
	if engine == "containerd" && os.Getenv("IMGSPECD_TEST_FULL") == "" {
		t.Skip("IMGSPECD_TEST_FULL is not set")
	}
}

// newToys is a project with a lock of a wheel and a source distribution, and a spec with all that must be executed.
func newToys(t *testing.T, h *house, base, commands string) *project {
	t.Helper()
	p := newProject(t, spec{name: "toys-" + random(), base: base})
	p.write("pyproject.toml", "[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"ball\", \"kite\"]\n\n"+
		"[tool.uv]\npackage = false\n\n[[tool.uv.index]]\nname = \"house\"\nurl = \""+h.URL+"/simple\"\ndefault = true\n")
	p.edit("workflow.py", `requirements="uv.lock",`, `requirements="uv.lock", apt_packages=["toy"], commands=[`+commands+`],`)
	return p.lock()
}

func newToyHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	for _, name := range []string{"ball", "drum", "pip", "flytekit"} {
		h.put(t, name, map[string]string{name + ".py": "x = 1\n"})
	}
	h.sdist(t, "kite")
	return h
}

// ofDebian is what Debian's programs leave that is of the day.
var ofDebian = []difference{
	{path: "var/log/", only: "content", why: "of the day"},
	{path: "var/cache/ldconfig/", why: "of the day"},
	{path: "var/lib/to[yp]", only: "content", why: "the test's own, of the moment"},
	{path: "var/lib/apt/lists/", why: "names and times of the archive"},
	{path: "var/lib/dpkg/status-old", only: "content", why: "of the day"},
}

// apt, commands and a source distribution are executed in every kind of BuildKit, and leave the same files.
func TestStepsInEveryBuildKit(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	depot, h := newDepot(t, "toy"), newToyHouse(t)
	base := depot.base(t, os.Getenv(varBase))
	p := newToys(t, h, base, `"toy > /root/played", "python -c 'import kite; print(open(kite.__path__[0] + \"/built.txt\").read())' >> /root/played", "rm /etc/issue", "command -v uv >> /root/played"`)
	got, below := map[string]listing{}, filesOf(t, pull(t, base), nil, 0)
	for name, settings := range engines {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, settings()...)
			img := d.ready(d.watch(p.dir).Label, "", "layout")
			d.forgets(img)
			log := d.cli("logs", img.Label)
			for _, want := range []string{"executing apt: toy", "configured toy", "executing build kite 1.0", "building kite", "executing commands: toy > /root/played"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log is without %q:\n%s", want, log)
				}
			}
			got[name] = filesOf(t, inLayout(t, d.state, img.Digest), below, len(layers(t, pull(t, base))))
		})
	}
	first := got["buildkitd"]
	if first["root/played"].size == 0 || first["usr/bin/toy"].size == 0 || !first["etc/issue"].gone || first["root/.venv/lib/python3.11/site-packages/kite/built.txt"].size == 0 {
		t.Errorf("it lacks what was executed, or what commands took away is there: %+v", first["etc/issue"])
	}
	for name, other := range got {
		sameFiles(t, name+" and buildkitd", other, first, ofDebian)
	}
}

// A change of the lock executes no apt again: BuildKit is not asked to, and the archive is not either. Commands see the packages, and
// are executed.
func TestLockChangeExecutesNoApt(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	for name, settings := range engines {
		t.Run(name, func(t *testing.T) {
			unlessFull(t, name)
			depot, h := newDepot(t, "toy"), newToyHouse(t)
			d := startDaemon(t, settings()...)
			p := newToys(t, h, depot.base(t, os.Getenv(varBase)), `"ls /root/.venv/lib/python3.11/site-packages > /root/seen"`)
			label := d.watch(p.dir).Label
			first := d.ready(label, "", "layout")
			before := d.cli("logs", label)
			if n := strings.Count(before, "=> apt: toy"); n != 1 {
				t.Errorf("BuildKit tells of apt %d times at first:\n%s", n, before)
			}
			asked := depot.count("/Packages")
			if asked == 0 {
				t.Error("the archive was not asked")
			}

			p.edit("pyproject.toml", `"kite"`, `"kite", "drum"`)
			p.uv("lock")
			second := d.ready(label, first.Name, "layout")
			d.forgets(first, second)
			after := d.cli("logs", label)
			if strings.Contains(after, "=> apt: toy") || strings.Contains(after, "executing apt") || strings.Contains(after, "executing build") {
				t.Errorf("after a change of the lock the log tells of apt, or of the source distribution:\n%s", after)
			}
			if n := strings.Count(after, "=> commands: "); n != 1 {
				t.Errorf("BuildKit tells of commands %d times:\n%s", n, after)
			}
			if depot.count("/Packages") != asked {
				t.Error("the archive was asked again")
			}
			if a, b := layers(t, inLayout(t, d.state, first.Digest)), layers(t, inLayout(t, d.state, second.Digest)); !slices.Equal(a[:len(a)-4], b[:len(a)-4]) {
				t.Errorf("layers below the packages changed: %v, %v", a, b)
			}
			seen := func(i api.Image) string { return filesOf(t, inLayout(t, d.state, i.Digest), nil, 1)["root/seen"].sum }
			if seen(first) == seen(second) {
				t.Error("the commands were not executed on the new packages")
			}
			steps := explained(t, d, label)
			if len(steps) != 3 || slices.ContainsFunc(steps, func(s api.Step) bool { return !s.Done }) {
				t.Errorf("explain tells of the steps %+v", steps)
			}
		})
	}
}

func explained(t *testing.T, d *daemon, label string) []api.Step {
	t.Helper()
	x, err := d.Explain(t.Context(), api.Explain{Image: label})
	if err != nil {
		t.Fatal(err)
	}
	return x.Steps
}

// Two daemons with nothing in common but a buildkitd share its cache: what one had executed, the other is given.
func TestDaemonsShareBuildKit(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varBuildKit)
	depot, h := newDepot(t, "toy"), newToyHouse(t)
	base := depot.base(t, os.Getenv(varBase))
	p := newToys(t, h, base, `"toy > /root/played-`+random()+`"`)
	var got []listing
	for _, settings := range [][]string{
		{"IMGSPECD_DOCKER_USE=never", "BUILDKIT_HOST=" + os.Getenv(varBuildKit)},
		{"IMGSPECD_DOCKER_USE=never", "BUILDKIT_HOST=unix:///nowhere", "IMGSPECD_BUILDKIT_ADDRESS=" + os.Getenv(varBuildKit)},
	} {
		d := startDaemon(t, settings...)
		img := d.ready(d.watch(p.dir).Label, "", "layout")
		log := d.cli("logs", img.Label)
		for _, step := range []string{"apt: toy", "commands: toy > /root/played"} {
			if again := len(got) > 0; strings.Contains(log, "=> "+step) == again {
				t.Errorf("daemon %d: BuildKit executes %s:\n%s", len(got), step, log)
			}
		}
		if len(got) > 0 && strings.Count(log, ": BuildKit had it") != 2 {
			t.Errorf("the log does not say that BuildKit had it:\n%s", log)
		}
		if strings.Contains(log, "building kite") != (len(got) == 0) {
			t.Errorf("daemon %d: whether a source distribution is built:\n%s", len(got), log)
		}
		got = append(got, filesOf(t, inLayout(t, d.state, img.Digest), nil, len(layers(t, pull(t, base)))))
		d.stop()
	}
	sameFiles(t, "the second", got[1], got[0], nil)
	if n := depot.count("/Packages"); n != 1 {
		t.Errorf("the archive was asked %d times", n)
	}
}
