package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// executing is a build in the middle of a step, and one that failed in one.
func executing() report {
	w := world()
	w.Projects = w.Projects[1:2]
	w.Images = []api.Image{
		{
			Label: "vision/eval", Name: "vision-eval:Qq21xX02LmNopqrstuvwxy", Project: "p2", State: api.Building, Since: before(9 * time.Second), Build: "b9",
			Progress: []api.Progress{
				{Step: "base", Bytes: 3_100_000, BytesTotal: 3_100_000, Items: 1, ItemsTotal: 1},
				{Step: "execute", Target: "apt: libgl1, libglib2.0-0", Items: 1, ItemsTotal: 1},
				{Step: "execute", Target: "commands: python -m compileall -q /root && echo 'a very long command that no screen is wide enough for, so that it has to be cut'", ItemsTotal: 1},
			},
		},
		{
			Label: "vision/train", Name: "vision:Qq21xX02LmNopqrstuvwxy", Project: "p2", State: api.Failed, Since: before(3 * time.Minute), Build: "b5",
			Error: &api.Error{
				Code: api.CodeInvalid, Message: "apt: libgl2: exit code 100",
				Output: []string{
					"Reading package lists...", "Building dependency tree...", "\x1b[31mE: Unable to locate package libgl2\x1b[0m",
					"E: The repository 'http://deb.debian.org/debian bookworm Release' no longer has a Release file, which is a line longer than the screen.",
				},
			},
		},
	}
	return w
}

func TestStepScreens(t *testing.T) {
	for _, width := range []int{80, 120} {
		v := statusView{screen: testScreen(width), now: now}
		golden(t, fmt.Sprintf("status-steps-%d", width), width, v.render(executing()))
		v.live = true
		golden(t, fmt.Sprintf("status-steps-live-%d", width), width, v.render(executing()))

		a := &app{out: testScreen(width)}
		e := explanation()
		e.Steps = []api.Step{
			{Kind: "apt", Title: "apt: libgl1, libglib2.0-0", Done: true},
			{Kind: "wheel", Title: "wheel of sacremoses 0.1.1"},
			{Kind: "commands", Title: "commands: echo a &&\n  echo b"},
		}
		golden(t, fmt.Sprintf("explain-steps-%d", width), width, a.explanationText(e))
	}
}

// Without a daemon there is no `imgspecd logs`: the file is named.
func TestFailedStepWithoutDaemon(t *testing.T) {
	im := executing().Images[1]
	v := statusView{screen: testScreen(80), now: now}
	p := part{label: im.Label, build: &api.Build{ID: "b5", State: api.Failed, Error: im.Error}}
	if got := v.part(p); !strings.Contains(got, "→ imgspecd logs vision/train") {
		t.Error(got)
	}
	p.logs = "/state/logs"
	if got := v.part(p); strings.Contains(got, "imgspecd logs") || !strings.Contains(got, "→ the whole output: /state/logs/b5.log") {
		t.Error(got)
	}
}
