package lockfile

import (
	"fmt"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

const (
	uvLockFile    = "uv.lock"
	pyprojectFile = "pyproject.toml"
)

// UV is a uv.lock together with what the project file beside it says about syncing.
type UV struct {
	revision       int64
	requiresPython string
	python         pypa.Specifiers
	supported      []pypa.Marker // [tool.uv] environments: the lock was resolved for these only; empty: for all
	conflicts      [][]conflictItem
	members        []string
	groups         map[string][]requirement // of a workspace without a project
	packages       []pkg
	byName         map[string][]int
	root           int // the project's package; -1 for a workspace without a project
	project        pyproject
}

// pkg is one [[package]].
type pkg struct {
	ident
	source source
	forks  []pypa.Marker // the resolution forks that this one is for, if there are several of its name
	deps   []dep
	extras map[string][]dep
	groups map[string][]dep
	wheels []file
	sdist  *file
	meta   bool // its declared metadata is in the lock

	declaredExtras, declaredGroups []string // of a member
	defaultGroups                  any      // of a member, as the lock has it since revision 5
	line                           int
}

// dep is an edge to another package, whose place in the lock was found already.
type dep struct {
	pkg    int
	extras []string
	marker pypa.Marker
}

// requirement is a dependency of the workspace itself, found by name and fork.
type requirement struct {
	name   string
	extras []string
	marker pypa.Marker
}

// conflictItem is one side of a declared conflict: an extra or a group of a package, or the package itself.
type conflictItem struct {
	Package string `toml:"package"`
	Extra   string `toml:"extra"`
	Group   string `toml:"group"`
}

// encoded returns the item as uv writes it in markers, where it poses as an extra.
func (c conflictItem) encoded() string {
	switch {
	case c.Extra != "":
		return fmt.Sprintf("extra-%d-%s-%s", len(c.Package), c.Package, c.Extra)
	case c.Group != "":
		return fmt.Sprintf("group-%d-%s-%s", len(c.Package), c.Package, c.Group)
	}
	return fmt.Sprintf("project-%d-%s", len(c.Package), c.Package)
}

// RequiresPython returns the lock's bounds on Python: ">=3.10".
func (u *UV) RequiresPython() string { return u.requiresPython }

// Version returns the locked version of a package, "" if the lock has none. Where the lock's forks
// have several versions, it is the highest.
func (u *UV) Version(name string) string {
	var all []string
	for _, i := range u.byName[pypa.NormalizeName(name)] {
		all = append(all, u.packages[i].version)
	}
	return highest(all)
}
