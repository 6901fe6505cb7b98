package api

import "time"

// Project is a directory under watch.
type Project struct {
	ID         string            `json:"id"`   // short, stable: made from the directory
	Name       string            `json:"name"` // the directory's base name, made unique among the watched projects
	Dir        string            `json:"dir"`  // absolute, symlinks resolved
	Env        map[string]string `json:"env,omitempty"`
	AddedAt    time.Time         `json:"added_at"`
	Flytekit   string            `json:"flytekit,omitempty"`        // version that names its images
	FlytekitBy string            `json:"flytekit_source,omitempty"` // where that version was read: venv, lock, config or default
	Images     int               `json:"images"`                    // image specs that could be read
	Unreadable []Unreadable      `json:"unreadable,omitempty"`      // image specs that could not
	Variables  []Variable        `json:"variables,omitempty"`       // environment variables that its specs read
	Watched    []string          `json:"watched,omitempty"`         // files whose change matters
	Error      *Error            `json:"error,omitempty"`           // why the project as a whole cannot be read
}

// Unreadable is an ImageSpec that cannot be known without running the user's code.
type Unreadable struct {
	File   string `json:"file"` // relative to the project
	Line   int    `json:"line"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// AddProject asks the daemon to watch a directory (POST /v1/projects). Adding it twice is not an error.
// What it leaves out stays as it was.
type AddProject struct {
	Dir   string             `json:"dir"`
	Env   map[string]string  `json:"env,omitempty"` // set by hand
	Shell map[string]*string `json:"shell"`         // the variables that the specs read, as the user's shell has them; null: it has not
	// Look asks what the project holds and which variables its specs read, with this
	// environment; nothing is put under watch.
	Look bool `json:"look,omitempty"`
}

// ProjectList answers GET /v1/projects.
type ProjectList struct {
	Projects []Project `json:"projects"`
}
