package wheel

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// row is one line of RECORD. A size below 0 is an empty field.
type row struct {
	path string
	hash string
	size int64
}

// parseRecord reads RECORD as uv does: three fields, absolute paths made relative
// (selenium has published such).
func parseRecord(text []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = 3
	r.LazyQuotes = true
	r.ReuseRecord = true
	var rows []row
	for {
		f, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			var at *csv.ParseError
			if errors.As(err, &at) {
				return nil, refuse("line %d: %v", at.Line, at.Err)
			}
			return nil, err
		}
		size := int64(-1)
		if f[2] != "" {
			n, err := strconv.ParseUint(f[2], 10, 63)
			if err != nil {
				line, _ := r.FieldPos(2)
				return nil, refuse("line %d: size %q is no number", line, f[2])
			}
			size = int64(n)
		}
		rows = append(rows, row{path: strings.Clone(strings.TrimLeft(f[0], "/")), hash: strings.Clone(f[1]), size: size})
	}
}

// heal makes the rows match the files that the archive really has, as uv (from
// 0.8 on) does before it installs: rows of files that are not there go, so that an
// uninstall can never be led outside, and files without a row get one. The
// signatures that an old standard allowed are not listed.
func heal(rows []row, files map[string]int64, distInfo string) []row {
	left := make(map[string]int64, len(files))
	for name, size := range files {
		left[name] = size
	}
	kept := rows[:0]
	for _, r := range rows {
		name := path.Clean(r.path)
		if _, ok := left[name]; ok {
			delete(left, name)
			kept = append(kept, r)
		}
	}
	delete(left, distInfo+"/RECORD.jws")
	delete(left, distInfo+"/RECORD.p7s")
	for name, size := range left {
		kept = append(kept, row{path: name, size: size})
	}
	return kept
}

// formatRecord writes RECORD as uv does: sorted, quoted only where needed, "\n".
func formatRecord(rows []row) []byte {
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.hash, b.hash), cmp.Compare(a.size, b.size))
	})
	var b []byte
	for _, r := range rows {
		b = append(appendField(b, r.path), ',')
		b = append(appendField(b, r.hash), ',')
		if r.size >= 0 {
			b = strconv.AppendInt(b, r.size, 10)
		}
		b = append(b, '\n')
	}
	return b
}

func appendField(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

func recordHash(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// mismatch compares content with a hash of RECORD; nil: they agree, or there is none.
func mismatch(want string, data []byte) *Mismatch {
	name, value, _ := strings.Cut(want, "=")
	var sum []byte
	switch name {
	case "":
		return nil
	case "sha256":
		h := sha256.Sum256(data)
		sum = h[:]
	case "sha384":
		h := sha512.Sum384(data)
		sum = h[:]
	case "sha512":
		h := sha512.Sum512(data)
		sum = h[:]
	default: // md5 and the like, which the standard forbids
		return &Mismatch{Want: want}
	}
	if got := base64.RawURLEncoding.EncodeToString(sum); got != strings.TrimRight(value, "=") {
		return &Mismatch{Want: want, Got: name + "=" + got}
	}
	return nil
}
