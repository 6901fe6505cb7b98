package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/api"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// golden compares a screen with its file, and checks that it fits its width.
func golden(t *testing.T, name string, width int, got string) {
	t.Helper()
	for i, l := range strings.Split(got, "\n") {
		if w := ansi.StringWidth(l); width > 0 && w > width {
			t.Errorf("line %d is %d cells wide, over %d: %s", i+1, w, width, l)
		}
		if l != strings.TrimRight(l, " ") {
			t.Errorf("line %d ends in blanks: %q", i+1, l)
		}
	}
	file := filepath.Join("testdata", "screens", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("screen differs from %s (-want +got):\n%s", file, d)
	}
}

func testScreen(width int) screen { return screen{width: width, height: 24, glyphs: fancy} }

func TestStatusScreens(t *testing.T) {
	one := world()
	one.Projects, one.Images = one.Projects[:1], one.Images[:1]
	one.Projects[0].Unreadable = nil
	empty := world()
	empty.Projects, empty.Images = nil, nil
	for name, r := range map[string]report{"status": world(), "status-one": one, "status-empty": empty} {
		for _, width := range []int{60, 80, 120} {
			v := statusView{screen: testScreen(width), now: now}
			golden(t, fmt.Sprintf("%s-%d", name, width), width, v.render(r))
		}
	}
	v := statusView{screen: testScreen(80), now: now, wide: true}
	golden(t, "status-wide", 0, v.render(world()))
	v = statusView{screen: testScreen(0), now: now}
	golden(t, "status-piped", 0, v.render(world()))
	v = statusView{screen: screen{width: 80, glyphs: plain}, now: now}
	golden(t, "status-ascii", 80, v.render(one))
}

func TestLiveStatusScreens(t *testing.T) {
	r := rates{}
	early := world()
	early.Images[2].Progress[1].Bytes = 100_000
	r.see(early.Images[2], before(time.Second))
	r.see(world().Images[2], now)
	for _, width := range []int{80, 120} {
		v := statusView{screen: testScreen(width), now: now, live: true, frame: 1, rates: r}
		golden(t, fmt.Sprintf("status-live-%d", width), width, v.render(world()))
	}
}

func TestBuildScreens(t *testing.T) {
	w := world()
	started := before(3 * time.Second)
	parts := []part{
		{label: "churn-model/serving", image: w.Images[2], build: &api.Build{
			ID: "b8", Label: "churn-model/serving", State: api.Building, Started: &started, Cause: "uv.lock changed",
		}},
		{label: "churn-model/train", image: w.Images[0], build: &api.Build{
			ID: "b7", State: api.Ready, Image: w.Images[0].Name, Targets: w.Images[0].Targets,
			Stats: api.Stats{Layers: 38, LayersMade: 1, FetchedBytes: 31_400_000, SentBytes: 400_000, TotalMS: 812},
		}},
		{label: "vision/default", build: &api.Build{ID: "b5", State: api.Failed, Error: w.Images[3].Error}},
		{label: "churn-model/etl", image: w.Images[1]},
	}
	for _, width := range []int{80, 120} {
		v := statusView{screen: testScreen(width), now: now, live: true}
		golden(t, fmt.Sprintf("build-live-%d", width), width, (&job{parts: parts}).scene().draw(v))
	}
}

func explanation() api.Explanation {
	return api.Explanation{
		Name: "ghcr.io/acme/churn:Zk3f8sTUVWabcdefghijkl", Tag: "Zk3f8sTUVWabcdefghijkl", ID: "Zk3f8sTUVWabcdefghijkl",
		Flytekit: "1.16.31", Source: &api.Source{Kind: "found", File: "flows/train.py", Line: 12, Variable: "image"},
		Spec:     []byte(`{"name": "churn", "requirements": "uv.lock", "registry": "ghcr.io/acme", "env": {"A": "1"}}`),
		Previous: "ghcr.io/acme/churn:m0Xyz8sTUVWabcdefghijk",
		Inputs: []api.Input{
			{Path: "uv.lock", Digest: "5f1c9a77be00aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00ee11ff22aa33", Named: true},
			{Path: "pyproject.toml", Digest: "77be9a5f1c00aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00ee11ff22aa33"},
		},
		Base: &api.BaseInfo{
			Ref: "python:3.12-slim-bookworm", Digest: "sha256:5f1caa77be00aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00ee11ff22aa33",
			From: "registry", Platform: "linux/amd64", Python: "3.12.9", Libc: "glibc 2.36", Layers: 4,
		},
		Packages: []api.Package{
			{Name: "polars", Version: "1.31.0", Size: 31_400_000, Layer: 2},
			{Name: "anyio", Version: "4.9.0", Size: 100_000, Layer: 3}, {Name: "certifi", Version: "2025.6.15", Size: 160_000, Layer: 3},
			{Name: "httpx", Version: "0.28.1", Size: 73_000, Layer: 3}, {Name: "idna", Version: "3.10", Size: 70_000, Layer: 3},
			{Name: "typing-extensions", Version: "4.14.0", Size: 43_000, Layer: 3},
		},
		Layers: []api.Layer{
			{Title: "user, certificates, profile", Kind: "system", Exists: true, Size: 4_100},
			{Title: "virtual environment", Kind: "venv", Exists: true, Size: 2_300},
			{Title: "polars", Kind: "packages", Size: 31_500_000},
			{Title: "group 3", Kind: "packages", Exists: true, Size: 447_000},
		},
		Notes: []string{"pyproject.toml also changed, but flytekit's tag does not include it: the name stays the same"},
	}
}

func TestExplainScreens(t *testing.T) {
	for _, width := range []int{80, 120} {
		a := &app{out: testScreen(width)}
		golden(t, fmt.Sprintf("explain-%d", width), width, a.explanationText(explanation()))
	}
	e := explanation()
	e.Base, e.Packages, e.Layers, e.Previous = nil, nil, nil, ""
	e.PlanError = &api.Error{
		Code: api.CodeUnavailable, Message: "resolve base python:3.12-slim-bookworm: docker.io does not answer", Hint: "set base.default to an image you can reach",
	}
	a := &app{out: testScreen(80)}
	golden(t, "explain-no-plan", 80, a.explanationText(e))
}

func TestExplainPlatformsScreen(t *testing.T) {
	e := explanation()
	other := *e.Base
	other.Platform, other.Digest = "linux/arm64", "sha256:77be9a5f1c00aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00ee11ff22aa33"
	e.Platforms = []api.PlatformPlan{{Base: e.Base, Packages: e.Packages, Layers: e.Layers}, {Base: &other, Packages: e.Packages, Layers: e.Layers}}
	a := &app{out: testScreen(80)}
	golden(t, "explain-platforms-80", 80, a.explanationText(e))
}

func TestPlatformsInStatus(t *testing.T) {
	one := world()
	one.Projects, one.Images = one.Projects[:1], one.Images[:1]
	one.Projects[0].Unreadable = nil
	one.Images[0].Platform = "linux/amd64,linux/arm64"
	v := statusView{screen: testScreen(0), now: now}
	if got := v.render(one); !strings.Contains(got, "for linux/amd64, linux/arm64") {
		t.Errorf("status says nothing of the platforms:\n%s", got)
	}
}

func TestWatchScreen(t *testing.T) {
	w := world()
	p := w.Projects[0]
	p.Flytekit, p.FlytekitBy = "1.16.31", "lock"
	a := &app{Deps: Deps{Now: func() time.Time { return now }}, out: testScreen(80)}
	for i := range w.Images[:3] {
		w.Images[i].Source = api.Source{Kind: "found", File: "flows/train.py", Line: 12 + i}
	}
	golden(t, "watch-80", 80, a.watchText(p, of(w.Images, "p1"), w.Info))
}

func TestHostileTextIsShownNotObeyed(t *testing.T) {
	r := world()
	r.Images = r.Images[3:4]
	r.Images[0].Label = "evil/\x1b]0;owned\x07\x1b[2J"
	r.Images[0].Error = &api.Error{Message: "a\nb\rc\x1b[31m \u202egnp.exe"}
	v := statusView{screen: testScreen(0), now: now}
	got := v.render(r)
	for _, bad := range []string{"\x1b", "\a", "\r", "\u202e"} {
		if strings.Contains(got, bad) {
			t.Errorf("screen holds %q: %q", bad, got)
		}
	}
}

func TestColourNeverAlone(t *testing.T) {
	s := testScreen(80)
	s.color = true
	v := statusView{screen: s, now: now}
	painted := v.render(world())
	if !strings.Contains(painted, "\x1b[") {
		t.Fatal("no colour on a colour screen")
	}
	s.color = false
	if d := cmp.Diff((statusView{screen: s, now: now}).render(world()), ansi.Strip(painted)); d != "" {
		t.Errorf("colour changes the text:\n%s", d)
	}
}
