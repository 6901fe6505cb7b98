package base

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// accountFiles are those that adding a user reads or changes.
var accountFiles = []string{
	"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid",
	"/etc/login.defs", "/etc/default/useradd",
}

// ownedTrees are those that the image's user is made owner of, and what a home is made from.
var ownedTrees = []string{"/etc/skel", "/root", "/home", "/opt/micromamba"}

// venvDir is where the image's virtual environment goes. What the base has there is
// hidden as a whole, so nothing below it is needed, however big it is.
const venvDir = "/root/.venv"

func inVenv(p string) bool { return strings.HasPrefix(p, venvDir+"/") }

// runtimeDir is the environment into which the default builder puts the Python, and
// packages that no lock pins. It stays as it is: nothing is written over it.
const runtimeDir = "/opt/micromamba/envs/runtime"

// whole says that what a path belongs to is hidden or kept as a whole.
func whole(p string) bool { return inVenv(p) || strings.HasPrefix(p, runtimeDir+"/") }

// wanted says whether a file's content is needed.
func wanted(p string) bool {
	return isManifest(p) || slices.Contains(accountFiles, p) || path.Base(p) == "patchlevel.h" && !inVenv(p) || !whole(p) && slices.ContainsFunc(ownedTrees, func(root string) bool {
		return strings.HasPrefix(p, root+"/")
	})
}

// collect makes Info.Files.
func collect(t *tree) (map[string]Entry, error) {
	files := map[string]Entry{}
	var size int64
	take := func(p string, n *node) {
		if whole(p) {
			return
		}
		e := Entry{Mode: n.mode, UID: n.uid, GID: n.gid, Link: n.link}
		if n.file != nil {
			e.Content = n.file.content
			size += int64(len(e.Content))
		}
		files[p] = e
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			if d := t.at(dir); d != nil {
				files[dir] = Entry{Mode: d.mode, UID: d.uid, GID: d.gid, Link: d.link}
			}
		}
	}
	for _, p := range accountFiles {
		if n := t.at(p); n != nil {
			take(p, n)
		}
	}
	for _, p := range ownedTrees {
		if n := t.at(p); n != nil {
			take(p, n)
			n.each(p, take)
		}
	}
	for _, p := range []string{path.Dir(caBundle), "/opt"} { // where files may be added
		if n := t.at(p); n != nil && n.mode.Type() == fs.ModeDir {
			take(p, n)
		}
	}
	if size > maxContent {
		return nil, fmt.Errorf("the base holds %d MiB in /root, /home and /opt/micromamba, whose owner the image changes; "+
			"more than %d MiB is unsupported: move data elsewhere", size>>20, maxContent>>20)
	}
	return files, nil
}
