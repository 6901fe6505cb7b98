package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imgspecd/imgspecd/api"
)

// networkFS names a file system that lies on another machine, or may. The numbers are from statfs(2).
func networkFS(s *unix.Statfs_t) string {
	switch uint32(s.Type) { //nolint:gosec // a magic number of 32 bits
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, 0xff534d42, 0xfe534d42:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9P"
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	}
	return ""
}

// watches looks at the kernel's limits on file events, which all programs of a user share.
func watches(_ context.Context, d Deps) []api.Check {
	const a = area("watch")
	var out []api.Check
	if d.Watching != nil {
		if err := d.Watching(); err != nil {
			out = append(out, a.warn("", "some inputs are looked at every few seconds instead: %v", err))
		}
	}
	limit, err1 := limitOf("max_user_watches")
	instances, err2 := limitOf("max_user_instances")
	if err1 != nil || err2 != nil {
		return out // not every kernel tells
	}
	used, usedInstances := inotify(os.Getuid())
	out = append(out, share(a, "inotify watches", "fs.inotify.max_user_watches", used, limit),
		share(a, "inotify instances", "fs.inotify.max_user_instances", usedInstances, instances))
	return out
}

// share tells of a limit and what is used of it.
func share(a area, what, key string, used, limit int) api.Check {
	text := fmt.Sprintf("%d of %d %s used", used, limit, what)
	if used*5 > limit*4 {
		return a.warn(fmt.Sprintf("sudo sysctl %s=%d", key, limit*4), "%s: programs that need more see no changes", text)
	}
	return a.ok("%s", text)
}

func limitOf(name string) (int, error) {
	b, err := os.ReadFile("/proc/sys/fs/inotify/" + name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// inotify counts the watches and instances of a user's processes.
func inotify(uid int) (watches, instances int) {
	infos, err := filepath.Glob("/proc/[0-9]*/fdinfo")
	if err != nil {
		return 0, 0
	}
	for _, dir := range infos {
		var st unix.Stat_t
		if unix.Stat(filepath.Dir(dir), &st) != nil || int(st.Uid) != uid {
			continue
		}
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(filepath.Dir(dir), "fd", fd.Name()))
			if err != nil || link != "anon_inode:inotify" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, fd.Name()))
			if err != nil {
				continue
			}
			instances++
			watches += bytes.Count(b, []byte("inotify wd:"))
		}
	}
	return watches, instances
}
