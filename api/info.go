package api

import "time"

// Info is what the daemon says of itself (GET /v1/info).
type Info struct {
	Version   string       `json:"version"`
	API       string       `json:"api"`
	PID       int          `json:"pid"`
	StartedAt time.Time    `json:"started_at"`
	Socket    string       `json:"socket"`
	StateDir  string       `json:"state_dir"`
	Projects  int          `json:"projects"`
	Images    int          `json:"images"`
	Ready     int          `json:"ready"`
	RSS       int64        `json:"rss"` // resident memory; 0 where it cannot be known
	Targets   []TargetInfo `json:"targets"`
	TakeOver  []string     `json:"take_over,omitempty"` // builders of flytekit that a plug-in shall serve too
}

// TargetInfo is one place images can be ready in.
type TargetInfo struct {
	Name    string `json:"name"`              // layout, docker, registry; cache: where a team shares layers
	Address string `json:"address,omitempty"` // directory, or the engine's address
	Version string `json:"version,omitempty"` // of the engine
	Policy  string `json:"policy,omitempty"`  // of the registry: always, on-request, never; of the cache: read-write, read-only
	Error   *Error `json:"error,omitempty"`   // why it cannot be used now
}
