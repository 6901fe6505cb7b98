package watch

import "time"

// Hint says that a project may have changed. It is settled: the files named have been quiet for a while.
type Hint struct {
	Project string
	Paths   []string  // what changed, as far as it is known; absolute
	At      time.Time // of the first event
}
