package wheel_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// tryAll does with an archive what a builder does: open, plan, write.
func tryAll(data []byte, filename string, l wheel.Limits) error {
	_, err := packBytes(io.Discard, data, filename, l, layer.Options{})
	return err
}

const filename = "demo-1.0-py3-none-any.whl"

func lie(field int, v uint32) func([]byte) { return func(h []byte) { le.PutUint32(h[field:], v) } }

func TestHonestForgeryIsRead(t *testing.T) {
	text := "with a descriptor\n"
	raw := deflate(t, []byte(text))
	crc := crc32.ChecksumIEEE([]byte(text))
	for _, signature := range []bool{false, true} {
		all := base(honest("demo/a.py"), forged{
			name: "demo/b.py", data: text, after: descriptor(signature, crc, uint32(len(raw)), uint32(len(text))),
			local:   func(h []byte) { setBit3(h, 6); clear(h[14:26]) },
			central: func(h []byte) { setBit3(h, 8) },
		}, honest("demo/c.py"), honest("demo/a.py"))
		if err := tryAll(forge(t, all, nil), filename, wheel.DefaultLimits()); err != nil {
			t.Errorf("signature %t: %v", signature, err)
		}
	}
	// As Python writes it when the size is not known beforehand.
	zip64 := le.AppendUint64(le.AppendUint64([]byte{1, 0, 16, 0}, 15), uint64(len(deflate(t, []byte("honest content\n")))))
	wide := honest("demo/wide.py")
	wide.localExtra, wide.local = zip64, func(h []byte) { le.PutUint32(h[18:], 1<<32-1); le.PutUint32(h[22:], 1<<32-1) }
	if err := tryAll(forge(t, base(wide), nil), filename, wheel.DefaultLimits()); err != nil {
		t.Errorf("ZIP64 in the local header: %v", err)
	}
	if err := tryAll(forge(t, base(), zip64End(nil)), filename, wheel.DefaultLimits()); err != nil {
		t.Errorf("ZIP64 end record: %v", err)
	}
	comment := func(end []byte, _ int) []byte { le.PutUint16(end[20:], 5); return append(end, "hello"...) }
	if err := tryAll(forge(t, base(), comment), filename, wheel.DefaultLimits()); err != nil {
		t.Errorf("comment: %v", err)
	}
}

// zip64End puts a ZIP64 end record and its locator before the end record.
func zip64End(change func(rec, loc []byte)) func([]byte, int) []byte {
	return func(end []byte, cd int) []byte {
		size := int(le.Uint32(end[12:]))
		rec, loc := make([]byte, 56), make([]byte, 20)
		le.PutUint32(rec, 0x06064b50)
		le.PutUint64(rec[4:], 44)
		le.PutUint64(rec[24:], uint64(le.Uint16(end[8:])))
		le.PutUint64(rec[32:], uint64(le.Uint16(end[8:])))
		le.PutUint64(rec[40:], uint64(size))
		le.PutUint64(rec[48:], uint64(cd))
		le.PutUint32(loc, 0x07064b50)
		le.PutUint64(loc[8:], uint64(cd+size))
		le.PutUint32(loc[16:], 1)
		if change != nil {
			change(rec, loc)
		}
		le.PutUint32(end[12:], 1<<32-1)
		le.PutUint32(end[16:], 1<<32-1)
		return append(append(rec, loc...), end...)
	}
}

func TestHostileArchives(t *testing.T) {
	bad := func(f forged, change func(*forged)) []forged { change(&f); return base(f, honest("demo/z.py")) }
	good := honest("demo/a.py")
	raw := deflate(t, []byte(good.data))
	crc := crc32.ChecksumIEEE([]byte(good.data))
	unfinished := raw[:len(raw)-5] // all the content, but no block says that it is the last
	tests := []struct {
		name    string
		entries []forged
		tail    func([]byte, int) []byte
		want    string
	}{
		// T1: an archive that can be read in two ways.
		{"local path", bad(good, func(f *forged) { f.localName = "demo/b.py" }), nil, `local header names it "demo/b.py"`},
		{"local CRC", bad(good, func(f *forged) { f.local = lie(14, 1) }), nil, "disagree with the central directory"},
		{"local compressed size", bad(good, func(f *forged) { f.local = lie(18, 3) }), nil, "disagree with the central directory"},
		{"local size", bad(good, func(f *forged) { f.local = lie(22, 3) }), nil, "disagree with the central directory"},
		{"local method", bad(good, func(f *forged) { f.local = func(h []byte) { h[8] = 0 } }), nil, "flags or method"},
		{"local flags", bad(good, func(f *forged) { f.local = func(h []byte) { setBit3(h, 6) } }), nil, "flags or method"},
		{"duplicate", base(good, forged{name: "demo/a.py", data: "other"}), nil, "there twice"},
		{"duplicate with another mode", base(good, forged{name: "demo/a.py", data: good.data, mode: 0o100755}), nil, "there twice, with different content or mode"},
		{"local without central", base(forged{name: "demo/a.py", data: "x", noCentral: true}, honest("demo/z.py")), nil, "belong to no entry"},
		{"local without central at the end", base(honest("demo/z.py"), forged{name: "demo/a.py", data: "x", noCentral: true}), nil, "belong to no entry"},
		{"central without local", bad(good, func(f *forged) { f.central = lie(42, 5) }), nil, "local header"},
		{"entry count", base(good), func(e []byte, _ int) []byte { le.PutUint16(e[8:], 9); le.PutUint16(e[10:], 9); return e }, "holds 4 entries, not 9"},
		{"entry count of the disk", base(good), func(e []byte, _ int) []byte { le.PutUint16(e[8:], 9); return e }, "one part of several"},
		{"descriptor missing", bad(good, func(f *forged) {
			f.local, f.central = func(h []byte) { setBit3(h, 6) }, func(h []byte) { setBit3(h, 8) }
		}), nil, "no data descriptor"},
		{"descriptor unexpected", bad(good, func(f *forged) { f.after = descriptor(true, crc, uint32(len(raw)), 15) }), nil, "16 bytes after it belong to no entry"},
		{"descriptor lies", bad(good, func(f *forged) {
			f.local, f.central = func(h []byte) { setBit3(h, 6) }, func(h []byte) { setBit3(h, 8) }
			f.after = descriptor(true, crc, uint32(len(raw)), 16)
		}), nil, "data descriptor disagrees"},
		{"trailing bytes", base(), func(e []byte, _ int) []byte { return append(e, "tail"...) }, "4 bytes follow the end"},
		{"zip in the comment", base(), func(e []byte, _ int) []byte { le.PutUint16(e[20:], 6); return append(e, "PK\x03\x04hi"...) }, "looks like another archive"},
		{"two end records", base(), func(e []byte, _ int) []byte {
			le.PutUint16(e[20:], 22)
			return append(e, append([]byte("PK\x05\x06"), make([]byte, 18)...)...)
		}, "central directory is not where"},
		{"ZIP64 extensible", base(), zip64End(func(rec, _ []byte) { le.PutUint64(rec[4:], 45) }), "extensible"},
		{"ZIP64 disagrees", base(), zip64End(func(rec, _ []byte) { le.PutUint64(rec[24:], 9); le.PutUint64(rec[32:], 9) }), "ZIP64 end record disagrees"},
		{"ZIP64 elsewhere", base(), zip64End(func(_, loc []byte) { le.PutUint64(loc[8:], 0) }), "not right before its locator"},
		{"ZIP64 field missing", bad(good, func(f *forged) { f.central = lie(24, 1<<32-1) }), nil, "ZIP64 field is missing"},
		{"ZIP64 field unasked", bad(good, func(f *forged) { f.centralExtra = []byte{1, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0} }), nil, "more than its header asks for"},
		{"Unicode path", bad(good, func(f *forged) { f.centralExtra = []byte("\x75\x70\x08\x00\x01\x00\x00\x00\x00b.p") }), nil, "names another path"},
		{"extra field damaged", bad(good, func(f *forged) { f.localExtra = []byte{1, 2, 9} }), nil, "damaged extra field"},
		{"encrypted", bad(good, func(f *forged) {
			f.local, f.central = func(h []byte) { h[6] = 1 }, func(h []byte) { h[8] = 1 }
		}), nil, "encrypted"},
		{"prefix", base(), func(e []byte, cd int) []byte { return e }, ""},
		// T2: a stream that we would pass on.
		{"zstd", bad(good, func(f *forged) {
			f.local, f.central = func(h []byte) { h[8] = 93 }, func(h []byte) { h[10] = 93 }
		}), nil, "compression method 93"},
		{"stream without an end", bad(good, func(f *forged) { f.raw = unfinished }), nil, "does not end within"},
		{"stream cut off", bad(good, func(f *forged) { f.raw = raw[:len(raw)-3] }), nil, "does not end within"},
		{"stream goes on", bad(good, func(f *forged) { f.raw = append(raw[:len(raw):len(raw)], 0, 1, 2) }), nil, "ends 3 bytes before"},
		{"stream corrupt", bad(good, func(f *forged) { f.raw = []byte{7, 7, 7} }), nil, "corrupt deflate stream"},
		{"distance too far", bad(forged{name: "demo/a.py"}, func(f *forged) { f.data, f.raw = "aaaa", []byte{0x03, 0x22, 0x00} }), nil, "corrupt deflate stream"},
		{"size lies", bad(good, func(f *forged) { f.local, f.central = lie(22, 16), lie(24, 16) }), nil, "15 bytes long, not 16"},
		{"size too small", bad(good, func(f *forged) { f.local, f.central = lie(22, 14), lie(24, 14) }), nil, "longer than its size of 14"},
		{"CRC lies", bad(good, func(f *forged) { f.local, f.central = lie(14, 7), lie(16, 7) }), nil, "CRC-32 is"},
		{"stored sizes differ", bad(good, func(f *forged) { f.stored = true; f.local, f.central = lie(22, 14), lie(24, 14) }), nil, "two sizes differ"},
		{"overlap", base(forged{name: "demo/a.py", data: good.data, local: lie(18, uint32(len(raw)+40)), central: lie(20, uint32(len(raw)+40))}, honest("demo/z.py")), nil, "overlap what follows"},
		{"one stream for two", bad(good, func(f *forged) { f.central = lie(42, 0) }), nil, "local header"},
		// T4: names that lead elsewhere.
		{"parent", base(honest("demo/../../etc/passwd")), nil, `component ".."`},
		{"dot", base(honest("./demo.py")), nil, `component "."`},
		{"double slash", base(honest("demo//a.py")), nil, `component ""`},
		{"absolute", base(honest("/etc/passwd")), nil, "absolute"},
		{"drive", base(honest("C:/x")), nil, "drive"},
		{"backslash", base(honest(`demo\..\x`)), nil, "backslash"},
		{"NUL", base(honest("demo/a.py\x00.txt")), nil, "control characters"},
		{"control character", base(honest("demo/a\x1b[31m.py")), nil, "control characters"},
		{"empty name", base(honest("")), nil, "without a name"},
		{"not UTF-8", base(honest("demo/\xff.py")), nil, "not UTF-8"},
		{"unmarked UTF-8", base(honest("demo/ï.py")), nil, "no certain encoding"},
		{"whiteout", base(honest("demo/.wh.json")), nil, ".wh."},
		{"whiteout of a directory", base(honest("demo/.wh..wh..opq/x")), nil, ".wh."},
		{"symlink", base(forged{name: "demo/link", data: "/etc/passwd", mode: 0o120777}), nil, "symlink"},
		{"device", base(forged{name: "demo/dev", mode: 0o020666}), nil, "device"},
		{"setuid", base(forged{name: "demo/su", data: "x", mode: 0o104755}), nil, "setuid"},
		{"file and directory", base(honest("demo/a"), honest("demo/a/b")), nil, "both a file and a directory"},
		{"directory with content", base(forged{name: "demo/", data: "x", mode: 0o040755}), nil, "directory with content"},
		{"data of unknown kind", base(honest("demo-1.0.data/lib/x")), nil, "unknown kind of data"},
		{"interpreter among the scripts", base(honest("demo-1.0.data/scripts/python3.11")), nil, "is the interpreter's"},
		{"interpreter in data", base(honest("demo-1.0.data/data/bin/python")), nil, "replace the environment's interpreter"},
		{"configuration in data", base(honest("demo-1.0.data/data/pyvenv.cfg")), nil, "own configuration"},
		{"directory among the scripts", base(honest("demo-1.0.data/scripts/a/b")), nil, "a directory among the scripts"},
		{"two places", base(honest("x.py"), honest("demo-1.0.data/purelib/x.py")), nil, "two files would be installed"},
		{"launcher elsewhere", base(forged{name: "demo-1.0.dist-info/entry_points.txt", data: "[console_scripts]\n../../x = a:b\n"}), nil, "not a plain file name"},
		{"launcher for the interpreter", base(forged{name: "demo-1.0.dist-info/entry_points.txt", data: "[console_scripts]\npython3 = a:b\n"}), nil, "is the interpreter's"},
		{"launcher with code", base(forged{name: "demo-1.0.dist-info/entry_points.txt", data: "[console_scripts]\nx = a:b;import os\n"}), nil, "not of the form"},
		// T5: identity.
		{"another name", append(base()[1:], forged{name: "demo-1.0.dist-info/METADATA", data: "Name: evil\nVersion: 1.0\n"}), nil, `name "evil" is not "demo"`},
		{"another version", append(base()[1:], forged{name: "demo-1.0.dist-info/METADATA", data: "Name: demo\nVersion: 1.1\n"}), nil, `version "1.1" is not "1.0"`},
		{"two dist-infos", base(honest("other-1.0.dist-info/METADATA")), nil, "two .dist-info"},
		{"wheel of the future", append(base()[:1], base()[2], forged{name: "demo-1.0.dist-info/WHEEL", data: "Wheel-Version: 2.0\n"}), nil, "unsupported Wheel-Version"},
		{"no RECORD", base()[:2], nil, "it has no demo-1.0.dist-info/RECORD"},
		{"RECORD damaged", append(base()[:2], forged{name: "demo-1.0.dist-info/RECORD", data: "a,b\n"}), nil, "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := forge(t, tt.entries, tt.tail)
			if tt.name == "prefix" {
				data, tt.want = append([]byte("#!/bin/sh\nexit\n"), data...), "central directory is not where"
			}
			err := tryAll(data, filename, wheel.DefaultLimits())
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q says nothing of %q", err, tt.want)
			}
			var refused *wheel.Error
			if errors.As(err, &refused) && refused.Wheel != filename {
				t.Errorf("error names the wheel %q", refused.Wheel)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	entries := base(honest(strings.Repeat("d/", 9)+"x"), forged{name: "demo/zeros", data: zeros}, honest(strings.Repeat("n", 99)))
	data := forge(t, entries, nil)
	for want, change := range map[string]func(*wheel.Limits){
		"6 entries, more than 5":             func(l *wheel.Limits) { l.Entries = 5 },
		"installs more than 1000000 bytes":   func(l *wheel.Limits) { l.Installed = 1_000_000 },
		"more than 100 times":                func(l *wheel.Limits) { l.Ratio, l.RatioFrom = 100, 1000 },
		"longer than 98 bytes":               func(l *wheel.Limits) { l.PathLen = 98 },
		"component of its name is longer":    func(l *wheel.Limits) { l.NameLen = 98 },
		"deeper than 9 directories":          func(l *wheel.Limits) { l.Depth = 9 },
		"too many to be read at once, 10 at": func(l *wheel.Limits) { l.Metadata = 10 },
	} {
		l := wheel.DefaultLimits()
		change(&l)
		if err := tryAll(data, filename, l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v says nothing of %q", err, want)
		}
	}
	if err := tryAll(data, filename, wheel.DefaultLimits()); err != nil {
		t.Error(err)
	}
}

// Every cut and every flipped bit of a small wheel is refused, or changes nothing
// that is installed but what a reader may ignore: times, versions, attributes.
func TestDamagedArchives(t *testing.T) {
	data := forge(t, base(honest("demo/a.py")), nil)
	l := wheel.DefaultLimits()
	for n := range data {
		if err := tryAll(data[:n], filename, l); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", n, len(data))
		}
	}
	want := digestOf(t, data)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if err := tryAll(data, filename, l); err == nil && digestOf(t, data) != want && !executable(data) {
				t.Errorf("byte %d, bit %d: another layer without an error", i, bit)
			}
			data[i] ^= 1 << bit
		}
	}
}

func executable(data []byte) bool {
	w, err := wheel.New(bytes.NewReader(data), int64(len(data)), filename, wheel.DefaultLimits())
	if err != nil {
		return false
	}
	files, err := w.Plan(scheme, wheel.Options{})
	if err != nil {
		return false
	}
	for _, f := range files {
		if f.Mode == 0o755 {
			return true
		}
	}
	return false
}

func digestOf(t *testing.T, data []byte) string {
	t.Helper()
	r, err := packBytes(io.Discard, data, filename, wheel.DefaultLimits(), layer.Options{})
	if err != nil {
		return fmt.Sprint(err)
	}
	return r.DiffID
}
