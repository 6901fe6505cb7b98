package wheel

import "io/fs"

// Compression methods of zip entries that a wheel may use.
const (
	Stored   uint16 = 0
	Deflated uint16 = 8
)

// File is one path that a wheel installs: a file whose content is generated (Data
// is not nil, though it may be empty) or is an entry of the archive (Data is nil),
// or an empty directory (Mode.IsDir).
type File struct {
	Path  string // absolute in the image
	Mode  fs.FileMode
	Size  int64
	CRC   uint32 // of the content; of entries only
	Hash  string // of the content as RECORD has it (sha256=<base64url>), or empty; of entries only
	Data  []byte
	Entry Entry
	// Mismatch is set for a script that is installed rewritten and is not in the archive
	// what RECORD says. Of other entries whoever reads them finds out.
	Mismatch *Mismatch
}

// Mismatch is a hash that RECORD gives, and the one that the content has.
type Mismatch struct {
	Want string
	Got  string // in Want's algorithm; empty where that algorithm proves nothing
}

// Entry is where in the archive a file's raw stream lies.
type Entry struct {
	Method         uint16 // Stored or Deflated
	Offset         int64
	CompressedSize int64
}

// Options is what the installer knows about a package beyond its wheel.
type Options struct {
	// Requested writes REQUESTED. uv sets it for every package it installs, those
	// that nobody asked for by name too.
	Requested bool
	// Built says that the wheel was built by uv, which then writes the settings of the build to uv_build.json.
	Built bool
	// Direct writes direct_url.json (PEP 610).
	Direct *Direct
}

// Direct is the origin of a package that was not found in an index.
type Direct struct {
	URL      string
	Hash     string // uv does not write it; kept for those that will
	Editable bool
	// Of a git repository: the commit, what was asked for (may be empty), and the project's directory in it.
	Commit       string
	Requested    string
	Subdirectory string
}

// Limits bound what a wheel may ask for before anything of it is inflated.
type Limits struct {
	Entries   int   // in the central directory
	Installed int64 // sum of the entries' sizes
	Ratio     int64 // Installed over the archive's own size, above RatioFrom
	RatioFrom int64
	PathLen   int   // bytes of an entry's name
	NameLen   int   // bytes of one component
	Depth     int   // components
	Metadata  int64 // of one file of .dist-info or script that must be read whole
}

// DefaultLimits lets every wheel through that people publish: the biggest hold
// some 4 GB, 30,000 files, and expand less than 20 times.
func DefaultLimits() Limits {
	return Limits{
		Entries: 200_000, Installed: 32 << 30, Ratio: 200, RatioFrom: 64 << 20,
		PathLen: 1024, NameLen: 255, Depth: 64, Metadata: 64 << 20,
	}
}
