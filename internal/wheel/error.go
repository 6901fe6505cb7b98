package wheel

import "fmt"

// Error is why a wheel is refused.
type Error struct {
	Wheel  string // filename
	Entry  string // empty when it is about the archive
	Reason string
}

func (e *Error) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("wheel %s: %s", e.Wheel, e.Reason)
	}
	return fmt.Sprintf("wheel %s: entry %q: %s", e.Wheel, e.Entry, e.Reason)
}

// reasons makes errors inside the archive reader, which knows no filename.
type reason struct{ entry, text string }

func (r *reason) Error() string { return r.text }

func refuse(format string, a ...any) error { return &reason{text: fmt.Sprintf(format, a...)} }

func refuseEntry(entry, format string, a ...any) error {
	return &reason{entry: entry, text: fmt.Sprintf(format, a...)}
}
