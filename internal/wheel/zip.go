package wheel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"io/fs"
	"slices"
)

// The parts of a zip archive (APPNOTE.TXT 4.3), little endian.
const (
	sigLocal   = 0x04034b50
	sigCentral = 0x02014b50
	sigEnd     = 0x06054b50
	sigEnd64   = 0x06064b50
	sigLoc64   = 0x07064b50
	sigDesc    = 0x08074b50

	lenLocal   = 30
	lenCentral = 46
	lenEnd     = 22
	lenEnd64   = 56
	lenLoc64   = 20

	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11
	// Compression levels, which readers ignore, and the two above.
	flagsAllowed = 1<<1 | 1<<2 | flagDescriptor | flagUTF8

	extraZip64       = 0x0001
	extraUnicodePath = 0x7075

	max16 = 0xffff
	max32 = 0xffffffff
)

var le = binary.LittleEndian

// zipEntry is one entry, as all that the archive says of it agrees on.
type zipEntry struct {
	name   string
	method uint16
	flags  uint16
	crc    uint32
	csize  int64
	size   int64
	exec   bool
	header int64 // offset of its local header
	offset int64 // of its stream
	zip64  bool  // has sizes in a ZIP64 field of its central record
}

func (e *zipEntry) dir() bool { return e.name[len(e.name)-1] == '/' }

// readZip reads the directory of an archive and proves it against every local
// header. It returns the entries in the order of the archive's bytes.
func readZip(r io.ReaderAt, size int64, l Limits) ([]zipEntry, error) {
	end, err := readEnd(r, size)
	if err != nil {
		return nil, err
	}
	if end.entries > uint64(l.Entries) {
		return nil, refuse("it has %d entries, more than %d", end.entries, l.Entries)
	}
	entries, err := readCentral(r, end, l)
	if err != nil {
		return nil, err
	}
	if err := checkSizes(entries, size, l); err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b zipEntry) int { return cmp.Compare(a.header, b.header) })
	at := int64(0)
	for i := range entries {
		next := end.offset
		if i+1 < len(entries) {
			next = entries[i+1].header
		}
		if entries[i].header != at {
			return nil, refuseEntry(entries[i].name, "its local header is at %d, not at %d where the entry before ends", entries[i].header, at)
		}
		if err := checkLocal(r, &entries[i], next, end.offset); err != nil {
			return nil, err
		}
		at = next
	}
	if at != end.offset {
		return nil, refuse("%d bytes before the central directory belong to no entry", end.offset-at)
	}
	return dropDuplicates(r, entries)
}

// ending is what the end of central directory says.
type ending struct {
	entries uint64
	size    int64 // of the central directory
	offset  int64
}

// readEnd finds the end record, which must end where the file ends, and its ZIP64
// form, which must lie right before it.
func readEnd(r io.ReaderAt, size int64) (ending, error) {
	tail := make([]byte, min(size, lenEnd+max16))
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return ending{}, err
	}
	at := bytes.LastIndex(tail, le.AppendUint32(nil, sigEnd))
	if at < 0 || len(tail)-at < lenEnd {
		return ending{}, refuse("it is not a zip archive, or it is cut off")
	}
	rec := tail[at:]
	comment := rec[lenEnd:]
	if n := int(le.Uint16(rec[20:])); n != len(comment) {
		return ending{}, refuse("%d bytes follow the end of the archive", len(comment)-n)
	}
	if bytes.Contains(comment, []byte("PK")) {
		return ending{}, refuse("its comment looks like another archive")
	}
	pos := size - int64(len(rec))
	disk, cdDisk := le.Uint16(rec[4:]), le.Uint16(rec[6:])
	here, total := le.Uint16(rec[8:]), le.Uint16(rec[10:])
	e := ending{entries: uint64(total), size: int64(le.Uint32(rec[12:])), offset: int64(le.Uint32(rec[16:]))}
	if disk != 0 || cdDisk != 0 || here != total {
		return ending{}, refuse("it is one part of several")
	}
	pos, err := readEnd64(r, pos, &e)
	if err != nil {
		return ending{}, err
	}
	if e.offset < 0 || e.size < 0 || e.size > pos || e.offset != pos-e.size {
		return ending{}, refuse("its central directory is not where the end record says (%d bytes at %d, before %d)", e.size, e.offset, pos)
	}
	return e, nil
}

// readEnd64 overrides e by a ZIP64 end record that lies before pos, if there is
// one, and returns where the central directory must end.
func readEnd64(r io.ReaderAt, pos int64, e *ending) (int64, error) {
	if pos < lenLoc64+lenEnd64 {
		return pos, nil
	}
	loc := make([]byte, lenLoc64)
	if err := readFull(r, loc, pos-lenLoc64); err != nil {
		return 0, err
	}
	if le.Uint32(loc) != sigLoc64 {
		return pos, nil
	}
	rec := make([]byte, lenEnd64)
	at := pos - lenLoc64 - lenEnd64
	if le.Uint64(loc[8:]) != uint64(at) {
		return 0, refuse("its ZIP64 end record is not right before its locator")
	}
	if err := readFull(r, rec, at); err != nil {
		return 0, err
	}
	if le.Uint32(rec) != sigEnd64 || le.Uint64(rec[4:]) != lenEnd64-12 {
		return 0, refuse("its ZIP64 end record is damaged or holds extensible data")
	}
	if le.Uint32(loc[4:]) != 0 || le.Uint32(loc[16:]) > 1 || le.Uint32(rec[16:]) != 0 || le.Uint32(rec[20:]) != 0 {
		return 0, refuse("it is one part of several")
	}
	here, total, size, offset := le.Uint64(rec[24:]), le.Uint64(rec[32:]), le.Uint64(rec[40:]), le.Uint64(rec[48:])
	if here != total || !agrees(e.entries, max16, total) || !agrees(uint64(e.size), max32, size) || !agrees(uint64(e.offset), max32, offset) {
		return 0, refuse("its ZIP64 end record disagrees with its end record")
	}
	e.entries, e.size, e.offset = total, int64(size), int64(offset)
	return at, nil
}

// agrees reports whether the old field holds the wide one's value, or says that it cannot.
func agrees(old, sentinel, wide uint64) bool { return old == wide || old == sentinel }

func readCentral(r io.ReaderAt, end ending, l Limits) ([]zipEntry, error) {
	if end.size > int64(end.entries)*int64(lenCentral+l.PathLen+max16) {
		return nil, refuse("its central directory of %d bytes is too big for %d entries", end.size, end.entries)
	}
	if end.size > maxCentral {
		return nil, refuse("its central directory of %d bytes is over %d", end.size, maxCentral)
	}
	dir := make([]byte, end.size)
	if err := readFull(r, dir, end.offset); err != nil {
		return nil, err
	}
	entries := make([]zipEntry, 0, end.entries)
	for len(dir) > 0 {
		e, n, err := parseCentral(dir, l)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		dir = dir[n:]
	}
	if uint64(len(entries)) != end.entries {
		return nil, refuse("its central directory holds %d entries, not %d as its end record says", len(entries), end.entries)
	}
	return entries, nil
}

// maxCentral keeps a directory in memory small: 200,000 entries of ordinary names.
const maxCentral = 64 << 20

// parseCentral reads the record at the start of dir.
func parseCentral(dir []byte, l Limits) (e zipEntry, n int, err error) {
	if len(dir) < lenCentral || le.Uint32(dir) != sigCentral {
		return e, 0, refuse("its central directory is damaged")
	}
	nameLen, extraLen, commentLen := int(le.Uint16(dir[28:])), int(le.Uint16(dir[30:])), int(le.Uint16(dir[32:]))
	n = lenCentral + nameLen + extraLen + commentLen
	if len(dir) < n {
		return e, 0, refuse("its central directory is damaged")
	}
	name, extra := dir[lenCentral:lenCentral+nameLen], dir[lenCentral+nameLen:lenCentral+nameLen+extraLen]
	attributes := le.Uint32(dir[38:])
	e = zipEntry{
		name: string(name), flags: le.Uint16(dir[8:]), method: le.Uint16(dir[10:]), crc: le.Uint32(dir[16:]),
		csize: int64(le.Uint32(dir[20:])), size: int64(le.Uint32(dir[24:])), header: int64(le.Uint32(dir[42:])),
	}
	if err := checkName(e.name, e.flags, l); err != nil {
		return e, 0, err
	}
	if le.Uint16(dir[34:]) != 0 {
		return e, 0, refuseEntry(e.name, "it lies in another part of the archive")
	}
	if e.zip64, err = parseExtra(extra, &e, &e.header); err != nil {
		return e, 0, err
	}
	if e.flags&^flagsAllowed != 0 {
		return e, 0, refuseEntry(e.name, "unsupported flags %04x (encrypted or patched)", e.flags)
	}
	if e.method != Stored && e.method != Deflated {
		return e, 0, refuseEntry(e.name, "compression method %d is neither stored nor deflate", e.method)
	}
	if e.method == Stored && e.csize != e.size {
		return e, 0, refuseEntry(e.name, "stored, but its two sizes differ: %d and %d", e.csize, e.size)
	}
	if dir[5] == 3 { // made on Unix: the high half of the attributes is a mode
		if e.exec, err = checkMode(&e, attributes>>16); err != nil {
			return e, 0, err
		}
	}
	if e.dir() && (e.size != 0 || e.crc != 0) {
		return e, 0, refuseEntry(e.name, "a directory with content")
	}
	return e, n, nil
}

const (
	unixType    = 0o170000
	unixRegular = 0o100000
	unixDir     = 0o040000
	unixSetIDs  = 0o006000
)

// checkMode says whether uv would make the file executable.
func checkMode(e *zipEntry, mode uint32) (exec bool, err error) {
	switch kind := mode & unixType; {
	case e.dir() && (kind == unixDir || kind == 0):
		return false, nil
	case !e.dir() && (kind == unixRegular || kind == 0):
	default:
		return false, refuseEntry(e.name, "mode %o: a symlink, a device or a directory in the place of a file", mode)
	}
	if mode&unixSetIDs != 0 {
		return false, refuseEntry(e.name, "mode %o: setuid or setgid", mode)
	}
	return mode&0o111 != 0, nil
}

// parseExtra reads the extra fields of a header. The sizes, and in a central
// record the offset too (else nil), are in the ZIP64 field when they say so.
func parseExtra(extra []byte, e *zipEntry, offset *int64) (zip64 bool, err error) {
	seen := false
	for len(extra) > 0 {
		if len(extra) < 4 || len(extra)-4 < int(le.Uint16(extra[2:])) {
			return false, refuseEntry(e.name, "damaged extra field")
		}
		id, body := le.Uint16(extra), extra[4:4+le.Uint16(extra[2:])]
		extra = extra[4+len(body):]
		switch id {
		case extraZip64:
			if seen {
				return false, refuseEntry(e.name, "two ZIP64 fields")
			}
			seen = true
			if err := parseZip64(body, e, offset); err != nil {
				return false, err
			}
		case extraUnicodePath:
			if len(body) < 5 || string(body[5:]) != e.name {
				return false, refuseEntry(e.name, "its Unicode path field names another path")
			}
		}
	}
	if !seen && (e.size == max32 || e.csize == max32 || offset != nil && *offset == max32) {
		return false, refuseEntry(e.name, "its ZIP64 field is missing")
	}
	return seen, nil
}

// parseZip64 takes the values that the header has no room for. Some writers (Bazel's
// among them, so protobuf's wheels) always write both sizes: then they must be the header's.
func parseZip64(body []byte, e *zipEntry, offset *int64) error {
	fields := []*int64{&e.size, &e.csize}
	if offset != nil {
		fields = append(fields, offset)
	}
	both := len(body) == 16 && e.size != max32 && e.csize != max32
	for _, f := range fields {
		if *f != max32 && !both {
			continue
		}
		if len(body) < 8 || le.Uint64(body) > 1<<62 {
			return refuseEntry(e.name, "damaged ZIP64 field")
		}
		v := int64(le.Uint64(body))
		if *f != max32 && *f != v {
			return refuseEntry(e.name, "its ZIP64 field and its header give different sizes")
		}
		*f = v
		if body = body[8:]; both && len(body) == 0 {
			break
		}
	}
	if len(body) != 0 {
		return refuseEntry(e.name, "its ZIP64 field holds more than its header asks for")
	}
	return nil
}

// checkSizes holds the sum of what the entries claim against the limits.
func checkSizes(entries []zipEntry, size int64, l Limits) error {
	sum := int64(0)
	for i := range entries {
		if entries[i].size > l.Installed-sum {
			return refuseEntry(entries[i].name, "installs more than %d bytes in all", l.Installed)
		}
		sum += entries[i].size
	}
	if sum > l.RatioFrom && sum/l.Ratio > size {
		return refuse("%d bytes expand to %d, more than %d times", size, sum, l.Ratio)
	}
	return nil
}

func readFull(r io.ReaderAt, p []byte, at int64) error {
	if at < 0 {
		return refuse("it is cut off")
	}
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return refuse("it is cut off")
	}
	return err
}

// mode is what uv gives an unpacked file under the usual umask.
func (e *zipEntry) mode() fs.FileMode {
	if e.exec {
		return 0o755
	}
	return 0o644
}
