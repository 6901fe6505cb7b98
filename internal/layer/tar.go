package layer

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Epoch is the modification time of every file in a layer: the first one that a
// zip can express, so that a layer can be packed as a wheel again.
var Epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

const (
	blockSize = 512

	typeFile    = '0'
	typeSymlink = '2'
	typeDir     = '5'
	typePAX     = 'x'

	maxOctal7  = 1<<21 - 1 // what seven octal digits hold: mode, uid, gid
	maxOctal11 = 1<<33 - 1 // eleven: size, mtime

	whiteout = ".wh."
)

// Header is what a layer says about one path.
type Header struct {
	Path string // absolute and clean; "/" has no entry
	Mode fs.FileMode
	UID  int
	GID  int
	Size int64 // of a file's content
}

// checkPath refuses names that mean something else to an engine than to us.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"), path.Clean(p) != p, p == "/":
		return fmt.Errorf("path %q is not absolute and clean", p)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q holds a NUL", p)
	}
	for part := range strings.SplitSeq(p[1:], "/") {
		if strings.HasPrefix(part, whiteout) {
			return fmt.Errorf("path %q would delete files of the layers below (%s)", p, whiteout)
		}
	}
	return nil
}

// appendHeader adds the tar header of one entry to dst: USTAR where it can say
// it all, after a PAX header where it cannot.
func appendHeader(dst []byte, h Header, kind byte, target string, mtime int64) []byte {
	name := h.Path[1:]
	size := int64(0)
	switch kind {
	case typeDir:
		name += "/"
	case typeFile:
		size = h.Size
	}
	var pax []byte
	prefix, short, ok := splitName(name)
	if !ok {
		pax = appendRecord(pax, "path", name)
		prefix, short = "", clip(name)
	}
	link := target
	if len(target) > 100 || !ascii(target) {
		pax = appendRecord(pax, "linkpath", target)
		link = clip(target)
	}
	if size > maxOctal11 {
		pax = appendRecord(pax, "size", strconv.FormatInt(size, 10))
	}
	if h.UID > maxOctal7 {
		pax = appendRecord(pax, "uid", strconv.Itoa(h.UID))
	}
	if h.GID > maxOctal7 {
		pax = appendRecord(pax, "gid", strconv.Itoa(h.GID))
	}
	if pax != nil {
		dst = appendBlock(dst, block{name: "././@PaxHeader", mode: 0o644, size: int64(len(pax)), mtime: mtime, kind: typePAX})
		dst = append(dst, pax...)
		dst = append(dst, make([]byte, padding(int64(len(pax))))...)
	}
	return appendBlock(dst, block{
		prefix: prefix, name: short, mode: unixMode(h.Mode), size: size, mtime: mtime,
		uid: int64(h.UID), gid: int64(h.GID), kind: kind, link: link,
	})
}

// block is one 512-byte USTAR header.
type block struct {
	prefix, name, link string
	mode, uid, gid     int64
	size, mtime        int64
	kind               byte
}

func appendBlock(dst []byte, b block) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, blockSize)...)
	h := dst[at:]
	copy(h[0:100], b.name)
	octal(h[100:108], b.mode)
	octal(h[108:116], b.uid)
	octal(h[116:124], b.gid)
	octal(h[124:136], b.size)
	octal(h[136:148], b.mtime)
	h[156] = b.kind
	copy(h[157:257], b.link)
	copy(h[257:265], "ustar\x0000")
	copy(h[345:500], b.prefix)
	copy(h[148:156], "        ")
	sum := int64(0)
	for _, c := range h {
		sum += int64(c)
	}
	octal(h[148:155], sum) // six digits, NUL, space
	return dst
}

// octal fills field with v and a closing NUL. A value that is too big is written
// as 0: a PAX record then carries it.
func octal(field []byte, v int64) {
	if v < 0 || v>>(3*(len(field)-1)) != 0 {
		v = 0
	}
	for i := len(field) - 2; i >= 0; i-- {
		field[i] = byte('0' + v&7)
		v >>= 3
	}
	field[len(field)-1] = 0
}

// splitName cuts a name into USTAR's prefix and name.
func splitName(name string) (prefix, short string, ok bool) {
	if !ascii(name) {
		return "", "", false
	}
	if len(name) <= 100 {
		return "", name, true
	}
	from := len(name) - 101
	i := strings.IndexByte(name[from:], '/')
	if i < 0 || from+i > 155 || from+i == 0 || from+i == len(name)-1 {
		return "", "", false
	}
	return name[:from+i], name[from+i+1:], true
}

// clip makes what stands in the USTAR field that a PAX record overrides: the end
// of the name, so that even a reader without PAX shows something useful.
func clip(s string) string {
	b := []byte(s)
	if len(b) > 100 {
		b = b[len(b)-100:]
	}
	for i, c := range b {
		if c >= 0x80 {
			b[i] = '_'
		}
	}
	return string(b)
}

// appendRecord adds one PAX record, whose length counts its own digits.
func appendRecord(dst []byte, key, value string) []byte {
	n := len(key) + len(value) + 3 // space, equals sign, newline
	size := n + len(strconv.Itoa(n))
	if len(strconv.Itoa(size)) != len(strconv.Itoa(n)) {
		size++
	}
	return fmt.Appendf(dst, "%d %s=%s\n", size, key, value)
}

func unixMode(m fs.FileMode) int64 {
	v := int64(m.Perm())
	if m&fs.ModeSetuid != 0 {
		v |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		v |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		v |= 0o1000
	}
	return v
}

func padding(size int64) int64 { return -size & (blockSize - 1) }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
