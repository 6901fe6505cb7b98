package doctor

import (
	"bytes"
	"context"

	"golang.org/x/sys/unix"

	"github.com/imgspecd/imgspecd/api"
)

// networkFS names a file system that lies on another machine.
func networkFS(s *unix.Statfs_t) string {
	if s.Flags&unix.MNT_LOCAL != 0 {
		return ""
	}
	name := make([]byte, 0, len(s.Fstypename))
	for _, c := range s.Fstypename {
		name = append(name, byte(c))
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	return string(name)
}

// watches tells what is not watched: this system has no limit to look at but that on open files.
func watches(_ context.Context, d Deps) []api.Check {
	const a = area("watch")
	if d.Watching == nil {
		return nil
	}
	if err := d.Watching(); err != nil {
		return []api.Check{a.warn("", "some inputs are looked at every few seconds instead: %v", err)}
	}
	return []api.Check{a.ok("file events are had for all inputs")}
}
