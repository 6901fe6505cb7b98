package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

func changed() api.Explanation {
	e := explanation()
	e.Variables = []api.Variable{{Name: "TEAM_REGISTRY", From: api.FromShell}, {Name: "MIRROR", From: api.FromUnset}}
	e.Differs = []string{"Python 3.11 became 3.12"}
	e.Change = &api.Change{
		From:    e.Previous,
		Because: []string{"env was added", "registry changed", "uv.lock changed"},
		Fields: []api.FieldChange{
			{Field: "env", Now: []byte(`{"A": "1"}`)},
			{Field: "registry", Before: []byte(`"ghcr.io/other"`), Now: []byte(`"ghcr.io/acme"`)},
		},
		Packages: []api.PackageChange{{Name: "anyio", Now: "4.9.0"}, {Name: "polars", Before: "1.30.0", Now: "1.31.0"}, {Name: "sniffio", Before: "1.3.1"}},
		Unseen:   []string{"pyproject.toml changed", "the mode of start.sh changed from 0644 to 0755"},
	}
	return e
}

func TestChangeScreens(t *testing.T) {
	for _, width := range []int{80, 120} {
		a := &app{out: testScreen(width)}
		golden(t, fmt.Sprintf("explain-change-%d", width), width, a.explanationText(changed()))
	}
	e := changed()
	for i := range 30 {
		e.Change.Packages = append(e.Change.Packages, api.PackageChange{Name: fmt.Sprintf("p%02d", i), Now: "1"})
	}
	a := &app{out: screen{width: 80, glyphs: plain}}
	golden(t, "explain-change-many", 80, a.explanationText(e))

	r := world()
	r.Projects, r.Images = r.Projects[:1], r.Images[:1]
	r.Projects[0].Unreadable = nil
	r.Projects[0].Variables = []api.Variable{{Name: "TEAM_REGISTRY", From: api.FromShell}, {Name: "MIRROR", From: api.FromUnrecorded}}
	r.Images[0].Differs = []string{"pyproject.toml changed", "Python 3.11 became 3.12"}
	v := statusView{screen: testScreen(80), now: now}
	golden(t, "status-differs-80", 80, v.render(r))
	p := r.Projects[0]
	p.Flytekit, p.FlytekitBy = "1.16.31", "lock"
	w := &app{Deps: Deps{Now: func() time.Time { return now }}, out: testScreen(80)}
	golden(t, "watch-variables-80", 80, w.watchText(p, r.Images, r.Info))
}

// asking is a daemon whose project reads MODE, and REG only if MODE is x.
type asking struct {
	fakeDaemon
	got []api.AddProject
}

func (d *asking) AddProject(_ context.Context, req api.AddProject) (api.Project, error) {
	d.got = append(d.got, req)
	p := api.Project{ID: "p1", Name: "proj", Dir: req.Dir, Variables: []api.Variable{{Name: "MODE"}}}
	if m := req.Shell["MODE"]; m != nil && *m == "x" {
		p.Variables = append(p.Variables, api.Variable{Name: "REG"})
	}
	return p, nil
}

func TestWatchRecordsTheVariablesThatAreReadAndNoOthers(t *testing.T) {
	for mode, want := range map[string][]string{"x": {"MODE", "REG"}, "y": {"MODE"}} {
		d := &asking{}
		a := &app{Deps: Deps{LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"MODE": mode, "REG": "", "SECRET": "s"}[name]
			return v, ok
		}}}
		req, err := a.recorded(t.Context(), d, api.AddProject{Dir: "/p", Env: map[string]string{"A": "1"}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for n, v := range req.Shell {
			names = append(names, n)
			if v == nil {
				t.Errorf("%s counts as not set", n)
			}
		}
		slices.Sort(names)
		if strings.Join(names, " ") != strings.Join(want, " ") || req.Look || req.Env["A"] != "1" {
			t.Errorf("MODE=%s: recorded %v, %+v", mode, names, req)
		}
		for _, g := range d.got {
			if !g.Look {
				t.Error("the project was put under watch before its variables were known")
			}
		}
	}
}
