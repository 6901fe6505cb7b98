package base

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Limits on a base's file system: what is more is no image but an attack, or cannot
// be changed in memory.
const (
	maxEntries = 2 << 20
	maxLinks   = 255 // symlinks in one lookup, as Linux counts at most 40
	maxContent = 64 << 20
)

// tree is the merged file system of the layers laid so far (OCI image-spec, layer.md).
type tree struct {
	root    *node
	layer   int
	entries int
	content int64 // bytes held; counts what is overwritten too until recount
}

// node is one entry. children is nil for what is not a directory.
type node struct {
	children map[string]*node
	layer    int // that put it there last
	mode     fs.FileMode
	uid, gid int
	link     string
	file     *file
}

// file is a regular file's content, as far as it matters; hard links share it.
type file struct {
	content []byte
	facts   facts
}

func newTree() *tree {
	return &tree{root: &node{children: map[string]*node{}, mode: fs.ModeDir | 0o755}}
}

func (t *tree) empty() bool { return len(t.root.children) == 0 }

func (t *tree) begin(layer int) { t.layer = layer }

// add takes one tar entry. What r yields beyond what is wanted of it is left unread.
func (t *tree) add(h *tar.Header, r io.Reader) error {
	name := path.Clean("/" + h.Name)
	if name == "/" {
		if h.Typeflag == tar.TypeDir {
			t.root.mode, t.root.uid, t.root.gid = h.FileInfo().Mode(), h.Uid, h.Gid
		}
		return nil
	}
	dir, base := path.Split(name)
	if base == ".wh..wh..opq" {
		if n := t.lookup(dir); n != nil {
			n.strip(t.layer)
		}
		return nil
	}
	if hidden, ok := strings.CutPrefix(base, ".wh."); ok {
		if strings.HasPrefix(hidden, ".wh.") { // aufs' own, e.g. .wh..wh.plnk
			return nil
		}
		if n := t.lookup(dir); n != nil {
			n.hide(hidden, t.layer)
		}
		return nil
	}
	parent, real := t.mkdir(dir)
	n, err := t.make(h, r, path.Join(real, base))
	if err != nil {
		return err
	}
	return t.put(parent, base, n)
}

func (t *tree) put(parent *node, base string, n *node) error {
	if old, ok := parent.children[base]; ok && old.children != nil && n.children != nil {
		n.children = old.children // a directory keeps what is in it
	}
	if t.entries++; t.entries > maxEntries {
		return fmt.Errorf("more than %d entries", maxEntries)
	}
	parent.children[base] = n
	return nil
}

func (t *tree) make(h *tar.Header, r io.Reader, real string) (*node, error) {
	n := &node{layer: t.layer, mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid}
	switch h.Typeflag {
	case tar.TypeDir:
		n.children = map[string]*node{}
	case tar.TypeSymlink:
		n.link = h.Linkname
	case tar.TypeLink:
		target := t.at(path.Clean("/" + h.Linkname))
		if target == nil || target.children != nil {
			return nil, fmt.Errorf("hard link to %s, which is no file", h.Linkname)
		}
		linked := *target
		linked.layer = t.layer
		return &linked, t.late(&linked, real)
	case tar.TypeReg:
		n.file = &file{}
		if wanted(real) {
			b, err := t.read(h, r)
			if err != nil {
				return nil, err
			}
			n.file.content = b
			r = bytes.NewReader(b)
		}
		if scan := scannerFor(real); scan != nil {
			if err := scan(r, &n.file.facts); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// late refuses a hard link in a place whose content is needed to a file elsewhere,
// whose content was not held.
func (t *tree) late(n *node, real string) error {
	if n.file != nil && n.file.content == nil && n.mode.IsRegular() && wanted(real) && !isManifest(real) {
		return fmt.Errorf("hard link to a file outside: unsupported")
	}
	return nil
}

func (t *tree) read(h *tar.Header, r io.Reader) ([]byte, error) {
	if t.content+h.Size > 2*maxContent {
		t.content = t.recount(t.root) // without what upper layers replaced or removed
	}
	if t.content += h.Size; t.content > 2*maxContent {
		return nil, fmt.Errorf("the base holds more than %d MiB in /root, /home and /opt/micromamba, whose owner the image changes; "+
			"move data elsewhere", maxContent>>20)
	}
	b := make([]byte, h.Size)
	_, err := io.ReadFull(r, b)
	return b, err
}

func (t *tree) recount(n *node) (sum int64) {
	if n.file != nil {
		sum = int64(len(n.file.content))
	}
	for _, c := range n.children {
		sum += t.recount(c)
	}
	return sum
}

// strip removes what lower layers put below n.
func (n *node) strip(layer int) {
	for name := range n.children {
		n.hide(name, layer)
	}
}

// hide removes a child as lower layers left it; what this layer put there or below stays.
func (n *node) hide(name string, layer int) {
	c, ok := n.children[name]
	if !ok {
		return
	}
	c.strip(layer)
	if c.layer < layer && len(c.children) == 0 {
		delete(n.children, name)
	}
}

// mkdir returns the directory that dir means, following symlinks in it as an engine
// that unpacks does, and its real path. What is missing it makes, as engines do.
func (t *tree) mkdir(dir string) (*node, string) {
	n, real := t.root, "/"
	for _, part := range split(dir) {
		c := n.children[part]
		if c != nil && c.link != "" {
			if target, p := t.walk(path.Join(real, part), maxLinks); target != nil && target.children != nil {
				n, real = target, p
				continue
			}
		}
		if c == nil || c.children == nil {
			c = &node{children: map[string]*node{}, layer: t.layer, mode: fs.ModeDir | 0o755}
			n.children[part] = c
		}
		n, real = c, path.Join(real, part)
	}
	return n, real
}

// at is the entry at a path whose directories may be symlinks; itself it is not followed.
func (t *tree) at(p string) *node {
	dir, base := path.Split(p)
	if base == "" {
		return t.root
	}
	d := t.lookup(dir)
	if d == nil {
		return nil
	}
	return d.children[base]
}

// lookup follows all symlinks; nil when there is nothing.
func (t *tree) lookup(p string) *node {
	n, _ := t.walk(p, maxLinks)
	return n
}

// follow is the regular file that a path leads to; nil when there is none.
func (t *tree) follow(p string) *node {
	if n := t.lookup(p); n != nil && n.mode.IsRegular() {
		return n
	}
	return nil
}

// walk resolves a path as the kernel does, all symlinks within this root.
func (t *tree) walk(p string, links int) (*node, string) {
	n, real := t.root, "/"
	parts := split(p)
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		if part == ".." {
			real = path.Dir(real)
			n = t.exact(real)
			continue
		}
		c := n.children[part] // nil when n is no directory
		if c == nil {
			return nil, ""
		}
		if c.link == "" {
			n, real = c, path.Join(real, part)
			continue
		}
		if links--; links < 0 {
			return nil, ""
		}
		parts = append(split(c.link), parts...)
		if path.IsAbs(c.link) {
			n, real = t.root, "/"
		}
	}
	return n, real
}

// exact is the node at a real path, which is there.
func (t *tree) exact(real string) *node {
	n := t.root
	for _, part := range split(real) {
		n = n.children[part]
	}
	return n
}

// split leaves "..", which means something only once symlinks are followed.
func split(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// each visits all below n in order of their names.
func (n *node) each(p string, visit func(p string, n *node)) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		c := n.children[name]
		visit(path.Join(p, name), c)
		c.each(path.Join(p, name), visit)
	}
}
