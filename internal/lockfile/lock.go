package lockfile

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Lock is what a lock can be asked, whoever wrote it.
type Lock interface {
	// Select returns what the lock's own tool installs in an environment, sorted by name. The project itself is not in it.
	Select(env pypa.Environment, choice Choice) ([]Artifact, error)
	// RequiresPython returns the lock's bounds on Python as it writes them, "" if it has none.
	RequiresPython() string
	// Version returns the locked version of a package, "" if it is not there; of several the highest.
	Version(pkg string) string
}

// Format is a kind of file that says what to install.
type Format string

// The formats. Those that are not locks have to be resolved.
const (
	FormatUV           Format = "uv.lock"
	FormatPoetry       Format = "poetry.lock"
	FormatPylock       Format = "pylock.toml"
	FormatPyproject    Format = "pyproject.toml"   // not a lock: what it asks for has to be resolved
	FormatRequirements Format = "requirements.txt" // nor is this, even with every version pinned: what those depend on may be missing
)

// IsLock reports whether files of the format pin everything, so that Parse reads them.
func (f Format) IsLock() bool { return f == FormatUV || f == FormatPoetry || f == FormatPylock }

var pylockName = regexp.MustCompile(`^pylock\.([^.]+\.)?toml$`)

// Kind returns the format of a file by its name alone, as flytekit does. A name that means nothing else is that of a requirements file.
func Kind(filename string) Format {
	switch base := path.Base(filename); {
	case base == uvLockFile:
		return FormatUV
	case base == poetryLockFile:
		return FormatPoetry
	case base == pyprojectFile:
		return FormatPyproject
	case pylockName.MatchString(base):
		return FormatPylock
	}
	return FormatRequirements
}

// Parse reads a lock by the kind of its file name. The pyproject.toml beside it may be nil where the format does without.
func Parse(filename string, lock, pyproject []byte) (Lock, error) {
	switch Kind(filename) {
	case FormatUV:
		return ParseUV(lock, pyproject)
	case FormatPoetry:
		return ParsePoetry(lock, pyproject)
	case FormatPylock:
		return ParsePylock(path.Base(filename), lock)
	}
	return nil, fmt.Errorf("%s is not a lock", strings.TrimSpace(filename))
}

var _ = [...]Lock{(*UV)(nil), (*Poetry)(nil), (*Pylock)(nil)}
