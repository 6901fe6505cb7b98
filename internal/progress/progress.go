// Package progress is how far a build is, as its parts tell it and as people see it.
//
// A part of a build calls a Func with the state of one step. Events hold totals,
// not differences, so one that is lost or late does no harm. A nil Func is never
// called: use Discard.
package progress

// Step names one kind of work within a build.
type Step string

// The steps, in the order in which a build takes them.
const (
	Base    Step = "base"    // reading the base image; bytes of its blobs
	Execute Step = "execute" // what must be executed in a container; Target says what
	Fetch   Step = "fetch"   // downloading wheels; bytes of files
	Layers  Step = "layers"  // making layers; bytes as installed
	Publish Step = "publish" // sending to a target; bytes on the wire
)

// Event is the state of one step. Totals are 0 while unknown.
type Event struct {
	Step       Step
	Target     string // of Publish and Execute
	Bytes      int64
	BytesTotal int64
	Items      int
	ItemsTotal int
	Note       string // a line for the build's log; may stand alone
}

// Func receives events. It is safe for concurrent use and returns at once.
type Func func(Event)

// Discard drops every event.
func Discard(Event) {}
