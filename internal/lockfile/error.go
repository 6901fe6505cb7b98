package lockfile

import "fmt"

// Error says what is wrong with a lock, or with the project file beside it, and where.
type Error struct {
	File   string // "uv.lock" or "pyproject.toml"
	Line   int    // from 1; 0 where no line is to blame
	Reason string
	Hint   string // what to do about it; may be empty
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	s += ": " + e.Reason
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}
