package api

import (
	"encoding/json"
	"time"
)

// PutSpec teaches the daemon an image spec that a run asked for (PUT /v1/specs). It
// is answered with the Image that the spec now has. The same spec in the same
// directory replaces what was known of it.
type PutSpec struct {
	Spec     json.RawMessage `json:"spec"`     // ImageSpec's keyword arguments, as flytekit holds them when it computes the tag
	Dir      string          `json:"dir"`      // working directory of the run; absolute
	Flytekit string          `json:"flytekit"` // version that ran
	Name     string          `json:"name"`     // image_name(), tag and id as flytekit itself computed them
	Tag      string          `json:"tag"`
	ID       string          `json:"id"`
	Machine  string          `json:"machine,omitempty"` // platform.machine(); default: the daemon's
	Builder  string          `json:"builder,omitempty"` // the registered builder of highest priority; only flytekit 1.15.1 and 1.15.2 hash it
	Modules  []string        `json:"modules,omitempty"` // files of the loaded modules below source_root, absolute: with them a tag of LOADED_MODULES can be followed
}

// Mismatch is a spec that flytekit names otherwise than imgspecd: both names, and
// all that imgspecd's was made from.
type Mismatch struct {
	Name     string    `json:"name"` // flytekit's
	Tag      string    `json:"tag"`
	ID       string    `json:"id"`
	Flytekit string    `json:"flytekit"`
	Ours     string    `json:"ours"` // imgspecd's; empty when it has none, and Reason says why
	OursID   string    `json:"ours_id"`
	Hashed   string    `json:"hashed"` // the text whose MD5 is imgspecd's tag
	Inputs   []Input   `json:"inputs,omitempty"`
	Reason   string    `json:"reason"` // in which half of the name they differ
	At       time.Time `json:"at"`
}
