package api

import "encoding/json"

// Explain asks what an image is made of, without building it (POST /v1/explain):
// of a watched project's spec by Image, or of Spec evaluated in Dir.
type Explain struct {
	Image    string          `json:"image,omitempty"`    // name, label, tag or ID
	Spec     json.RawMessage `json:"spec,omitempty"`     // ImageSpec's keyword arguments
	Dir      string          `json:"dir,omitempty"`      // working directory that relative paths of Spec start at
	Flytekit string          `json:"flytekit,omitempty"` // version that names it; default: the project's, else the newest known
}

// Explanation is an image spec, its name and what went into it, and its plan.
type Explanation struct {
	Name      string          `json:"name"` // flytekit's image_name()
	Tag       string          `json:"tag"`
	ID        string          `json:"id"`
	Flytekit  string          `json:"flytekit"` // version whose rule was used
	Source    *Source         `json:"source,omitempty"`
	Spec      json.RawMessage `json:"spec"`             // the fields that are set
	Hashed    string          `json:"hashed"`           // the text whose MD5 is the tag
	Inputs    []Input         `json:"inputs,omitempty"` // files that were read
	Previous  string          `json:"previous,omitempty"`
	Mismatch  *Mismatch       `json:"mismatch,omitempty"`  // flytekit's name is Name; Hashed and Inputs are what imgspecd's was made from
	Variables []Variable      `json:"variables,omitempty"` // environment variables that the spec read
	Change    *Change         `json:"change,omitempty"`    // against Previous, or what the image was built from
	Differs   []string        `json:"differs,omitempty"`   // as Image.Differs
	Base      *BaseInfo       `json:"base,omitempty"`
	Packages  []Package       `json:"packages,omitempty"`
	Steps     []Step          `json:"steps,omitempty"`     // what is executed, in order
	Layers    []Layer         `json:"layers,omitempty"`    // on top of the base, lowest first
	Platforms []PlatformPlan  `json:"platforms,omitempty"` // where there are several, all; Base, Packages, Steps and Layers are the first's
	Env       []string        `json:"env,omitempty"`
	Notes     []string        `json:"notes,omitempty"`      // differences that flytekit's name does not see, remarks
	PlanError *Error          `json:"plan_error,omitempty"` // why there is a name but no plan
}

// PlatformPlan is the image for one of several platforms. A layer that several images have has the same key in each.
type PlatformPlan struct {
	Base     *BaseInfo `json:"base"` // which says the platform
	Packages []Package `json:"packages,omitempty"`
	Steps    []Step    `json:"steps,omitempty"`
	Layers   []Layer   `json:"layers,omitempty"`
}

// Input is a file that an image's name or content depends on.
type Input struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`         // sha256
	Named  bool   `json:"named"`          // it enters the tag
	Mode   string `json:"mode,omitempty"` // of a file that is copied into the image, e.g. 0644: flytekit's name does not see it
}

// BaseInfo is a base image and what is in it.
type BaseInfo struct {
	Ref      string `json:"ref"`
	Digest   string `json:"digest"`
	From     string `json:"from"` // registry, layout or docker; nested: an ImageSpec of its own, whose name Ref is
	Platform string `json:"platform"`
	Python   string `json:"python"` // full version
	Libc     string `json:"libc"`   // e.g. glibc 2.36
	Layers   int    `json:"layers"`
}

// Package is one pinned package of a plan.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	File    string `json:"file"`
	Size    int64  `json:"size"`  // of the wheel; 0 where the lock does not say
	Layer   int    `json:"layer"` // index in Layers
}

// Step is something that is executed in a container to make an image.
type Step struct {
	Kind  string `json:"kind"` // apt, conda, wheel or commands
	Title string `json:"title"`
	Done  bool   `json:"done"` // what it leaves is kept: a build would not execute it again
}

// Layer is one layer of a plan. Digest and sizes are known only if it exists.
type Layer struct {
	Title    string   `json:"title"`
	Kind     string   `json:"kind"` // system, venv, packages or files
	Key      string   `json:"key"`
	Exists   bool     `json:"exists"`
	Shared   bool     `json:"shared,omitempty"` // it is in the team cache, and not here
	Digest   string   `json:"digest,omitempty"`
	Size     int64    `json:"size"` // compressed; an estimate from the lock while it does not exist
	Packages []string `json:"packages,omitempty"`
}
