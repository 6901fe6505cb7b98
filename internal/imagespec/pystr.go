package imagespec

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func itoa(n int) string { return strconv.Itoa(n) }

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// lower is str.lower. It differs from strings.ToLower in two characters: a dotted capital I becomes two,
// and a capital sigma depends on its neighbours.
func lower(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] < utf8.RuneSelf
	}
	if plain {
		return strings.ToLower(s)
	}
	var chars []rune
	for i := 0; i < len(s); {
		c, n := decode(s[i:])
		chars = append(chars, c)
		i += n
	}
	var out []byte
	for i, c := range chars {
		switch {
		case c == 'İ':
			out = append(out, "i\u0307"...)
		case c == 'Σ' && finalSigma(chars, i):
			out = append(out, "ς"...)
		case surrogate(c):
			out = appendChar(out, c)
		default:
			out = appendChar(out, unicode.ToLower(c))
		}
	}
	return string(out)
}

// finalSigma is Unicode's condition Final_Sigma at chars[i].
func finalSigma(chars []rune, i int) bool {
	before := i - 1
	for before >= 0 && caseIgnorable(chars[before]) {
		before--
	}
	after := i + 1
	for after < len(chars) && caseIgnorable(chars[after]) {
		after++
	}
	return before >= 0 && cased(chars[before]) && !(after < len(chars) && cased(chars[after]))
}

func cased(c rune) bool {
	return unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c) ||
		unicode.In(c, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(c rune) bool {
	return unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", c)
}

// strip is str.strip().
func strip(s string) string { return strings.TrimFunc(s, space) }

// space is str.isspace of one character.
func space(c rune) bool { return unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f }

// osPath turns a str into the bytes that Python gives the system: a surrogate U+DC80..U+DCFF stands for
// a byte that is no UTF-8.
func osPath(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var out []byte
	for i := 0; i < len(s); {
		c, n := decode(s[i:])
		if c >= 0xdc80 && c <= 0xdcff {
			out = append(out, byte(c))
		} else {
			out = append(out, s[i:i+n]...)
		}
		i += n
	}
	return string(out)
}

func codeHex(c rune) string { return strconv.FormatInt(int64(c), 16) }
