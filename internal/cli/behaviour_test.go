package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{&api.Error{Code: api.CodeInternal, Message: "x"}, 1},
		{&api.Error{Code: api.CodeUnavailable, Message: "x"}, 1},
		{noDaemon, 4},
		{&api.Error{Code: api.CodeNotPermitted, Message: "x"}, 5},
		{&api.Error{Code: api.CodeForbidden, Message: "x"}, 5},
		{context.DeadlineExceeded, 124},
	} {
		for _, args := range [][]string{{"status"}, {"status", "--json"}} {
			f := &fakeDaemon{err: c.err, report: world()}
			if got := cliRun(t, f, nil, args...); got.code != c.code {
				t.Errorf("%v %v: exit code %d, want %d", c.err, args, got.code, c.code)
			}
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &fakeDaemon{report: world()}
	for _, args := range [][]string{{"events"}, {"status", "-w"}} {
		if got := cliRunCtx(ctx, t, f, nil, args...); got.code != 130 {
			t.Errorf("%v: exit code %d, want 130: %s", args, got.code, got.stderr)
		}
	}
}

// strictly decodes one JSON value into v and refuses what v does not know.
func strictly(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	if d.More() {
		t.Errorf("more than one value: %s", text)
	}
}

// TestJSONIsTheAPI holds --json to its contract: the API's own types, one object,
// or one a line.
func TestJSONIsTheAPI(t *testing.T) {
	w := world()
	b := api.Build{ID: "b9", Label: "churn-model/train", Image: "churn:x", State: api.Ready}
	f := &fakeDaemon{
		report: w, builds: map[string]api.Build{"b9": b}, log: "one\ntwo\n",
		start:   func(api.StartBuild) (api.BuildList, error) { return api.BuildList{Builds: []api.Build{b}}, nil },
		explain: func(api.Explain) (api.Explanation, error) { return explanation(), nil },
	}
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		into any
	}{
		{[]string{"status"}, &report{}},
		{[]string{"watch", dir}, &api.Project{}},
		{[]string{"unwatch", "vision"}, &api.Project{}},
		{[]string{"forget", "vision/eval"}, &api.Image{}},
		{[]string{"build", "churn-model/train"}, &api.BuildList{}},
		{[]string{"build", "churn-model/train", "--no-wait"}, &api.BuildList{}},
		{[]string{"image", "churn-model/train"}, &api.Image{}},
		{[]string{"explain", "churn-model/train"}, &api.Explanation{}},
		{[]string{"events", "-n1"}, &api.Event{}},
		{[]string{"version"}, &versions{}},
		{[]string{"prune"}, &api.Pruned{}},
		{[]string{"status", "--disk"}, &api.Disk{}},
	} {
		got := cliRun(t, f, nil, append(c.args, "--json")...)
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%v: exit code %d, stderr %q", c.args, got.code, got.stderr)
		}
		strictly(t, got.out, c.into)
	}
	got := cliRun(t, f, nil, "status", "--json")
	var r report
	strictly(t, got.out, &r)
	if d := cmp.Diff(w, r); d != "" {
		t.Errorf("status --json is not what the daemon said:\n%s", d)
	}
	for i, l := range strings.Split(strings.TrimSpace(cliRun(t, f, nil, "logs", "b9", "--json").out), "\n") {
		var line logLine
		strictly(t, l, &line)
		if want := []string{"one", "two"}[i]; line.Line != want {
			t.Errorf("line %d: %q, want %q", i, line.Line, want)
		}
	}
}

// TestFollowWithoutTerminal proves that status -w tells each change once.
func TestFollowWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world()
		done, again := w.Images[2], w.Images[2]
		done.State, done.Targets = api.Ready, []api.TargetState{at("layout", api.Ready), at("registry", api.Ready)}
		again.Progress = nil
		f := &fakeDaemon{report: w, events: []api.Event{{Kind: "image", Image: &again}, {Kind: "image", Image: &done}, {Kind: "removed", Removed: "vision/eval"}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := cliRunCtx(ctx, t, f, nil, "status", "-w")
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		if len(lines) != len(w.Images)+1 {
			t.Errorf("%d lines, want %d:\n%s", len(lines), len(w.Images)+1, got.out)
		}
		want := "churn-model/serving  ✓ ready  localhost:30000/team/serving:Hh21xX02LmNopqrstuvwxy in layout, registry"
		if last := lines[len(lines)-1]; last != want {
			t.Errorf("last line %q, want %q", last, want)
		}
		got = cliRunCtx(ctx, t, f, nil, "status", "-w", "--json", "churn-model")
		for _, l := range strings.Split(strings.TrimSpace(got.out), "\n") {
			if l != "" {
				strictly(t, l, &api.Image{})
			}
		}
	})
}

// TestSupersededBuildIsFollowed proves that a build overtaken by a newer save is not the end.
func TestSupersededBuildIsFollowed(t *testing.T) {
	old := api.Build{ID: "b1", Label: "p/x", Image: "x:old", State: api.Building, Created: before(time.Minute)}
	over, next := old, api.Build{ID: "b2", Label: "p/x", Image: "x:new", State: api.Queued, Created: now}
	over.State = api.Superseded
	ready := next
	ready.State = api.Ready
	orders := map[string][]api.Event{
		"successor last":  {{Kind: "build", Build: &over}, {Kind: "build", Build: &next}, {Kind: "build", Build: &ready}},
		"successor first": {{Kind: "build", Build: &next}, {Kind: "build", Build: &over}, {Kind: "build", Build: &ready}},
		"through a gap":   {{Kind: "gap"}, {Kind: "build", Build: &ready}},
	}
	for name, events := range orders {
		f := &fakeDaemon{
			events: events, builds: map[string]api.Build{"b1": over, "b2": next},
			start: func(api.StartBuild) (api.BuildList, error) { return api.BuildList{Builds: []api.Build{old}}, nil },
		}
		f.report.Images = []api.Image{{Label: "p/x", Build: "b2"}}
		got := cliRun(t, f, nil, "build", "p/x")
		if got.code != 0 || got.out != "x:new\n" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %s", name, got.code, got.out, got.stderr)
		}
	}
	f := &fakeDaemon{
		events: []api.Event{{Kind: "build", Build: &over}, {Kind: "removed", Removed: "p/x"}},
		start:  func(api.StartBuild) (api.BuildList, error) { return api.BuildList{Builds: []api.Build{old}}, nil },
	}
	f.report.Images = []api.Image{{Label: "p/x", Build: "b1"}}
	if got := cliRun(t, f, nil, "build", "p/x"); got.code != 1 || !strings.Contains(got.stderr, "its spec is no more") {
		t.Errorf("removed: exit code %d, stderr %s", got.code, got.stderr)
	}
}

func TestBuildNotPossibleYet(t *testing.T) {
	waiting := world().Images[4]
	f := &fakeDaemon{report: world(), start: func(api.StartBuild) (api.BuildList, error) {
		return api.BuildList{Images: []api.Image{waiting}}, nil
	}}
	got := cliRun(t, f, nil, "build", "vision/eval")
	if got.code != 3 || got.out != "" || !strings.Contains(got.stderr, "uv.lock is half written") {
		t.Errorf("exit code %d, stdout %q, stderr %s", got.code, got.out, got.stderr)
	}
}

func TestImageOfDirectory(t *testing.T) {
	dir := t.TempDir()
	f := &fakeDaemon{report: world()}
	f.report.Projects[0].Dir = dir
	got := cliRun(t, f, nil, "image", dir)
	if got.code != 1 || !strings.Contains(got.stderr, "name one: churn-model/train, churn-model/etl, churn-model/serving") {
		t.Errorf("several: exit code %d, stderr %s", got.code, got.stderr)
	}
	f.report.Images = f.report.Images[:1]
	if got := cliRun(t, f, nil, "image", dir); got.code != 0 || got.out != "churn:Zk3f8sTUVWabcdefghijkl\n" {
		t.Errorf("one: exit code %d, stdout %q", got.code, got.out)
	}
	if got := cliRun(t, f, nil, "image", t.TempDir()); got.code != 1 || !strings.Contains(got.stderr, "watch it: imgspecd watch") {
		t.Errorf("not watched: exit code %d, stderr %s", got.code, got.stderr)
	}
}

func TestColourSwitches(t *testing.T) {
	for _, c := range []struct {
		env   map[string]string
		color string
		want  bool
	}{
		{nil, "auto", false}, // a pipe
		{nil, "always", true},
		{map[string]string{"CLICOLOR_FORCE": "1"}, "auto", true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, "auto", false},
		{map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, "auto", false},
		{map[string]string{"NO_COLOR": "1"}, "always", true},
		{map[string]string{"CLICOLOR_FORCE": "1"}, "never", false},
	} {
		s := newScreen(&bytes.Buffer{}, func(k string) string { return c.env[k] }, c.color)
		if s.color != c.want {
			t.Errorf("%v --color=%s: colour %v, want %v", c.env, c.color, s.color, c.want)
		}
	}
}

func TestGlyphsOfLocale(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "✓"},
		{map[string]string{"LANG": "en_GB.UTF-8"}, "✓"},
		{map[string]string{"LANG": "C.utf8"}, "✓"},
		{map[string]string{"LANG": "C"}, "+"},
		{map[string]string{"LANG": "en_GB.UTF-8", "LC_ALL": "POSIX"}, "+"},
		{map[string]string{"LANG": "de_DE.ISO-8859-1"}, "+"},
		{map[string]string{"TERM": "dumb"}, "+"},
	} {
		if s := newScreen(&bytes.Buffer{}, func(k string) string { return c.env[k] }, "auto"); s.good != c.want {
			t.Errorf("%v: %q, want %q", c.env, s.good, c.want)
		}
	}
}

// TestHelp holds every command's help to its form: short, and with an example.
func TestHelp(t *testing.T) {
	a := &app{Deps: Deps{Getenv: func(string) string { return "" }, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.Hidden {
			got := cliRun(t, &fakeDaemon{}, nil, append(strings.Fields(c.CommandPath())[1:], "--help")...)
			if got.code != 0 || c.Example == "" {
				t.Errorf("%s --help: exit code %d, example %q", c.CommandPath(), got.code, c.Example)
			}
			for i, l := range strings.Split(c.Long+"\n"+c.Example, "\n") {
				if len([]rune(l)) > 100 {
					t.Errorf("%s: line %d of its help is %d long", c.CommandPath(), i+1, len(l))
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 31_400_000: "31.4 MB", 604_000_000: "604 MB", 999_960: "1.0 MB", 1_200_000_000: "1.2 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		345 * time.Millisecond: "345 ms", 1600 * time.Millisecond: "1.6 s", 42 * time.Second: "42 s", 130 * time.Minute: "2 h 10 min", 75 * time.Hour: "3 d",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
	for width, want := range map[int]string{
		0: "ghcr.io/acme/churn:Zk3f8sTUVWabcdefghijkl", 26: "ghcr.io/acme/churn:Zk3f8s…", 20: "…/churn:Zk3f8s…", 10: "…/churn:Z…",
	} {
		if got := fitRef("ghcr.io/acme/churn:Zk3f8sTUVWabcdefghijkl", width, "…"); got != want {
			t.Errorf("fitRef at %d = %q, want %q", width, got, want)
		}
	}
	if got := fitRef("localhost:30000/plain", 9, "…"); got != "…/plain" {
		t.Errorf("a port is no tag: %q", got)
	}
	if got, want := fitMiddle("数据-pipeline/清洗", 12, "…"), "数据-p…/清洗"; got != want {
		t.Errorf("fitMiddle = %q, want %q", got, want)
	}
}
