package api

import "encoding/json"

// Variable is an environment variable that a project's specs read. Its value is not told:
// what it decides stands in the specs.
type Variable struct {
	Name string `json:"name"`
	From string `json:"from"` // shell, option, setting, unset or unrecorded
}

// Where the value of a Variable comes from; the later of the first three wins.
const (
	FromShell      = "shell"      // of the shell that ran `imgspecd watch`
	FromSetting    = "setting"    // env in the project's settings
	FromOption     = "option"     // --env of `imgspecd watch`
	FromUnset      = "unset"      // in that shell, and nothing else sets it
	FromUnrecorded = "unrecorded" // no shell was asked for it: it counts as unset
)

// Change is what differs between an image and the one that its spec had before.
type Change struct {
	From     string          `json:"from"`              // name of the one before; of an image that only its content differs from, its own name
	Because  []string        `json:"because,omitempty"` // what gave it another name, in words
	Fields   []FieldChange   `json:"fields,omitempty"`  // of the spec, as far as flytekit hashes them
	Files    []FileChange    `json:"files,omitempty"`   // those that enter the name
	Unseen   []string        `json:"unseen,omitempty"`  // edits that flytekit's name does not see, in words
	Packages []PackageChange `json:"packages"`          // null: the packages of one of the two are not known
}

// FieldChange is a field of a spec; empty where it was not given.
type FieldChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before,omitempty"`
	Now    json.RawMessage `json:"now,omitempty"`
}

// FileChange is a file by its sha256; empty where it is not there.
type FileChange struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	Now    string `json:"now,omitempty"`
}

// PackageChange is a package by its version; empty where it is not in the image.
type PackageChange struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	Now    string `json:"now,omitempty"`
}
