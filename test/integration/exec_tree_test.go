package integration

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// node is what is compared of a file of an image. Times are not: docs/differences.md.
type node struct {
	kind     byte
	mode     int64
	uid, gid int
	link     string
	sum      string
	size     int64
	gone     bool // taken away from the layers below
}

// listing is an image's, by path without the leading slash.
type listing map[string]node

// filesOf lays layers of an image, from number n on, over what lies below.
func filesOf(t *testing.T, img v1.Image, below listing, n int) listing {
	t.Helper()
	all, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < n {
		t.Fatalf("it has only %d layers, its base has %d", len(all), n)
	}
	out := maps.Clone(below)
	if out == nil {
		out = listing{}
	}
	for _, l := range all[n:] {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		if err := out.lay(r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close() // it is read
	}
	return out
}

// lay puts a layer on top.
func (f listing) lay(r io.Reader) error {
	fresh := map[string]bool{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := strings.Trim(path.Clean("/"+h.Name), "/")
		dir, file := path.Split(p)
		if file == ".wh..wh..opq" {
			f.clear(dir, fresh)
			continue
		}
		if hidden, ok := strings.CutPrefix(file, ".wh."); ok {
			f.clear(dir+hidden+"/", fresh)
			f[dir+hidden] = node{gone: true}
			continue
		}
		n := node{kind: h.Typeflag, mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
			sum := sha256.New()
			if _, err := io.Copy(sum, tr); err != nil {
				return err
			}
			n.sum = hex.EncodeToString(sum.Sum(nil))
		case tar.TypeSymlink:
			n.link = h.Linkname
		case tar.TypeLink: // it is the same file under another name
			n = f[strings.Trim(path.Clean("/"+h.Linkname), "/")]
		}
		if h.Typeflag != tar.TypeDir {
			f.clear(p+"/", fresh)
		}
		f[p], fresh[p] = n, true
	}
}

// clear takes away what lies below a directory, but not what the layer itself has put there.
func (f listing) clear(dir string, but map[string]bool) {
	maps.DeleteFunc(f, func(p string, _ node) bool { return strings.HasPrefix(p, dir) && !but[p] })
}

// difference is what may differ between an image of ours and the default builder's. A path that ends in a slash is all below it; it
// may hold path.Match's wildcards; one without a slash is a name, wherever it is.
type difference struct {
	path string
	only string // what of it may differ: content, owner or mode; empty: all, even whether it is there
	why  string // a line of docs/differences.md, or what docs need not say
}

func (d difference) covers(p string) bool {
	if below, ok := strings.CutSuffix(d.path, "/"); ok {
		depth := strings.Count(below, "/") + 1
		parts := strings.SplitN(p, "/", depth+1)
		if len(parts) <= depth {
			return false
		}
		p, d.path = strings.Join(parts[:depth], "/"), below
	} else if !strings.Contains(d.path, "/") {
		p = path.Base(p)
	}
	ok, err := path.Match(d.path, p)
	return ok && err == nil
}

// sameFiles compares images file by file.
func sameFiles(t *testing.T, what string, ours, theirs listing, may []difference) {
	t.Helper()
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	wrong := 0
	for _, p := range slices.Sorted(maps.Keys(all)) {
		text := differs(ours[p], theirs[p], func(only string) bool {
			return slices.ContainsFunc(may, func(d difference) bool { return (d.only == only || d.only == "") && d.covers(p) })
		})
		if text == "" {
			continue
		}
		if wrong++; wrong <= 25 {
			t.Errorf("%s: /%s %s", what, p, text)
		}
	}
	if wrong > 25 {
		t.Errorf("%s: and %d more", what, wrong-25)
	}
}

func differs(a, b node, may func(string) bool) string {
	inA, inB := a.kind != 0 && !a.gone, b.kind != 0 && !b.gone
	switch {
	case !inA && !inB, may(""):
		return ""
	case !inA:
		return fmt.Sprintf("is missing, of mode %o and %d:%d", b.mode, b.uid, b.gid)
	case !inB:
		return fmt.Sprintf("is there and should not be, of mode %o and %d:%d", a.mode, a.uid, a.gid)
	case a.kind != b.kind:
		return fmt.Sprintf("is of type %c, not %c", a.kind, b.kind)
	case a.link != b.link:
		return fmt.Sprintf("links to %s, not %s", a.link, b.link)
	case a.sum != b.sum && !may("content"):
		return fmt.Sprintf("has another content, %d and %d bytes", a.size, b.size)
	case a.mode != b.mode && !may("mode"):
		return fmt.Sprintf("has mode %o, not %o", a.mode, b.mode)
	case (a.uid != b.uid || a.gid != b.gid) && !may("owner"):
		return fmt.Sprintf("belongs to %d:%d, not %d:%d", a.uid, a.gid, b.uid, b.gid)
	}
	return ""
}
