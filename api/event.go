package api

import "time"

// Event is one thing that happened (GET /v1/events, NDJSON). Exactly one of the
// pointers is set, that which Kind names; Kind "hello" opens each stream, and
// "gap" says that events before it were lost and a client must read anew.
type Event struct {
	Seq     uint64    `json:"seq"` // grows by one; resume with ?since=SEQ
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // hello, gap, project, image, build, removed
	Project *Project  `json:"project,omitempty"`
	Image   *Image    `json:"image,omitempty"`
	Build   *Build    `json:"build,omitempty"`
	Removed string    `json:"removed,omitempty"` // label of an image, or ID of a project, that is no more
}
