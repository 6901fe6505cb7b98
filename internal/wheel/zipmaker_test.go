package wheel_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
	"testing"
)

// member is one entry of a wheel made by a test.
type member struct {
	name   string
	text   string
	mode   fs.FileMode // 0: 0644
	stored bool
}

const wheelFile = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

// members is a whole wheel of demo 1.0: what is given, the metadata, and a true RECORD.
func members(given ...member) []member {
	all := append(given,
		member{name: "demo-1.0.dist-info/METADATA", text: "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\nRequires-Python: >=3.9\n\nbody\n"},
		member{name: "demo-1.0.dist-info/WHEEL", text: wheelFile},
	)
	var record strings.Builder
	for _, m := range all {
		if strings.HasSuffix(m.name, "/") {
			continue
		}
		name := m.name
		if strings.ContainsAny(name, ",\"") {
			name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
		sum := sha256.Sum256([]byte(m.text))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\r\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(m.text))
	}
	record.WriteString("demo-1.0.dist-info/RECORD,,\r\n")
	return append(all, member{name: "demo-1.0.dist-info/RECORD", text: record.String()})
}

// archive writes entries with true local headers: sizes first, no data descriptors.
func archive(t testing.TB, all []member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range all {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(m.text)), UncompressedSize64: uint64(len(m.text))}
		if m.name != strings.ToValidUTF8(m.name, "") || strings.IndexFunc(m.name, func(r rune) bool { return r > 127 }) >= 0 {
			h.Flags |= 0x800 // UTF-8
		}
		mode := m.mode
		switch {
		case strings.HasSuffix(m.name, "/"):
			mode, h.Method = fs.ModeDir|0o755, zip.Store
		case mode == 0:
			mode = 0o644
		}
		if m.stored {
			h.Method = zip.Store
		}
		h.SetMode(mode)
		raw := []byte(m.text)
		if h.Method == zip.Deflate {
			raw = deflate(t, raw)
		}
		h.CompressedSize64 = uint64(len(raw))
		w, err := z.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deflate(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// everything is a wheel with all that a wheel may hold.
func everything() []member {
	return members(
		member{name: "demo/__init__.py", text: ""},
		member{name: "demo/core.py", text: strings.Repeat("print('hello')\n", 500)},
		member{name: "demo/run.sh", text: "#!/bin/sh\necho hello\n", mode: 0o755},
		member{name: "demo/group.sh", text: "#!/bin/sh\n", mode: 0o654},
		member{name: "demo/table.bin", text: strings.Repeat("\x00\x01\xfe", 40000), stored: true},
		member{name: "demo/a,b \"c\".txt", text: "odd name"},
		member{name: "demo/naïve.txt", text: "ï"},
		member{name: "demo/empty/"},
		member{name: "demo/deep/er/"},
		member{name: "demo-1.0.data/purelib/demo_pure.py", text: "x = 1\n"},
		member{name: "demo-1.0.data/platlib/demo_plat/"},
		member{name: "demo-1.0.data/platlib/demo_plat/y.py", text: "y = 1\n"},
		member{name: "demo-1.0.data/headers/demo.h", text: "int demo;\n"},
		member{name: "demo-1.0.data/data/share/demo/x.conf", text: "conf\n"},
		member{name: "demo-1.0.data/data/etc/empty/"},
		member{name: "demo-1.0.data/scripts/demo-script", text: "#!python\nprint(1)\n"},
		member{name: "demo-1.0.data/scripts/demo-gui", text: "#!pythonw -x\r\nprint(1)\r\n"},
		member{name: "demo-1.0.data/scripts/demo-cr", text: "#!python -x\rprint(1)\rprint(2)\n"},
		member{name: "demo-1.0.data/scripts/demo-bare", text: "#!python"},
		member{name: "demo-1.0.data/scripts/demo-short", text: "#!py"},
		member{name: "demo-1.0.data/scripts/demo-binary", text: "\x7fELF" + strings.Repeat("\x00", 3000), mode: 0o755},
		member{name: "demo-1.0.data/scripts/demo.exe", text: "MZ"},
		member{name: "demo-1.0.dist-info/entry_points.txt", text: "# launchers\n[console_scripts]\ndemo = demo.core:main.run\n" +
			"demo-extra = demo.core : main [a, b]\n ; note\npip3 = demo:pip\npip3.7 = demo:pip\n\n[gui_scripts]\ndemo-win=demo.gui:main\n\n[other]\na = b\n  c\n"},
		member{name: "demo-1.0.dist-info/INSTALLER", text: "pip\n"},
		member{name: "demo-1.0.dist-info/licenses/LICENSE", text: "free\n"},
	)
}
