package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A file that is not what its wheel's RECORD says is told with the image, as often as its layer is used; strict refuses it.
func TestRecordIsWrongAboutAFile(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	h := newHouse(t)
	h.put(t, "honest", map[string]string{"honest.py": "x = 1\n"})
	h.put(t, "doubtful", map[string]string{"doubtful.py": "y = 1\n"}, "doubtful.py")
	const file = "/root/.venv/lib/python3.11/site-packages/doubtful.py"
	project := func(name string) *project {
		p := newProject(t, spec{name: name, base: os.Getenv(varBase)}, "honest", "doubtful")
		p.write("pyproject.toml", p.read("pyproject.toml")+"iniconfig = []\n\n[tool.uv]\npackage = false\n\n[[tool.uv.index]]\nurl = \""+h.URL+"/simple\"\ndefault = true\n")
		p.edit("pyproject.toml", "dev = [\"iniconfig\"]\niniconfig = []", "dev = []")
		return p.lock()
	}
	warned := func(what string, ws []api.Warning) {
		t.Helper()
		if len(ws) != 1 || ws[0].Package != "doubtful 1.0" || ws[0].File != file || !strings.Contains(ws[0].Reason, "RECORD") {
			t.Errorf("%s has the warnings %v", what, ws)
		}
	}

	strict := newDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_WHEELS_RECORD=strict")
	strict.start()
	img := strict.settled(strict.watch(project("strict").dir).Label, "")
	if img.State != api.Failed || img.Error == nil {
		t.Fatalf("strict: %s %s", img.State, img.Detail)
	}
	for _, want := range []string{"doubtful 1.0", file, "RECORD"} {
		if !strings.Contains(img.Error.Message, want) {
			t.Errorf("strict fails with %q, without %q", img.Error.Message, want)
		}
	}

	// The same state directory, without strict: the layer is made now, and the next image uses it again.
	strict.stop()
	d := *strict
	d.env = append(d.env, "IMGSPECD_WHEELS_RECORD=warn")
	d.start()
	label := img.Label
	d.cli("build", label)
	first := d.ready(label, "")
	warned("the image", first.Warnings)
	second := d.ready(d.watch(project("again").dir).Label, "")
	warned("the next image", second.Warnings)
	b, err := d.Build(t.Context(), second.Build)
	if err != nil {
		t.Fatal(err)
	}
	if warned("its build", b.Warnings); b.Stats.LayersMade != 0 {
		t.Errorf("%d layers made for the next image", b.Stats.LayersMade)
	}
	for _, cmd := range [][]string{{"status"}, {"logs", second.Label}} {
		if out := d.cli(cmd...); strings.Count(strings.Join(strings.Fields(out), " "), "doubtful 1.0: "+file) == 0 {
			t.Errorf("imgspecd %s prints\n%s", strings.Join(cmd, " "), out)
		}
	}
	d.stop()
	d.start()
	warned("the image after a restart", d.ready(label, "").Warnings)

	// Strict again: what was made with a warning does not pass as it is.
	d.stop()
	d.env = append(d.env, "IMGSPECD_WHEELS_RECORD=strict")
	d.start()
	third := d.settled(d.watch(project("third").dir).Label, "")
	if third.State != api.Failed || third.Error == nil || !strings.Contains(third.Error.Message, file) {
		t.Errorf("strict, with the layer in the store: %s %v", third.State, third.Error)
	}
}
