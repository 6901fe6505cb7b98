package imagespec

import (
	"errors"
	"io/fs"
	"syscall"
)

// Unsupported says that there is no rule here for a field, so that the spec has no name.
type Unsupported struct {
	Field  string
	Reason string // may be empty
}

func (e *Unsupported) Error() string {
	if e.Reason == "" {
		return "field " + e.Field + " is not supported"
	}
	return "field " + e.Field + " is not supported: " + e.Reason
}

// Unpredictable says that a name depends on something known only while the user's code runs.
type Unpredictable struct {
	Field  string
	Reason string
	Hint   string // what the user can write instead
}

func (e *Unpredictable) Error() string { return "field " + e.Field + ": " + e.Reason }

// PythonError is an exception that flytekit raises for the same spec: there is no tag.
type PythonError struct {
	Type    string // ValueError, FileNotFoundError, ...
	Field   string
	Message string
	Path    string // of the file that is missing or unreadable, absolute
	Err     error  // of the operating system
}

func (e *PythonError) Error() string {
	if e.Field == "" || e.Err == nil {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

func (e *PythonError) Unwrap() error { return e.Err }

// fileError words a file system error as Python does; shown is the path as the user wrote it.
func fileError(field, shown, path string, err error) error {
	text := err.Error()
	kind := "OSError"
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text = "[Errno " + itoa(int(errno)) + "] " + capital(errno.Error()) + ": " + Repr(Str(shown))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = "FileNotFoundError"
	case errors.Is(err, syscall.EISDIR):
		kind = "IsADirectoryError"
	case errors.Is(err, syscall.ENOTDIR):
		kind = "NotADirectoryError"
	case errors.Is(err, fs.ErrPermission):
		kind = "PermissionError"
	}
	return &PythonError{Type: kind, Field: field, Message: text, Path: path, Err: err}
}
