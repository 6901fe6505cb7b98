package wheel

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkLocal proves an entry's local header and data descriptor against its central
// record, and sets where its stream lies. The entry must end at next, exactly.
func checkLocal(r io.ReaderAt, e *zipEntry, next, limit int64) error {
	if next > limit || next-e.header < lenLocal {
		return refuseEntry(e.name, "its local header overlaps what follows")
	}
	h := make([]byte, min(next-e.header, int64(lenLocal+len(e.name)+64)))
	if err := readFull(r, h, e.header); err != nil {
		return err
	}
	if le.Uint32(h) != sigLocal {
		return refuseEntry(e.name, "no local header at %d", e.header)
	}
	nameLen, extraLen := int(le.Uint16(h[26:])), int(le.Uint16(h[28:]))
	full := lenLocal + nameLen + extraLen
	if int64(full) > next-e.header {
		return refuseEntry(e.name, "its local header overlaps what follows")
	}
	if full > len(h) {
		h = make([]byte, full)
		if err := readFull(r, h, e.header); err != nil {
			return err
		}
	}
	if name := h[lenLocal : lenLocal+nameLen]; string(name) != e.name {
		return refuseEntry(e.name, "its local header names it %q", name)
	}
	flags, method := le.Uint16(h[6:]), le.Uint16(h[8:])
	if flags != e.flags || method != e.method {
		return refuseEntry(e.name, "flags or method of its local header disagree with the central directory")
	}
	local := zipEntry{name: e.name, csize: int64(le.Uint32(h[18:])), size: int64(le.Uint32(h[22:])), crc: le.Uint32(h[14:])}
	zip64, err := parseExtra(h[lenLocal+nameLen:full], &local, nil)
	if err != nil {
		return err
	}
	e.offset = e.header + int64(full)
	if e.csize > next-e.offset {
		return refuseEntry(e.name, "its %d bytes overlap what follows", e.csize)
	}
	if flags&flagDescriptor != 0 {
		// The fields may be left open, but not hold something else.
		if local.crc != 0 && local.crc != e.crc || local.csize != 0 && local.csize != e.csize || local.size != 0 && local.size != e.size {
			return refuseEntry(e.name, "CRC or sizes of its local header disagree with the central directory")
		}
		return checkDescriptor(r, e, next, zip64)
	}
	if local.crc != e.crc || local.csize != e.csize || local.size != e.size {
		return refuseEntry(e.name, "CRC or sizes of its local header disagree with the central directory")
	}
	if n := next - e.offset - e.csize; n != 0 {
		return refuseEntry(e.name, "%d bytes after it belong to no entry", n)
	}
	return nil
}

// checkDescriptor proves what stands between an entry's stream and the next entry.
func checkDescriptor(r io.ReaderAt, e *zipEntry, next int64, zip64 bool) error {
	at := e.offset + e.csize
	n := next - at
	if n != 12 && n != 16 && n != 20 && n != 24 {
		return refuseEntry(e.name, "no data descriptor, or one of %d bytes", n)
	}
	d := make([]byte, n)
	if err := readFull(r, d, at); err != nil {
		return err
	}
	if n == 16 || n == 24 {
		if le.Uint32(d) != sigDesc {
			return refuseEntry(e.name, "damaged data descriptor")
		}
		d = d[4:]
	}
	wide := len(d) == 20
	if wide != (zip64 || e.zip64) && wide != (e.size > max32 || e.csize > max32) {
		return refuseEntry(e.name, "its data descriptor has the wrong width")
	}
	crc, csize, size := le.Uint32(d), uint64(0), uint64(0)
	if wide {
		csize, size = le.Uint64(d[4:]), le.Uint64(d[12:])
	} else {
		csize, size = uint64(le.Uint32(d[4:])), uint64(le.Uint32(d[8:]))
	}
	if crc != e.crc || csize != uint64(e.csize) || size != uint64(e.size) {
		return refuseEntry(e.name, "its data descriptor disagrees with the central directory")
	}
	return nil
}

// dropDuplicates refuses two entries of one name, unless they are equal to the
// byte: some build tools write a licence file twice, and uv accepts that.
func dropDuplicates(r io.ReaderAt, entries []zipEntry) ([]zipEntry, error) {
	first := make(map[string]int, len(entries))
	kept := entries[:0]
	for i := range entries {
		e := entries[i]
		j, ok := first[e.name]
		if !ok {
			first[e.name] = len(kept)
			kept = append(kept, e)
			continue
		}
		o := kept[j]
		if o.method != e.method || o.crc != e.crc || o.size != e.size || o.csize != e.csize || o.exec != e.exec {
			return nil, refuseEntry(e.name, "it is there twice, with different content or mode")
		}
		same, err := sameBytes(io.NewSectionReader(r, o.offset, o.csize), io.NewSectionReader(r, e.offset, e.csize))
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, refuseEntry(e.name, "it is there twice, with different content")
		}
	}
	return slices.Clip(kept), nil
}

func sameBytes(a, b io.Reader) (bool, error) {
	p, q := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(a, p)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		m, err2 := io.ReadFull(b, q)
		if err2 != nil && err2 != io.EOF && err2 != io.ErrUnexpectedEOF {
			return false, err2
		}
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

// checkName refuses entry names that could leave the place they are for, or that
// readers, file systems or container engines understand in different ways.
func checkName(name string, flags uint16, l Limits) error {
	bad := func(format string, a ...any) error { return refuseEntry(name, format, a...) }
	switch {
	case name == "":
		return refuse("it has an entry without a name")
	case !utf8.ValidString(name):
		return bad("its name is not UTF-8")
	case flags&flagUTF8 == 0 && strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0:
		return bad("its name has no certain encoding")
	case strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.C, r) }) >= 0:
		return bad("its name holds control characters")
	case strings.Contains(name, `\`):
		return bad("its name holds a backslash")
	case name[0] == '/':
		return bad("its name is absolute")
	case len(name) >= 2 && name[1] == ':':
		return bad("its name begins with a drive")
	case len(name) > l.PathLen:
		return bad("its name is longer than %d bytes", l.PathLen)
	}
	depth := 0
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		depth++
		switch {
		case part == "" || part == "." || part == "..":
			return bad("its name holds the component %q", part)
		case strings.HasPrefix(part, ".wh."):
			return bad("its name would delete files of the layers below (.wh.)")
		case len(part) > l.NameLen:
			return bad("a component of its name is longer than %d bytes", l.NameLen)
		}
	}
	if depth > l.Depth {
		return bad("its name is deeper than %d directories", l.Depth)
	}
	return nil
}
