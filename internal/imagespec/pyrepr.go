package imagespec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Repr is Python's repr(v). A Spec in it is written as the dict that dataclasses.asdict
// makes of it under the newest rule.
func Repr(v Value) string {
	var b strings.Builder
	writeRepr(&b, v, newest)
	return b.String()
}

func writeRepr(b *strings.Builder, v Value, r rule) {
	switch v := v.(type) {
	case nil, None:
		b.WriteString("None")
	case Bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case Int:
		b.WriteString(v.String())
	case Float:
		b.WriteString(reprFloat(float64(v)))
	case Str:
		writeStr(b, string(v))
	case Path:
		b.WriteString("PosixPath(")
		writeStr(b, string(v))
		b.WriteString(")")
	case CopyMode:
		fmt.Fprintf(b, "<CopyFileDetection.%s: %d>", v, int(v))
	case List:
		b.WriteString("[")
		writeItems(b, v, r)
		b.WriteString("]")
	case Tuple:
		b.WriteString("(")
		writeItems(b, v, r)
		if len(v) == 1 {
			b.WriteString(",")
		}
		b.WriteString(")")
	case *Dict:
		b.WriteString("{")
		for i, k := range v.Keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, k, r)
			b.WriteString(": ")
			writeRepr(b, v.Values[i], r)
		}
		b.WriteString("}")
	case Spec:
		writeFields(b, v, r)
	}
}

func writeItems(b *strings.Builder, vs []Value, r rule) {
	for i, v := range vs {
		if i > 0 {
			b.WriteString(", ")
		}
		writeRepr(b, v, r)
	}
}

// writeStr is repr(str): single quotes, unless that needs an escape and double quotes do not.
func writeStr(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for i := 0; i < len(s); {
		c, n := decode(s[i:])
		writeRune(b, c, s[i:i+n], rune(quote))
		i += n
	}
	b.WriteByte(quote)
}

func writeRune(b *strings.Builder, c rune, raw string, quote rune) {
	switch {
	case c == quote || c == '\\':
		b.WriteByte('\\')
		b.WriteRune(c)
	case c == '\t':
		b.WriteString(`\t`)
	case c == '\n':
		b.WriteString(`\n`)
	case c == '\r':
		b.WriteString(`\r`)
	case printable(c):
		b.WriteString(raw)
	case c <= 0xff:
		fmt.Fprintf(b, `\x%02x`, c)
	case c <= 0xffff:
		fmt.Fprintf(b, `\u%04x`, c)
	default:
		fmt.Fprintf(b, `\U%08x`, c)
	}
}

// printable is str.isprintable of one character. Go's tables are of Unicode 15, as those of
// CPython 3.12; other CPythons differ for the characters assigned in between.
func printable(c rune) bool {
	if c < utf8.RuneSelf {
		return c >= 0x20 && c < 0x7f
	}
	return !surrogate(c) && unicode.IsPrint(c)
}

func surrogate(c rune) bool { return c >= 0xd800 && c <= 0xdfff }

// decode reads the first character of s; a lone surrogate is one character (see Str).
func decode(s string) (rune, int) {
	c, n := utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && n == 1 && len(s) >= 3 && s[0] == 0xed && s[1] >= 0xa0 && s[1] <= 0xbf && s[2]&0xc0 == 0x80 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return c, n
}

// appendChar is the reverse of decode.
func appendChar(b []byte, c rune) []byte {
	if surrogate(c) {
		return append(b, 0xe0|byte(c>>12), 0x80|byte(c>>6)&0xbf, 0x80|byte(c)&0x3f)
	}
	return utf8.AppendRune(b, c)
}

// reprFloat writes the shortest decimal that reads back as f, in Python's notation.
func reprFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if f == 0 || (exp >= -4 && exp < 16) {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return e // Go writes at least two digits of exponent too
}
