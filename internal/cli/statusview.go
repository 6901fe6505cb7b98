package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/imgspecd/imgspecd/api"
)

// report is all that `status` shows; its parts are the API's own types.
type report struct {
	Info     api.Info      `json:"info"`
	Projects []api.Project `json:"projects"`
	Images   []api.Image   `json:"images"`
}

// statusView writes a report as a person reads it. It holds no state: the live
// view calls it for each frame.
type statusView struct {
	screen
	now   time.Time
	wide  bool // nothing is shortened
	live  bool // progress as bars
	frame int  // of the live view; turns the symbol of what is under way
	rates rates
}

// row is one line of the table, not yet fitted.
type row struct {
	label, ref  string
	state       string // symbol and word
	style       style
	since, at   string
	note        string // said at the end of the line, where there is room
	below       string // whole lines said under it
	placeholder bool   // not an image: a project without any
}

func (v statusView) render(r report) string {
	var b strings.Builder
	rows := v.rows(r)
	if len(rows) > 0 {
		v.table(&b, rows)
	}
	v.unreadable(&b, r.Projects)
	v.unrecorded(&b, r.Projects)
	if len(r.Projects) == 0 {
		fmt.Fprintf(&b, "No project is watched. %s imgspecd watch DIR\n", v.arrow)
	}
	if v.wide {
		v.targets(&b, r.Info.Targets)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(v.summary(r))
	return b.String()
}

// rows lists the images by label, and projects that have none.
func (v statusView) rows(r report) []row {
	var rows []row
	has := map[string]bool{}
	for _, im := range r.Images {
		has[im.Project] = true
		rows = append(rows, v.imageRow(im))
	}
	for _, p := range r.Projects {
		if has[p.ID] && p.Error == nil {
			continue
		}
		rows = append(rows, v.projectRow(p))
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.label, b.label) })
	return rows
}

// usualPlatform is flytekit's default, of which nothing is said.
const usualPlatform = "linux/amd64"

func (v statusView) imageRow(im api.Image) row {
	symbol, st := v.symbol(im.State)
	r := row{
		label: clean(im.Label),
		ref:   clean(im.Name),
		state: symbol + " " + string(im.State),
		style: st,
		since: ago(im.Since, v.now),
		at:    clean(strings.Join(readyIn(im.Targets), ", ")),
	}
	if im.State == api.Ready {
		r.note = clean(im.Detail)
		if im.Platform != "" && im.Platform != usualPlatform {
			r.note = strings.TrimSuffix("for "+clean(strings.ReplaceAll(im.Platform, ",", ", "))+"; "+r.note, "; ")
		}
	}
	r.below = v.below(im)
	return r
}

func (v statusView) projectRow(p api.Project) row {
	r := row{label: clean(p.Name), state: v.idle + " idle", style: quiet, placeholder: true}
	lead := "  "
	switch {
	case p.Error != nil:
		r.state, r.style = v.bad+" failed", bad
		r.below = v.para(lead, normal, clean(p.Error.Message)) + v.hint(lead, p.Error.Hint)
	case len(p.Unreadable) > 0: // told below the table
	default:
		r.below = v.para(lead, quiet, "no ImageSpec found in "+clean(p.Dir))
	}
	return r
}

// symbol is the sign and the style of a state. What is under way turns in the live view.
func (v statusView) symbol(s api.State) (string, style) {
	switch s {
	case api.Ready:
		return v.good, good
	case api.Failed:
		return v.bad, bad
	case api.Building, api.Publishing:
		if v.live {
			return v.spin[v.frame%len(v.spin)], busy
		}
		return v.busy, busy
	case api.Superseded, api.Canceled, api.Listed:
		return v.idle, quiet
	}
	return v.wait, warn
}

// readyIn names the targets that have the image, in the order of the image.
func readyIn(targets []api.TargetState) []string {
	var names []string
	for _, t := range targets {
		if t.State == api.Ready {
			names = append(names, t.Name)
		}
	}
	return names
}

// below says what an image waits for, how far it is, why it failed, and what is wrong with one target.
func (v statusView) below(im api.Image) string {
	var b strings.Builder
	lead := "  "
	switch {
	case im.State == api.Ready:
	case im.Error != nil:
		text := im.Error.Message
		if strings.HasPrefix(im.Detail, text) {
			text = im.Detail // which says too when it is tried again
		}
		b.WriteString(v.para(lead, normal, clean(text)))
		b.WriteString(v.output(lead, im.Error.Output))
		b.WriteString(v.hint(lead, im.Error.Hint))
		if im.State == api.Failed && im.Build != "" {
			b.WriteString(v.hint(lead, "imgspecd logs "+clean(im.Label)))
		}
	case len(im.Progress) > 0:
		b.WriteString(v.progress(im))
	case im.Detail != "":
		b.WriteString(v.para(lead, quiet, clean(im.Detail)))
	}
	b.WriteString(v.differs(lead, im))
	b.WriteString(v.warnings(lead, im))
	for _, t := range im.Targets {
		switch {
		case t.State == api.Failed && t.Error != nil && !told(im.Error, t.Error):
			b.WriteString(v.para(lead+v.paint(bad, v.bad)+" ", normal, clean(t.Name+": "+t.Error.Message)))
			b.WriteString(v.hint(lead, t.Error.Hint))
		case t.State == api.Waiting && im.State == api.Ready:
			b.WriteString(v.para(lead+v.idle+" ", quiet,
				clean(t.Name+": not sent until asked for: imgspecd build --push "+im.Label)))
		}
	}
	return b.String()
}

// told reports whether the image's own error says already what a target's says.
func told(image, target *api.Error) bool {
	return image != nil && strings.Contains(image.Message, target.Message)
}

func (v statusView) hint(lead, hint string) string {
	if hint == "" {
		return ""
	}
	return v.para(lead+v.paint(quiet, v.arrow)+" ", normal, clean(hint))
}

// widths are the columns of the table; 0 for one that is not shown.
type widths struct{ label, ref, state, since, at, note int }

const gap = 2

func (v statusView) table(b *strings.Builder, rows []row) {
	w := v.fit(rows)
	head := row{label: "SPEC", ref: "IMAGE", state: "STATE", since: "SINCE", at: "READY IN"}
	v.line(b, w, head, true)
	for _, r := range rows {
		v.line(b, w, r, false)
		b.WriteString(r.below)
	}
}

// fit chooses column widths. When the screen is too narrow the image reference
// yields first (see fitRef), then the label, then the list of places.
func (v statusView) fit(rows []row) widths {
	w := widths{label: len("SPEC"), ref: len("IMAGE"), state: len("STATE"), since: len("SINCE"), at: len("READY IN")}
	short, note := w.ref, 0
	for _, r := range rows {
		w.label = max(w.label, ansi.StringWidth(r.label))
		w.ref = max(w.ref, ansi.StringWidth(r.ref))
		w.state = max(w.state, ansi.StringWidth(r.state))
		w.since = max(w.since, ansi.StringWidth(r.since))
		w.at = max(w.at, ansi.StringWidth(r.at))
		short = max(short, ansi.StringWidth(shortRef(r.ref, v.dots)))
		note = max(note, ansi.StringWidth(r.note))
	}
	if v.width == 0 || v.wide {
		w.note = note
		return w
	}
	over := w.label + w.ref + w.state + w.since + w.at + 4*gap - v.width
	give := func(col *int, least int) {
		if n := min(over, *col-least); n > 0 {
			*col -= n
			over -= n
		}
	}
	if over > 0 { // all tags short rather than some
		over -= w.ref - min(w.ref, short)
		w.ref = min(w.ref, short)
	}
	give(&w.ref, 17)
	give(&w.label, 16)
	give(&w.at, len("READY IN"))
	give(&w.label, 8)
	give(&w.ref, 8)
	if room := -over - gap; note > 0 && room >= 16 {
		w.note = min(note, room)
	}
	return w
}

// shortRef is a reference with most of its tag left out.
func shortRef(ref, dots string) string {
	name, tag := splitRef(ref)
	if len(tag) <= tagShown+1 {
		return ref
	}
	return name + ":" + tag[:tagShown] + dots
}

func (v statusView) line(b *strings.Builder, w widths, r row, head bool) {
	ref, label := r.ref, fitMiddle(r.label, w.label, v.dots)
	if ansi.StringWidth(ref) > w.ref {
		ref = fitRef(ref, w.ref, v.dots)
	}
	if ref == "" {
		ref = v.idle
	}
	at := r.at
	if at == "" && !r.placeholder {
		at = v.idle
	}
	cells := []string{label, ref, r.state, r.since, ansi.Truncate(at, w.at, v.dots), ""}
	if w.note > 0 {
		cells[5] = ansi.Truncate(r.note, w.note, v.dots)
	}
	last := len(cells) - 1
	for last > 0 && cells[last] == "" {
		last--
	}
	styles := []style{strong, normal, r.style, quiet, normal, quiet}
	for i, width := range []int{w.label, w.ref, w.state, w.since, w.at, w.note} {
		st := styles[i]
		if head {
			st = quiet
		}
		if i > last {
			break
		}
		b.WriteString(v.paint(st, cells[i]))
		if i < last {
			b.WriteString(strings.Repeat(" ", max(width-ansi.StringWidth(cells[i]), 0)+gap))
		}
	}
	b.WriteByte('\n')
}

// unreadable lists the specs that have no row because they cannot be known.
func (v statusView) unreadable(b *strings.Builder, projects []api.Project) {
	n := 0
	for _, p := range projects {
		n += len(p.Unreadable)
	}
	if n == 0 {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%s cannot be read without running its code:\n", count(n, "image spec"))
	for _, p := range projects {
		for _, u := range p.Unreadable {
			b.WriteString(v.para("  "+v.paint(warn, v.warn)+" ", normal, unreadableLine(p.Name, u)))
		}
	}
	b.WriteString(v.hint("  ", "once a run reports such a spec (PUT /v1/specs), it is known and kept ahead too"))
}

// unreadableLine is PROJECT/FILE:LINE: FIELD: REASON.
func unreadableLine(project string, u api.Unreadable) string {
	s := u.File
	if project != "" {
		s = project + "/" + s
	}
	if u.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, u.Line)
	}
	if u.Field != "" {
		s += ": " + u.Field
	}
	return clean(s + ": " + u.Reason)
}

// targets lists where images can be ready, and what keeps one from being used.
func (v statusView) targets(b *strings.Builder, targets []api.TargetInfo) {
	if len(targets) == 0 {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("Targets:\n")
	for _, t := range targets {
		sign, text := v.paint(good, v.good), clean(t.Name)
		for _, s := range []string{t.Version, t.Address, t.Policy} {
			if s != "" {
				text += " " + clean(s)
			}
		}
		if t.Error != nil {
			sign = v.paint(bad, v.bad)
			text += ": " + clean(t.Error.Message)
		}
		b.WriteString(v.para("  "+sign+" ", normal, text))
	}
}

// summary is the last line.
func (v statusView) summary(r report) string {
	by := map[api.State]int{}
	for _, im := range r.Images {
		by[im.State]++
	}
	parts := []string{count(len(r.Images), "spec"), fmt.Sprintf("%d ready", by[api.Ready])}
	if n := by[api.Building] + by[api.Publishing] + by[api.Queued]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d under way", n))
	}
	if n := by[api.Waiting]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", n))
	}
	if n := by[api.Listed]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d only listed", n))
	}
	if n := by[api.Failed]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	daemon := "daemon " + clean(r.Info.Version)
	if !r.Info.StartedAt.IsZero() {
		daemon += ", up " + upTime(v.now.Sub(r.Info.StartedAt))
	}
	if r.Info.RSS > 0 {
		daemon += fmt.Sprintf(", %d MB", (r.Info.RSS+500_000)/1_000_000)
	}
	specs := strings.Join(parts, ", ")
	if v.width > 0 && ansi.StringWidth(specs+v.sep+daemon) > v.width {
		return v.paint(quiet, ansi.Truncate(specs, v.width, v.dots)) + "\n" + v.paint(quiet, ansi.Truncate(daemon, v.width, v.dots)) + "\n"
	}
	return v.paint(quiet, specs+v.sep+daemon) + "\n"
}

// upTime is a span in whole seconds.
func upTime(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return span(d)
}
