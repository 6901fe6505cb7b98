package lockfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// contentHash is poetry's digest of what pyproject.toml says about dependencies. A lock with another one is behind its project,
// and `poetry install` refuses it. Before poetry 2.3, groups of PEP 735 did not count.
func contentHash(doc map[string]any, withGroups bool) (string, error) {
	project, _ := doc["project"].(map[string]any)
	tool, _ := doc["tool"].(map[string]any)
	poetry, _ := tool["poetry"].(map[string]any)
	groups, _ := doc["dependency-groups"].(map[string]any)
	if !withGroups {
		groups = nil
	}
	ours := map[string]any{}
	for _, key := range [...]string{"requires-python", "dependencies", "optional-dependencies"} {
		if v, ok := project[key]; ok {
			ours[key] = v
		}
	}
	// Keys that poetry always had are written even where they are not there, unless there are newer ones that matter.
	standard := len(ours) > 0 || len(groups) > 0
	theirs := map[string]any{}
	for _, key := range [...]string{"dependencies", "source", "extras", "dev-dependencies", "group"} {
		v, ok := poetry[key]
		if ok || !standard && key != "group" {
			theirs[key] = v
		}
	}
	content := theirs
	if standard {
		content = map[string]any{"tool": map[string]any{"poetry": theirs}}
		if len(ours) > 0 {
			content["project"] = ours
		}
		if len(groups) > 0 {
			content["dependency-groups"] = groups
		}
	}
	var b strings.Builder
	if err := writeJSON(&b, content); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:]), nil
}

// fresh reports whether a lock's hash is that of the project.
func fresh(doc map[string]any, want, header string) (bool, error) {
	got, err := contentHash(doc, true)
	if err != nil || got == want {
		return err == nil, err
	}
	_, by, ok := strings.Cut(header, "Poetry ")
	by, _, _ = strings.Cut(by, " ")
	v, err := pypa.ParseVersion(by)
	limit, _ := pypa.ParseVersion("2.3.0")
	if !ok || err != nil || v.Compare(limit) >= 0 {
		return false, nil //nolint:nilerr // made by a poetry of unknown version: the newest rule holds
	}
	got, err = contentHash(doc, false)
	return got == want, err
}

// writeJSON writes a value as Python's json.dumps(value, sort_keys=True) does.
func writeJSON(b *strings.Builder, value any) error {
	switch v := value.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(pythonFloat(v))
	case string:
		writeString(b, v)
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			writeString(b, key)
			b.WriteString(": ")
			if err := writeJSON(b, v[key]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	default: // a date, at which poetry fails
		return fmt.Errorf("a dependency cannot hold a value like %v", value)
	}
	return nil
}

// writeString writes a string in ASCII alone.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case ' ' <= r && r <= '~':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}

// pythonFloat writes a number as Python's repr does.
func pythonFloat(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	case v == 0 || math.Abs(v) >= 1e-4 && math.Abs(v) < 1e16:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return strconv.FormatFloat(v, 'e', -1, 64)
}
