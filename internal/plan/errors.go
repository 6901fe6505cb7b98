package plan

import "strings"

// Unsupported says that flytekit can build this and this release cannot.
type Unsupported struct {
	Field  string // of ImageSpec; empty when it is not about one
	Reason string
	Hint   string // what to do about it
}

func (e *Unsupported) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return strings.TrimSuffix("field "+e.Field+" is not supported: "+e.Reason, ": ")
}

// Invalid says that an input is wrong, so that nobody could build this.
type Invalid struct {
	Field  string // of ImageSpec; empty when it is not about one
	Reason string
	Hint   string // what to do about it
}

func (e *Invalid) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}
