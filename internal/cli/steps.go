package cli

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/imgspecd/imgspecd/api"
)

// executeStep is the step of a build in which something is executed in a container; its target says what.
const executeStep = "execute"

// executed writes what is being executed, or was: how far it is nobody knows.
func (v statusView) executed(p api.Progress) string {
	symbol, st := v.symbol(api.Building)
	if over(p) || p.Items > 0 {
		symbol, st = v.good, good
	}
	name := pad(executeStep, 8) + "  "
	title := oneLine(p.Target)
	if room := v.width - 2 - ansi.StringWidth(name+symbol) - 1; v.width > 0 {
		title = ansi.Truncate(title, max(room, 8), v.dots)
	}
	return v.paint(quiet, name) + v.paint(st, symbol) + " " + title
}

// oneLine is a text without line breaks and runs of blanks, safe to be shown.
func oneLine(s string) string { return clean(strings.Join(strings.Fields(s), " ")) }

// steps lists what is executed in containers for an image, in order, and what a build would execute of it now.
func (s screen) steps(all []api.Step) string {
	if len(all) == 0 {
		return ""
	}
	n := 0
	for _, st := range all {
		if !st.Done {
			n++
		}
	}
	text := count(len(all), "step")
	switch n {
	case 0:
		text += ", nothing would be executed"
	default:
		text += fmt.Sprintf(", %d would be executed", n)
	}
	var b strings.Builder
	b.WriteString(s.field("steps", text))
	for _, st := range all {
		sign, how := s.good+" kept", good
		if !st.Done {
			sign, how = willExecute, busy
		}
		b.WriteString(s.para("  "+s.paint(how, pad(sign, len(willExecute)))+"  ", normal, oneLine(st.Title)))
	}
	return b.String()
}

const willExecute = "+ would be executed"

// plainLine is a line that a program wrote, without its colours.
func plainLine(s string) string { return clean(strings.TrimRight(ansi.Strip(s), " \t\r\n")) }

// output writes the last lines of what a step said before it failed.
func (v statusView) output(lead string, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(v.para(lead+v.paint(quiet, v.pipe)+" ", quiet, plainLine(line)))
	}
	return b.String()
}
