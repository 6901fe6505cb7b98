package plan

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
)

// tree is the part of the image's file system that a plan writes to: at first as
// the base has it, then with every change. Changes gather until layer takes them.
type tree struct {
	files   map[string]File
	changed map[string]bool
	notes   []string
}

func newTree(files map[string]base.Entry) *tree {
	t := &tree{files: make(map[string]File, len(files)), changed: map[string]bool{}}
	for p, e := range files {
		t.files[p] = File{Path: p, Mode: e.Mode, Owner: Owner{e.UID, e.GID}, Link: e.Link, Data: e.Content}
	}
	return t
}

// content returns a regular file's bytes.
func (t *tree) content(p string) ([]byte, bool) {
	f, ok := t.files[p]
	if !ok || !f.Mode.IsRegular() {
		return nil, false
	}
	return f.Data, true
}

// put writes a file, and the directories above it where there are none.
func (t *tree) put(f File) {
	t.above(f.Path)
	t.files[f.Path] = f
	t.changed[f.Path] = true
}

// remove takes a path away, with all below it.
func (t *tree) remove(p string) {
	for _, below := range t.under(p) {
		delete(t.files, below)
		delete(t.changed, below)
	}
	t.put(File{Path: p, Gone: true})
}

// above makes the missing directories over a path, as root would.
func (t *tree) above(p string) {
	for _, d := range parents(p) {
		if _, ok := t.files[d]; !ok {
			// Not marked as changed: where a change below needs it, layer lists it.
			t.files[d] = File{Path: d, Mode: fs.ModeDir | 0o755}
		}
	}
}

// edit replaces a file's content; a new one gets the mode and owner given.
func (t *tree) edit(p string, data []byte, mode fs.FileMode, owner Owner) {
	f, ok := t.files[p]
	if !ok {
		f = File{Path: p, Mode: mode, Owner: owner}
	}
	f.Data = data
	t.put(f)
}

// under lists what lies below dir, and dir, in order.
func (t *tree) under(dir string) []string {
	var paths []string
	for p := range t.files {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// chown is `chown -R user dir`: the group stays, and so do symlinks' targets. The
// kernel takes set-id bits off a file that changes hands. What is late keeps its owner.
func (t *tree) chown(dir string, uid int, late map[string]bool) {
	for _, p := range t.under(dir) {
		f := t.files[p]
		if f.Owner.UID == uid || late[p] {
			continue
		}
		switch f.Mode.Type() {
		case 0:
			f.Mode &^= fs.ModeSetuid
			if f.Mode&0o010 != 0 {
				f.Mode &^= fs.ModeSetgid
			}
		case fs.ModeDir, fs.ModeSymlink:
		default:
			t.notes = append(t.notes, "the base's "+p+" is a device, socket or pipe and keeps its owner")
			continue
		}
		f.Owner.UID = uid
		t.put(f)
	}
}

// layer takes the changes since the last call, with all directories above them:
// an engine would otherwise make these for the layer, root's and 0755, and they
// would hide the owner and mode of those below.
func (t *tree) layer() []File {
	paths := map[string]bool{}
	for p := range t.changed {
		paths[p] = true
		for _, d := range parents(p) {
			paths[d] = true
		}
	}
	clear(t.changed)
	files := t.list(slices.Sorted(maps.Keys(paths)))
	for p := range paths { // what one layer hides, a higher one must not: that would be this layer's own
		f := t.files[p]
		if f.Gone {
			delete(t.files, p)
		} else if f.Opaque {
			f.Opaque = false
			t.files[p] = f
		}
	}
	return files
}

// dirs lists a directory and those above it.
func (t *tree) dirs(dir string) []File {
	return t.list(append(parents(dir), dir))
}

func (t *tree) list(paths []string) []File {
	files := make([]File, len(paths))
	for i, p := range paths {
		files[i] = t.files[p]
	}
	return files
}

// parents lists the directories above an absolute path, highest first, without the root.
func parents(p string) []string {
	var dirs []string
	for d := path.Dir(p); d != "/" && d != "."; d = path.Dir(d) {
		dirs = append(dirs, d)
	}
	slices.Reverse(dirs)
	return dirs
}
