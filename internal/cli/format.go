package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// size writes n bytes as people read them, in powers of ten as registries and PyPI do.
func size(n int64) string {
	units := []string{"kB", "MB", "GB", "TB"}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, u := range units {
		v, unit = v/1000, u
		if v < 999.95 {
			break
		}
	}
	if v >= 99.95 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// sizeOf writes "12.4 of 31.4 MB", naming the unit once where it is the same.
func sizeOf(done, total int64) string {
	if total <= 0 {
		return size(done)
	}
	d, t := size(min(done, total)), size(total)
	if du, tu := d[strings.IndexByte(d, ' '):], t[strings.IndexByte(t, ' '):]; du == tu {
		d = strings.TrimSuffix(d, du)
	}
	return d + " of " + t
}

// span writes a length of time in its largest unit, or two where the second still says something.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 10*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// ago writes how long before now t was, in whole units.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours()/24))
}

// count writes "1 spec", "3 specs".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// splitRef parts a reference into registry and path, and tag.
func splitRef(ref string) (name, tag string) {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}

// tagShown is how much of a tag is shown where there is no room for all of it:
// enough that two tags of one spec are never mistaken for each other.
const tagShown = 6

// fitRef writes an image reference within width cells. It gives up first most of
// the tag, then the registry and leading path, last the end of the name.
func fitRef(ref string, width int, dots string) string {
	if width <= 0 || ansi.StringWidth(ref) <= width {
		return ref
	}
	name, tag := splitRef(ref)
	if len(tag) > tagShown+1 {
		tag = tag[:tagShown] + dots
	}
	end := ":" + tag
	if tag == "" {
		end = ""
	}
	if ansi.StringWidth(name+end) <= width {
		return name + end
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = dots + name[i:]
		if ansi.StringWidth(name+end) <= width {
			return name + end
		}
	}
	return ansi.Truncate(name+end, width, dots)
}

// fitMiddle shortens s to width cells, keeping its beginning and its end.
func fitMiddle(s string, width int, dots string) string {
	w := ansi.StringWidth(s)
	if width <= 0 || w <= width {
		return s
	}
	room := width - ansi.StringWidth(dots)
	if room < 2 {
		return ansi.Truncate(s, width, "")
	}
	head := (room + 1) / 2
	return ansi.Truncate(s, head, "") + dots + ansi.TruncateLeft(s, w-(room-head), "")
}

// pad fills s with blanks to width cells.
func pad(s string, width int) string {
	if n := width - ansi.StringWidth(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// clean makes text from a project or a registry harmless to a terminal: what
// would move the cursor, change colours or reorder letters is shown, not obeyed.
func clean(s string) string {
	if strings.IndexFunc(s, unsafe) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case unsafe(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafe(r rune) bool {
	return unicode.IsControl(r) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0x200e || r == 0x200f
}
