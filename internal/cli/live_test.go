package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/imgspecd/imgspecd/api"
)

func liveModel(lines int) *live {
	var b strings.Builder
	for i := range lines - 1 {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	b.WriteString("summary\n")
	m := &live{full: true, clock: func() time.Time { return now }}
	m.view = statusView{screen: testScreen(80), live: true, rates: rates{}}
	m.Update(sceneMsg{draw: func(statusView) string { return b.String() }})
	return m
}

// TestLiveViewFitsItsWindow proves that no frame is taller than the window, that
// keys scroll within the text, and that the summary always stays.
func TestLiveViewFitsItsWindow(t *testing.T) {
	m := liveModel(50)
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 10})
	for _, c := range []struct {
		key         tea.KeyPressMsg
		first, last string
	}{
		{tea.KeyPressMsg{Code: tea.KeyUp}, "line 1", "summary  1-9 of 49 lines, ↑↓"},
		{tea.KeyPressMsg{Code: tea.KeyDown}, "line 2", "summary  2-10 of 49 lines, ↑↓"},
		{tea.KeyPressMsg{Code: tea.KeyPgDown}, "line 10", "summary  10-18 of 49 lines, ↑↓"},
		{tea.KeyPressMsg{Code: tea.KeyEnd}, "line 41", "summary  41-49 of 49 lines, ↑↓"},
		{tea.KeyPressMsg{Code: tea.KeyHome}, "line 1", "summary  1-9 of 49 lines, ↑↓"},
	} {
		m.Update(c.key)
		lines := strings.Split(m.View().Content, "\n")
		if len(lines) != 10 || lines[0] != c.first || lines[9] != c.last {
			t.Errorf("%s: %d lines, %q to %q, want %q to %q", c.key, len(lines), lines[0], lines[len(lines)-1], c.first, c.last)
		}
	}
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 60})
	if got := strings.Count(m.View().Content, "\n") + 1; got != 50 || m.top != 0 {
		t.Errorf("in a tall window %d lines from %d, want 50 from 0", got, m.top)
	}
}

func TestLiveViewEnds(t *testing.T) {
	for key, interrupted := range map[string]bool{"q": false, "esc": false, "ctrl+c": true} {
		m := liveModel(3)
		press := map[string]tea.KeyPressMsg{
			"q": {Code: 'q', Text: "q"}, "esc": {Code: tea.KeyEscape}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
		}[key]
		if _, cmd := m.Update(press); cmd == nil || !m.quit || (m.err != nil) != interrupted {
			t.Errorf("%s: quit %v, err %v", key, m.quit, m.err)
		}
		if m.View().Content != "" {
			t.Errorf("%s: something is still drawn", key)
		}
	}
}

// TestRates proves that speed is measured from what is seen, and anew for each build.
func TestRates(t *testing.T) {
	r := rates{}
	im := api.Image{Build: "b1", Progress: []api.Progress{{Step: "fetch", Bytes: 1_000_000}}}
	r.see(im, now)
	if got := r.of(im, im.Progress[0]); got != 0 {
		t.Errorf("speed after one event: %v", got)
	}
	im.Progress[0].Bytes = 5_000_000
	r.see(im, now.Add(2*time.Second))
	if got := r.of(im, im.Progress[0]); got != 2_000_000 {
		t.Errorf("speed %v, want 2 MB/s", got)
	}
	im.Build = "b2"
	r.see(im, now.Add(3*time.Second))
	if got := r.of(im, im.Progress[0]); got != 0 {
		t.Errorf("speed of another build: %v", got)
	}
}
