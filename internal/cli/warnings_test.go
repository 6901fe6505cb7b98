package cli

import (
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

func TestWarningsOfAReadyImage(t *testing.T) {
	w := api.Warning{Package: "six 1.0", File: "/root/.venv/six.py", Reason: "it is odd\x1b[2J"}
	im := api.Image{Label: "a/b", State: api.Ready, Warnings: []api.Warning{w, w, w, w, w}}
	v := statusView{screen: testScreen(0)}
	text := v.below(im)
	if strings.Count(text, "six 1.0: /root/.venv/six.py: it is odd") != maxWarnings || !strings.Contains(text, "and 2 more") || strings.Contains(text, "\x1b[2J") {
		t.Errorf("status says:\n%s", text)
	}
	v.wide = true
	if text := v.below(im); strings.Count(text, "it is odd") != 5 || strings.Contains(text, "more") {
		t.Errorf("status --wide says:\n%s", text)
	}
	b := api.Build{State: api.Ready, Label: "a/b", Warnings: im.Warnings[:1]}
	if text := v.part(part{label: "a/b", build: &b}); !strings.Contains(text, "it is odd") {
		t.Errorf("build says:\n%s", text)
	}
	im.State = api.Building
	if text := v.below(im); strings.Contains(text, "odd") {
		t.Errorf("while it is built status says:\n%s", text)
	}
}
