package api

import "time"

// Build is one attempt to make one image ready in its targets.
type Build struct {
	ID      string        `json:"id"`
	Image   string        `json:"image"`   // the image's full name
	Label   string        `json:"label"`   // Image.Label at the time
	Project string        `json:"project"` // Project.ID
	State   State         `json:"state"`
	Cause   string        `json:"cause"` // why it was started: "uv.lock changed", "asked for", ...
	Created time.Time     `json:"created"`
	Started *time.Time    `json:"started,omitempty"`
	Ended   *time.Time    `json:"ended,omitempty"`
	Detail  string        `json:"detail,omitempty"` // why it ended as it did, e.g. what superseded it
	Error   *Error        `json:"error,omitempty"`
	Digest  string        `json:"digest,omitempty"`
	Targets []TargetState `json:"targets,omitempty"`
	Stats   Stats         `json:"stats"`
	// Warnings are what is doubtful in the image, though it was built.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Warning is something doubtful about one file of a package.
type Warning struct {
	Package string `json:"package"`        // name and version
	File    string `json:"file,omitempty"` // its path in the image; empty: the reason is about several
	Reason  string `json:"reason"`
}

// String is the warning in one line.
func (w Warning) String() string {
	if w.File == "" {
		return w.Package + ": " + w.Reason
	}
	return w.Package + ": " + w.File + ": " + w.Reason
}

// Stats counts what a build cost.
type Stats struct {
	Packages       int   `json:"packages"`
	Layers         int   `json:"layers"` // on top of the base
	LayersMade     int   `json:"layers_made"`
	LayersShared   int   `json:"layers_shared"` // taken from the team cache
	SharedBytes    int64 `json:"shared_bytes"`  // of those, compressed; they pass through this machine only where a target needs them from here
	Fetched        int   `json:"fetched"`       // wheels downloaded
	FetchedBytes   int64 `json:"fetched_bytes"`
	InstalledBytes int64 `json:"installed_bytes"` // uncompressed bytes of the layers made
	SentBytes      int64 `json:"sent_bytes"`      // to all targets but the layout
	ReadMS         int64 `json:"read_ms"`         // lock and base
	BuildMS        int64 `json:"build_ms"`        // fetch and layers
	PublishMS      int64 `json:"publish_ms"`
	TotalMS        int64 `json:"total_ms"`
}

// StartBuild asks for a build (POST /v1/builds): of one image by Image, or of all of a project by Dir.
type StartBuild struct {
	Image   string `json:"image,omitempty"`   // name, label, tag or ID
	Dir     string `json:"dir,omitempty"`     // a directory in or above which a project is watched
	Refresh bool   `json:"refresh,omitempty"` // resolve anew what is not pinned, execute apt and conda anew, and build that
	Force   bool   `json:"force,omitempty"`   // build even what is ready; layers that exist are still reused
	Push    bool   `json:"push,omitempty"`    // publish to the registry even if the policy is on-request
}

// BuildList answers GET and POST /v1/builds; newest first.
type BuildList struct {
	Builds []Build `json:"builds"`
	// Images are those that needed no build, being ready already, or that cannot have one (POST only).
	Images []Image `json:"images,omitempty"`
}
