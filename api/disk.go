package api

// Disk is what the state directory holds (GET /v1/disk).
type Disk struct {
	Dir   string     `json:"dir"`
	Kinds []DiskKind `json:"kinds"`
}

// DiskKind is one kind of what lies there. What is not current, prune removes.
type DiskKind struct {
	Kind        string `json:"kind"` // names, layers, blobs, wheels, bytecode, logs, records
	Count       int    `json:"count"`
	Size        int64  `json:"size"`
	Current     int    `json:"current"`
	CurrentSize int64  `json:"current_size"`
}

// Prune asks to remove what no image under watch needs (POST /v1/prune).
type Prune struct {
	DryRun bool `json:"dry_run,omitempty"` // only say what would go
}

// Pruned is what was removed, or would be.
type Pruned struct {
	DryRun bool    `json:"dry_run"`
	Freed  []Freed `json:"freed"`
	Size   int64   `json:"size"` // of all
}

// Freed is what was removed of one kind.
type Freed struct {
	Kind  string `json:"kind"` // as in DiskKind
	Count int    `json:"count"`
	Size  int64  `json:"size"`
}
