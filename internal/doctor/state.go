package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imgspecd/imgspecd/api"
)

// Below this much free space a build of ordinary size is in danger.
const (
	littleSpace = 10_000_000_000
	noSpace     = 1_000_000_000
)

// stateParts are the directories between which files are renamed.
var stateParts = []string{"tmp", "blobs", "wheels", "logs"}

// state looks at the directory that everything is kept in.
func state(_ context.Context, d Deps) []api.Check {
	const a = area("state")
	dir, exists := existing(d.StateDir)
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return []api.Check{a.fail("give "+dir+" to yourself (chown), or name another --state-dir", "%s cannot be written to: %v", dir, err)}
	}
	var fsys unix.Statfs_t
	if err := unix.Statfs(dir, &fsys); err != nil {
		return []api.Check{a.fail("", "%s: %v", dir, err)}
	}
	free := uint64(fsys.Bavail) * uint64(fsys.Bsize) //nolint:gosec,unconvert // neither is negative; the types differ by system
	where := d.StateDir
	if !exists {
		where += " (not made yet)"
	}
	c := a.ok("%s free in %s", size(free), where)
	switch {
	case free < noSpace:
		c = a.fail("free some space, or name another state_dir", "%s free in %s", size(free), where)
	case free < littleSpace:
		c = a.warn("free some space, or name another state_dir", "only %s free in %s", size(free), where)
	}
	out := []api.Check{c}
	if kind := networkFS(&fsys); kind != "" {
		out = append(out, a.warn("name a state_dir on a local disk", "%s is on %s, where locks and renames may not hold", dir, kind))
	}
	if other := elsewhere(d.StateDir); len(other) > 0 {
		out = append(out, a.fail("keep the state directory on one file system: files are finished by renaming them", "%s of it is on another file system", strings.Join(other, ", ")))
	}
	return out
}

// existing returns a directory, or the closest one above it that is there.
func existing(dir string) (string, bool) {
	exists := true
	for {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir, exists
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir, exists
		}
		dir, exists = up, false
	}
}

// elsewhere lists the parts of a state directory that lie on another file system than the first one that is there.
func elsewhere(dir string) (other []string) {
	var first uint64
	for i, part := range append([]string{"."}, stateParts...) {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(dir, part), &st) != nil {
			continue
		}
		dev := uint64(st.Dev) //nolint:gosec,unconvert // the type differs by system
		if i == 0 {
			first = dev
		} else if dev != first {
			other = append(other, part)
		}
	}
	return other
}

// socket looks at the daemon's door: nobody else may open it.
func socket(_ context.Context, d Deps) []api.Check {
	const a = area("socket")
	st, err := os.Stat(d.Socket)
	if errors.Is(err, fs.ErrNotExist) {
		return []api.Check{a.ok("%s is made when the daemon starts", d.Socket)}
	}
	if err != nil {
		return []api.Check{a.fail("", "%v", err)}
	}
	dir, err := os.Stat(filepath.Dir(d.Socket))
	if err != nil {
		return []api.Check{a.fail("", "%v", err)}
	}
	mode, above := st.Mode().Perm(), dir.Mode().Perm()
	switch {
	case st.Mode().Type() != fs.ModeSocket:
		return []api.Check{a.fail("remove it, or name another --socket", "%s is no socket", d.Socket)}
	case above&0o077 != 0 && mode&0o077 != 0:
		return []api.Check{a.fail("chmod 700 "+filepath.Dir(d.Socket), "%s (%04o) may be opened by other users", d.Socket, mode)}
	}
	return []api.Check{a.ok("%s (%04o in %04o), yours alone", d.Socket, mode, above)}
}
