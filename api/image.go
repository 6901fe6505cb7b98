package api

import "time"

// State is where an image or a build stands.
type State string

// The states of an image; a build has all but Waiting and Listed, and Superseded and Canceled besides.
const (
	Waiting    State = "waiting"    // an input is missing or half written
	Queued     State = "queued"     // its build has not begun
	Building   State = "building"   // layers are being made
	Publishing State = "publishing" // layers are on their way to the targets
	Ready      State = "ready"      // seen in at least one target, after the build
	Failed     State = "failed"
	Superseded State = "superseded" // a newer change of the same spec took over
	Canceled   State = "canceled"   // ended on request
	Listed     State = "listed"     // of an image: known, and left to the builder that its spec names
)

// Final reports whether nothing more will happen without a new cause.
func (s State) Final() bool {
	return s == Ready || s == Failed || s == Superseded || s == Canceled || s == Listed
}

// Image is one image spec of one project and how ready its image is.
type Image struct {
	Name     string        `json:"name"`     // flytekit's image_name(): [registry/]name:tag; empty while it cannot be computed
	Tag      string        `json:"tag"`      // flytekit's tag
	ID       string        `json:"id"`       // flytekit's id, the image's _F_IMG_ID
	Project  string        `json:"project"`  // Project.ID
	Dir      string        `json:"dir"`      // Project.Dir
	Label    string        `json:"label"`    // what people call it: PROJECT/SPEC, unique
	Source   Source        `json:"source"`   // where the spec was found
	Platform string        `json:"platform"` // e.g. linux/amd64
	Registry string        `json:"registry"` // empty: a local image
	State    State         `json:"state"`    //
	Since    time.Time     `json:"since"`    // when it got into State
	Detail   string        `json:"detail"`   // one line: what it waits for, what is being done, why it failed
	Error    *Error        `json:"error"`    // set when State is failed, or waiting for an input that is wrong
	Digest   string        `json:"digest"`   // of the manifest, when ready
	Targets  []TargetState `json:"targets"`  // one per place it shall be in
	Build    string        `json:"build"`    // the running build, or the last one
	Progress []Progress    `json:"progress"` // of the running build; one per step under way
	Previous string        `json:"previous"` // the name this spec had before the last change, still where it was
	// Differs says of a ready image why its content would be another if it were built now:
	// flytekit's name does not see everything. A build makes it anew.
	Differs  []string  `json:"differs,omitempty"`
	Base     string    `json:"base,omitempty"`     // name of the image that base_image's own ImageSpec makes; it is built first
	BaseOf   string    `json:"base_of,omitempty"`  // label of the image whose base this is, when no spec but that one's base_image makes it
	NamedBy  string    `json:"named_by,omitempty"` // run: the name cannot be predicted, and is what the last run told
	Mismatch *Mismatch `json:"mismatch,omitempty"` // flytekit names it otherwise than imgspecd; then it is not built
	Warnings []Warning `json:"warnings,omitempty"` // as Build.Warnings, of the image that is ready
}

// Source says where an image spec comes from.
type Source struct {
	Kind     string `json:"kind"` // found, declared or learned
	File     string `json:"file"` // relative to the project; empty: no file holds it, a run taught it
	Line     int    `json:"line"`
	Variable string `json:"variable,omitempty"` // the name it is bound to, when it has one
}

// TargetState is how an image stands in one target.
type TargetState struct {
	Name       string    `json:"name"`  // layout, docker or registry
	State      State     `json:"state"` // queued, publishing, ready or failed; waiting: asked for, but not until requested
	Since      time.Time `json:"since"`
	Digest     string    `json:"digest,omitempty"` // what the target calls it: manifest digest, or Docker's image ID
	SentBytes  int64     `json:"sent_bytes"`
	SentLayers int       `json:"sent_layers"`
	Error      *Error    `json:"error,omitempty"`
}

// Progress is how far one step of a build is. Totals are 0 while unknown.
type Progress struct {
	Step       string `json:"step"`             // base, fetch, layers or publish
	Target     string `json:"target,omitempty"` // of publish
	Bytes      int64  `json:"bytes"`
	BytesTotal int64  `json:"bytes_total"`
	Items      int    `json:"items"`
	ItemsTotal int    `json:"items_total"`
}

// ImageList answers GET /v1/images.
type ImageList struct {
	Images []Image `json:"images"`
}

// InTarget returns the state of the named target, and whether the image has that target.
func (i Image) InTarget(name string) (TargetState, bool) {
	for _, t := range i.Targets {
		if t.Name == name {
			return t, true
		}
	}
	return TargetState{}, false
}
