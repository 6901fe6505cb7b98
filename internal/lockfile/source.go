package lockfile

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Source is what a package that has to be built is built from: all that a lock says of it, taken apart. Nothing in it is a guess; what
// a lock leaves out is empty.
type Source struct {
	Kind  SourceKind
	Cause Cause

	// Repository and Commit are set for FromGit. Repository is the address that git clones: https://…, ssh://…, file:///… or user@host:path.
	Repository string
	Commit     string // all of it; what the lock was made from
	Requested  string // the branch, tag or revision that was asked for, for people
	LFS        bool   // files kept by git-lfs are wanted

	// Dir is set for FromDirectory: a path on this machine, absolute or relative to the lock's directory.
	Dir string
	// Editable says that what is installed is a link to the directory: a change of its files needs no new build.
	Editable bool

	// Subdirectory is where in the repository or the archive the project lies; empty: at its top. That of a directory is part of Dir.
	Subdirectory string
}

// SourceKind is what a package is built from.
type SourceKind string

// The kinds. An archive is found as a wheel would be: by URL, Path, or Index and Filename, with its Hash.
const (
	FromArchive   SourceKind = "archive" // a source distribution of an index, or an archive that was locked by URL or path
	FromGit       SourceKind = "git"
	FromDirectory SourceKind = "directory"
)

// Cause is why no wheel serves.
type Cause string

// The causes.
const (
	NotAWheel     Cause = "locked as a source" // from git, a directory or a source archive
	NoWheel       Cause = "no wheel"           // the package has none at all
	NoWheelFits   Cause = "no wheel fits"      // it has some, for other environments
	WheelsRefused Cause = "wheels not allowed" // a setting says that it is built: no-binary
)

// build makes a an artifact that has to be built.
func (a *Artifact) build(reason string, s Source) {
	a.Sdist, a.Reason, a.Source = true, reason, &s
}

// gitSource takes apart the address of a git source as uv.lock has it: URL?rev=…&subdirectory=…#commit.
func gitSource(address string) Source {
	s := Source{Kind: FromGit, Cause: NotAWheel}
	address, s.Commit, _ = strings.Cut(address, "#")
	var query string
	if at := strings.LastIndexByte(address, '?'); at >= 0 {
		address, query = address[:at], address[at+1:]
	}
	s.Repository = strings.TrimPrefix(address, "git+")
	// A query that is not one says nothing; the commit alone decides.
	values, _ := url.ParseQuery(query)
	s.Subdirectory = values.Get("subdirectory")
	s.LFS = values.Get("lfs") == "true"
	for _, key := range [...]string{"rev", "tag", "branch"} {
		if v := values.Get(key); v != "" {
			s.Requested = v
		}
	}
	return s
}

// direct is the origin of a git source.
func (s Source) direct() *Direct {
	return &Direct{URL: withoutLogin(s.Repository), Commit: s.Commit, Requested: s.Requested, Subdirectory: s.Subdirectory}
}

var login = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*://)([^/?#@]*)@`)

// withoutLogin takes user and password out of an address, as uv does before it notes one in direct_url.json. What ssh needs to get in stays.
func withoutLogin(address string) string {
	if m := login.FindStringSubmatch(address); m == nil || m[2] == "git" {
		return address
	}
	return login.ReplaceAllString(address, "$1")
}

// archiveSource is an archive; one that was locked by its address may hold the project in a subdirectory.
func archiveSource(cause Cause, subdirectory string) Source {
	return Source{Kind: FromArchive, Cause: cause, Subdirectory: subdirectory}
}

func directorySource(dir string, editable bool) Source {
	return Source{Kind: FromDirectory, Cause: NotAWheel, Dir: path.Clean(dir), Editable: editable}
}

// lacksWheel is the cause where a package of an index is to be built.
func lacksWheel(wheels []string) Cause {
	if len(wheels) == 0 {
		return NoWheel
	}
	return NoWheelFits
}
