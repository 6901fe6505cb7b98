package wheel_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

var le = binary.LittleEndian

// forged is an entry of an archive written byte by byte, so that it can lie.
type forged struct {
	name         string
	localName    string // empty: name
	data         string
	raw          []byte // the stream; nil: data, deflated
	stored       bool
	mode         uint32 // Unix; 0: 0100644
	localExtra   []byte
	centralExtra []byte
	local        func(h []byte) // lies of the 30-byte local header
	central      func(h []byte) // of the 46-byte central record
	after        []byte         // follows the stream
	noCentral    bool
}

// forge writes an archive; tail may change the end record.
func forge(t testing.TB, entries []forged, tail func(end []byte, cd int) []byte) []byte {
	t.Helper()
	var out, cd []byte
	count := 0
	for _, e := range entries {
		raw := e.raw
		method := uint16(8)
		switch {
		case e.stored:
			method = 0
			if raw == nil {
				raw = []byte(e.data)
			}
		case raw == nil:
			raw = deflate(t, []byte(e.data))
		}
		if e.localName == "" {
			e.localName = e.name
		}
		if e.mode == 0 {
			e.mode = 0o100644
		}
		crc := crc32.ChecksumIEEE([]byte(e.data))
		at := len(out)
		h := make([]byte, 30)
		le.PutUint32(h, 0x04034b50)
		le.PutUint16(h[4:], 20)
		le.PutUint16(h[8:], method)
		le.PutUint32(h[14:], crc)
		le.PutUint32(h[18:], uint32(len(raw)))
		le.PutUint32(h[22:], uint32(len(e.data)))
		le.PutUint16(h[26:], uint16(len(e.localName)))
		le.PutUint16(h[28:], uint16(len(e.localExtra)))
		if e.local != nil {
			e.local(h)
		}
		out = append(append(append(append(out, h...), e.localName...), e.localExtra...), raw...)
		out = append(out, e.after...)
		if e.noCentral {
			continue
		}
		c := make([]byte, 46)
		le.PutUint32(c, 0x02014b50)
		c[4], c[5] = 20, 3
		le.PutUint16(c[6:], 20)
		le.PutUint16(c[10:], method)
		le.PutUint32(c[16:], crc)
		le.PutUint32(c[20:], uint32(len(raw)))
		le.PutUint32(c[24:], uint32(len(e.data)))
		le.PutUint16(c[28:], uint16(len(e.name)))
		le.PutUint16(c[30:], uint16(len(e.centralExtra)))
		le.PutUint32(c[38:], e.mode<<16)
		le.PutUint32(c[42:], uint32(at))
		if e.central != nil {
			e.central(c)
		}
		cd = append(append(append(cd, c...), e.name...), e.centralExtra...)
		count++
	}
	end := make([]byte, 22)
	le.PutUint32(end, 0x06054b50)
	le.PutUint16(end[8:], uint16(count))
	le.PutUint16(end[10:], uint16(count))
	le.PutUint32(end[12:], uint32(len(cd)))
	le.PutUint32(end[16:], uint32(len(out)))
	if tail != nil {
		end = tail(end, len(out))
	}
	return append(append(out, cd...), end...)
}

// base is the metadata of demo 1.0, honestly forged.
func base(more ...forged) []forged {
	return append([]forged{
		{name: "demo-1.0.dist-info/METADATA", data: "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"},
		{name: "demo-1.0.dist-info/WHEEL", data: wheelFile},
		{name: "demo-1.0.dist-info/RECORD", data: "demo-1.0.dist-info/RECORD,,\n"},
	}, more...)
}

// honest is an entry that nothing is wrong with.
func honest(name string) forged { return forged{name: name, data: "honest content\n"} }

// descriptor is what follows an entry that has one.
func descriptor(signature bool, crc, csize, size uint32) []byte {
	var d []byte
	if signature {
		d = le.AppendUint32(d, 0x08074b50)
	}
	return le.AppendUint32(le.AppendUint32(le.AppendUint32(d, crc), csize), size)
}

func setBit3(h []byte, at int) { le.PutUint16(h[at:], 8) }
