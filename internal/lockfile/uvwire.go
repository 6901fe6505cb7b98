package lockfile

// The types of this file are uv.lock as it is written. Keys that do not decide what is installed are left out:
// options, metadata, upload times.

type wireLock struct {
	Version          *int64           `toml:"version"`
	Revision         int64            `toml:"revision"`
	RequiresPython   string           `toml:"requires-python"`
	SupportedMarkers []string         `toml:"supported-markers"`
	Conflicts        [][]conflictItem `toml:"conflicts"`
	Manifest         wireManifest     `toml:"manifest"`
	Packages         []wirePackage    `toml:"package"`
	Distributions    []wirePackage    `toml:"distribution"` // what uv before 0.3 called packages
}

type wireManifest struct {
	Members       []string                     `toml:"members"`
	DefaultGroups any                          `toml:"default-groups"` // since revision 5
	Groups        map[string][]wireRequirement `toml:"dependency-groups"`
}

type wireRequirement struct {
	Name   string   `toml:"name"`
	Extras []string `toml:"extras"`
	Marker string   `toml:"marker"`
}

type wirePackage struct {
	Name      string               `toml:"name"`
	Version   string               `toml:"version"`
	Source    source               `toml:"source"`
	Forks     []string             `toml:"resolution-markers"`
	Deps      []wireDep            `toml:"dependencies"`
	Extras    map[string][]wireDep `toml:"optional-dependencies"`
	Dev       map[string][]wireDep `toml:"dev-dependencies"`
	DevGroups map[string][]wireDep `toml:"dependency-groups"` // another name for dev-dependencies
	Wheels    []file               `toml:"wheels"`
	Sdist     *file                `toml:"sdist"`
	Metadata  *wireMetadata        `toml:"metadata"`

	DefaultGroups any `toml:"default-groups"` // since revision 5
}

// wireMetadata is what a package declares. Its extras and groups are also named here if they are empty.
type wireMetadata struct {
	Extras []string       `toml:"provides-extras"`
	Groups map[string]any `toml:"requires-dev"`
}

type wireDep struct {
	Name    string   `toml:"name"`
	Version string   `toml:"version"`
	Source  source   `toml:"source"`
	Extra   []string `toml:"extra"`
	Marker  string   `toml:"marker"`
}

// source is where a package comes from: exactly one field but Subdirectory is set.
type source struct {
	Registry     string `toml:"registry"` // URL, or path of a flat index
	Git          string `toml:"git"`      // URL with ?rev=…&subdirectory=…#commit
	URL          string `toml:"url"`
	Subdirectory string `toml:"subdirectory"` // in the archive of URL
	Path         string `toml:"path"`         // an archive
	Directory    string `toml:"directory"`
	Editable     string `toml:"editable"` // a directory that is installed as a link
	Virtual      string `toml:"virtual"`  // a directory that is not installed at all
}

// tree returns the directory of a source that is one.
func (s source) tree() (string, bool) {
	for _, dir := range [...]string{s.Directory, s.Editable, s.Virtual} {
		if dir != "" {
			return dir, true
		}
	}
	return "", false
}

// file is a wheel or a source distribution.
type file struct {
	URL      string `toml:"url"`
	Path     string `toml:"path"`     // in the flat index
	Filename string `toml:"filename"` // of a wheel locked by path
	Hash     string `toml:"hash"`
	Size     int64  `toml:"size"`
}

// defaultGroups returns the groups that the lock itself says are synced by default.
func (w *wireLock) defaultGroups(root int) any {
	if root < 0 {
		return w.Manifest.DefaultGroups
	}
	return w.Packages[root].DefaultGroups
}
