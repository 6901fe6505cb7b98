package cli

import (
	"io"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// screen is one output stream and what it can show.
type screen struct {
	w      io.Writer
	tty    bool // a terminal that can be drawn upon
	color  bool
	width  int // cells; 0 where nothing limits a line
	height int // lines; 0 where unknown
	glyphs
}

// glyphs are the symbols of a screen. Each stands beside a word, never alone.
type glyphs struct {
	good, busy, bad, wait, idle, warn string
	dots, sep, arrow, keys, pipe      string
	full, empty                       string
	spin                              []string
}

var (
	fancy = glyphs{
		good: "✓", busy: "◐", bad: "✗", wait: "○", idle: "–", warn: "!", dots: "…", sep: " · ", arrow: "→", keys: "↑↓", pipe: "│",
		full: "█", empty: "░", spin: []string{"◐", "◓", "◑", "◒"},
	}
	plain = glyphs{
		good: "+", busy: "*", bad: "x", wait: "o", idle: "-", warn: "!", dots: "..", sep: ", ", arrow: "->", keys: "up/down", pipe: "|",
		full: "#", empty: ".", spin: []string{"*"},
	}
)

// newScreen finds out what w can show. color is auto, always or never.
func newScreen(w io.Writer, getenv func(string) string, color string) screen {
	s := screen{w: w, glyphs: fancy}
	dumb := getenv("TERM") == "dumb"
	fd, isFile := descriptor(w)
	isTerminal := isFile && term.IsTerminal(fd)
	s.tty = isTerminal && !dumb
	if isTerminal {
		if width, height, err := term.GetSize(fd); err == nil {
			s.width, s.height = width, height
		}
		if s.width <= 0 {
			s.width = 80
		}
	}
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 && !isTerminal {
		s.width = n
	}
	if dumb || !utf8Locale(getenv) {
		s.glyphs = plain
	}
	switch force := getenv("CLICOLOR_FORCE"); {
	case color == "always":
		s.color = true
	case color == "never" || getenv("NO_COLOR") != "":
	case force != "" && force != "0":
		s.color = true
	default:
		s.color = s.tty && getenv("CLICOLOR") != "0"
	}
	return s
}

// descriptor returns the file descriptor behind a stream, if there is one.
func descriptor(stream any) (uintptr, bool) {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0, false
	}
	return f.Fd(), true
}

// utf8Locale reports whether the locale can show more than ASCII. No locale at
// all counts as UTF-8: containers and CI have none, and show it.
func utf8Locale(getenv func(string) string) bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		v := strings.ToLower(getenv(k))
		if v == "" {
			continue
		}
		_, charset, has := strings.Cut(v, ".")
		if !has {
			return v != "c" && v != "posix"
		}
		return strings.HasPrefix(charset, "utf-8") || strings.HasPrefix(charset, "utf8")
	}
	return true
}

// profile is the colour profile for a live view on this screen: the sixteen
// colours of the user's own theme, or none.
func (s screen) profile() colorprofile.Profile {
	if s.color {
		return colorprofile.ANSI
	}
	return colorprofile.ASCII
}

// style is what a text means; the colour follows from it.
type style int

const (
	normal style = iota
	quiet        // beside the point
	strong
	good
	busy
	bad
	warn
)

func (s screen) paint(st style, text string) string {
	if !s.color || text == "" || st == normal {
		return text
	}
	l := lipgloss.NewStyle()
	switch st {
	case quiet:
		l = l.Faint(true)
	case strong:
		l = l.Bold(true)
	case good:
		l = l.Foreground(lipgloss.Green)
	case busy:
		l = l.Foreground(lipgloss.Cyan)
	case bad:
		l = l.Foreground(lipgloss.Red)
	case warn:
		l = l.Foreground(lipgloss.Yellow)
	}
	return l.Render(text)
}

// wrap breaks text at blanks into lines that fit the screen after indent cells,
// so that commands and paths stay whole; only what fits no line is cut.
func (s screen) wrap(text string, indent int) []string {
	room := s.width - indent
	if s.width == 0 || room < 20 {
		return []string{text}
	}
	var lines []string
	line, used := "", 0
	for i, word := range strings.Split(text, " ") {
		w := ansi.StringWidth(word)
		switch {
		case i > 0 && used+1+w <= room:
			line, used = line+" "+word, used+1+w
			continue
		case i > 0:
			lines = append(lines, strings.TrimRight(line, " "))
		}
		cut := strings.Split(ansi.Hardwrap(word, room, true), "\n")
		lines = append(lines, cut[:len(cut)-1]...)
		line = cut[len(cut)-1]
		used = ansi.StringWidth(line)
	}
	return append(lines, line)
}

// para writes text under a first-line lead, the lines after it indented as far as the lead is wide.
func (s screen) para(lead string, st style, text string) string {
	indent := ansi.StringWidth(lead)
	lines := s.wrap(text, indent)
	var b strings.Builder
	for i, l := range lines {
		if i == 0 {
			b.WriteString(lead)
		} else {
			b.WriteString(strings.Repeat(" ", indent))
		}
		b.WriteString(s.paint(st, l))
		b.WriteByte('\n')
	}
	return b.String()
}

// bar draws how much of total is done, width cells wide.
func (s screen) bar(done, total int64, width int) string {
	n := 0
	if total > 0 {
		n = int(min(done, total) * int64(width) / total)
	}
	return s.paint(busy, strings.Repeat(s.full, n)) + s.paint(quiet, strings.Repeat(s.empty, width-n))
}
