package index

// File is one file to have on disk: what a lock pins, as far as a download cares.
type File struct {
	URL      string
	Filename string
	Hash     string // "sha256:<hex>"
	Size     int64  // 0: unknown
}
