package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"github.com/imgspecd/imgspecd/api"
)

// frameEvery is how often a live view is drawn again by itself: times grow, symbols turn.
const frameEvery = 250 * time.Millisecond

type (
	frameMsg time.Time
	sceneMsg scene
	endMsg   struct{ err error }
)

// scene is what a live view shows until the next one comes: a screen to be drawn
// at any moment, and the images whose progress is measured.
type scene struct {
	images []api.Image
	draw   func(statusView) string
}

// live is the model of a live view.
type live struct {
	view  statusView
	scene scene
	full  bool // takes the whole screen, scrolls, and listens to keys
	top   int  // first line shown
	clock func() time.Time
	over  bool  // nothing more is drawn
	quit  bool  // by the user
	err   error // of quit
}

func tick() tea.Cmd {
	return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frameMsg(t) })
}

// Init starts the clock.
func (m *live) Init() tea.Cmd { return tick() }

// Update takes in a message.
func (m *live) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case frameMsg:
		m.view.frame++
		return m, tick()
	case sceneMsg:
		m.scene = scene(msg)
		for _, im := range m.scene.images {
			m.view.rates.see(im, m.clock())
		}
	case endMsg:
		m.over = true
		return m, tea.Quit
	case tea.WindowSizeMsg:
		m.view.width, m.view.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m.key(msg)
	}
	return m, nil
}

func (m *live) key(msg tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	page := max(m.view.height-2, 1)
	switch msg.String() {
	case "q", "esc", "ctrl+c":
		m.quit, m.over = true, true
		if msg.String() == "ctrl+c" {
			m.err = context.Canceled
		}
		return m, tea.Quit
	case "up", "k":
		m.top--
	case "down", "j":
		m.top++
	case "pgup":
		m.top -= page
	case "pgdown", "space":
		m.top += page
	case "home", "g":
		m.top = 0
	case "end", "G":
		m.top = 1 << 30
	}
	return m, nil
}

// View draws the screen, cut to the window.
func (m *live) View() tea.View {
	if m.scene.draw == nil || m.over {
		return tea.NewView("") // the last screen is written when the program is gone
	}
	m.view.now = m.clock()
	lines := strings.Split(strings.TrimSuffix(m.scene.draw(m.view), "\n"), "\n")
	v := tea.NewView("")
	v.AltScreen = m.full
	if m.full {
		lines = m.window(lines)
	} else if h := m.view.height; h > 0 && len(lines) > h {
		lines = lines[len(lines)-h:]
	}
	v.SetContent(strings.Join(lines, "\n"))
	return v
}

// window cuts lines to the height of the screen. The last line, the summary, always stays.
func (m *live) window(lines []string) []string {
	h := m.view.height
	if h <= 2 || len(lines) <= h {
		m.top = 0
		return lines
	}
	last, body := lines[len(lines)-1], lines[:len(lines)-1]
	room := h - 1
	m.top = min(max(m.top, 0), len(body)-room)
	more := fmt.Sprintf("  %d-%d of %d lines, %s", m.top+1, m.top+room, len(body), m.view.keys)
	if m.view.width > 0 {
		last = ansi.Truncate(last, max(m.view.width-ansi.StringWidth(more), 0), m.view.dots) + more
	}
	return append(append([]string{}, body[m.top:m.top+room]...), last)
}

// show runs a live view on s while feed feeds it; the last screen stays. It returns
// feed's error, or how the user ended it.
func (a *app) show(ctx context.Context, s screen, m *live, input bool, feed func(context.Context, func(scene)) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.clock, m.view.screen = a.Now, s
	m.view.live, m.view.rates = true, rates{}
	opts := []tea.ProgramOption{
		tea.WithOutput(s.w), tea.WithColorProfile(s.profile()), tea.WithoutSignalHandler(),
		tea.WithWindowSize(s.width, s.height), tea.WithEnvironment(a.teaEnv()),
	}
	if fd, isFile := descriptor(a.Stdin); input && isFile && term.IsTerminal(fd) {
		opts = append(opts, tea.WithInput(a.Stdin))
	} else {
		opts = append(opts, tea.WithInput(nil))
	}
	p := tea.NewProgram(m, opts...)
	done := make(chan error, 1)
	go func() {
		err := feed(ctx, func(s scene) { p.Send(sceneMsg(s)) })
		done <- err
		p.Send(endMsg{err})
	}()
	if _, err := p.Run(); err != nil {
		return fmt.Errorf("draw the live view: %w", err)
	}
	cancel()
	err := <-done
	if m.scene.draw != nil { // it stays on the terminal, whole
		last := statusView{screen: s, now: a.Now(), wide: m.view.wide}
		if _, werr := io.WriteString(s.w, m.scene.draw(last)); werr != nil {
			return werr
		}
	}
	if m.quit {
		return m.err
	}
	return err
}

// teaEnv is the little that the live view may know of the environment.
func (a *app) teaEnv() []string {
	var env []string
	for _, k := range []string{"TERM", "COLORTERM", "TERM_PROGRAM", "TMUX", "STY", "LANG", "LC_ALL", "LC_CTYPE", "WT_SESSION"} {
		if v := a.Getenv(k); v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// liveStatus is `status -w` on a terminal.
func (a *app) liveStatus(ctx context.Context, s *scope, wide bool) error {
	m := &live{full: true, view: statusView{wide: wide}}
	err := a.show(ctx, a.out, m, true, func(ctx context.Context, send func(scene)) error {
		var last report
		return s.changes(ctx, func(r report, _ *api.Event) error {
			last = r.copy()
			send(last.scene(""))
			return nil
		}, func(err error) { send(last.scene(clean(err.Error()))) })
	})
	if m.quit && err != nil {
		return &exitError{code: exitInterrupted}
	}
	return err
}

// scene is the report as the live view draws it, under a warning if there is one.
func (r report) scene(warning string) scene {
	return scene{images: r.Images, draw: func(v statusView) string {
		if warning == "" {
			return v.render(r)
		}
		return v.para(v.paint(bad, v.bad)+" ", normal, warning) + "\n" + v.render(r)
	}}
}

// copy makes a report that later events do not change.
func (r report) copy() report {
	r.Projects = append([]api.Project{}, r.Projects...)
	r.Images = append([]api.Image{}, r.Images...)
	return r
}
