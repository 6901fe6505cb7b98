package lockfile

// Artifact is one pinned file of a lock: a wheel, or an sdist that must become one.
type Artifact struct {
	Name     string // normalised (PEP 503)
	Version  string // as the lock writes it
	Filename string
	URL      string // where it is downloaded; empty when Path is set
	// Index is, where there is neither URL nor Path, the simple index that has the file by Filename and Hash; empty for PyPI.
	// poetry.lock has names and hashes only.
	Index string
	Path  string // a file on this machine, relative to the lock's directory, when it is not downloaded
	Hash  string // "sha256:<hex>"; empty only where the lock has none
	Size  int64  // bytes; 0 where the lock does not say
	Built bool   `json:",omitempty"` // a wheel that was built of what the lock pins
	Sdist bool   // must be built before it can be installed; then Source and Reason are set
	// Direct is set for a package that was locked by URL or path rather than found
	// in an index: the installer then writes direct_url.json (PEP 610).
	Direct *Direct
	// Source says, for an Sdist, what it is built from and why, for programs; Reason says why no wheel serves, for people.
	Source *Source `json:",omitempty"`
	Reason string
}

// WithoutLogin returns the artifact with no user and no password in its addresses, as it may be kept and shown. To be fetched, it
// needs them from elsewhere.
func (a Artifact) WithoutLogin() Artifact {
	a.URL, a.Index = withoutLogin(a.URL), withoutLogin(a.Index)
	if a.Source != nil {
		s := *a.Source
		s.Repository = withoutLogin(s.Repository)
		a.Source = &s
	}
	return a
}

// Direct is the origin of a package as direct_url.json records it.
type Direct struct {
	URL      string
	Hash     string
	Editable bool
	// Of a repository: what was asked for, what it was, and where in it the project lies.
	Commit       string `json:",omitempty"`
	Requested    string `json:",omitempty"`
	Subdirectory string `json:",omitempty"`
}
