package imagespec

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// JSON writes the arguments that were given, in dataclass order and in the form that ParseKwargs reads.
func (s Spec) JSON() json.RawMessage {
	var b strings.Builder
	writeSpecJSON(&b, s)
	return json.RawMessage(b.String())
}

// MarshalJSON makes a Spec part of a larger document.
func (s Spec) MarshalJSON() ([]byte, error) { return s.JSON(), nil }

// UnmarshalJSON is the reverse.
func (s *Spec) UnmarshalJSON(b []byte) (err error) {
	*s, err = ParseKwargs(b)
	return err
}

func writeSpecJSON(b *strings.Builder, s Spec) {
	b.WriteString("{")
	first := true
	for _, f := range fieldNames {
		v := s.fields[f]
		if v == nil {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.WriteString(`"` + f + `": `)
		writeJSON(b, v)
	}
	b.WriteString("}")
}

func writeJSON(b *strings.Builder, v Value) {
	switch v := v.(type) {
	case nil, None:
		b.WriteString("null")
	case Bool:
		fmt.Fprintf(b, "%t", bool(v))
	case Int:
		b.WriteString(v.String())
	case Float:
		if f := float64(v); math.IsInf(f, 0) || math.IsNaN(f) {
			b.WriteString(`{"__float__": "` + reprFloat(f) + `"}`)
		} else {
			b.WriteString(reprFloat(f))
		}
	case Str:
		writeJSONText(b, string(v))
	case Path:
		writeMarked(b, "path", func() { writeJSONText(b, string(v)) })
	case CopyMode:
		writeMarked(b, "copymode", func() { writeJSONText(b, v.String()) })
	case List:
		writeJSONItems(b, v)
	case Tuple:
		writeMarked(b, "tuple", func() { writeJSONItems(b, v) })
	case Spec:
		writeMarked(b, "imagespec", func() { writeSpecJSON(b, v) })
	case *Dict:
		writeJSONDict(b, v)
	}
}

func writeMarked(b *strings.Builder, mark string, inner func()) {
	b.WriteString(`{"__` + mark + `__": `)
	inner()
	b.WriteString("}")
}

func writeJSONItems(b *strings.Builder, vs []Value) {
	b.WriteString("[")
	for i, v := range vs {
		if i > 0 {
			b.WriteString(", ")
		}
		writeJSON(b, v)
	}
	b.WriteString("]")
}

// writeJSONDict writes an object, or pairs where a key is no str or the object would read as a mark.
func writeJSONDict(b *strings.Builder, d *Dict) {
	if !allStr(d.Keys) || len(d.Keys) == 1 && strings.HasPrefix(str(d.Keys[0]), "__") {
		writeMarked(b, "dict", func() {
			list := make([]Value, len(d.Keys))
			for i := range d.Keys {
				list[i] = List{d.Keys[i], d.Values[i]}
			}
			writeJSONItems(b, list)
		})
		return
	}
	b.WriteString("{")
	for i, k := range d.Keys {
		if i > 0 {
			b.WriteString(", ")
		}
		writeJSONText(b, str(k))
		b.WriteString(": ")
		writeJSON(b, d.Values[i])
	}
	b.WriteString("}")
}

func writeJSONText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); {
		c, n := decode(s[i:])
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(c))
		case c < 0x20 || surrogate(c):
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
		i += n
	}
	b.WriteByte('"')
}
