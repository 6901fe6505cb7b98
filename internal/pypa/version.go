package pypa

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version of PEP 440. The zero value is not a version; ParseVersion makes one.
type Version struct {
	epoch   uint64
	release []uint64
	pre     part // kind "a", "b" or "rc"
	post    part // kind "post"
	dev     part // kind "dev"
	local   []string
}

// part is a lettered segment with its number; kind is "" where there is none.
type part struct {
	kind string
	n    uint64
}

// The pattern is that of PEP 440, appendix B, for lower-case text.
var versionPattern = regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]+)?)?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]+)?)?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]+)?)?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// ParseVersion reads a version as PEP 440 writes it, in any of the spellings that it allows.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return Version{}, fmt.Errorf("%q is not a version (PEP 440)", s)
	}
	var v Version
	var err error
	number := func(text string) uint64 {
		if text == "" || err != nil {
			return 0
		}
		var n uint64
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%q is not a version: the number %s is too large", s, text)
		}
		return n
	}
	v.epoch = number(m[1])
	for text := range strings.SplitSeq(m[2], ".") {
		v.release = append(v.release, number(text))
	}
	if m[3] != "" {
		v.pre = part{preKind(m[3]), number(m[4])}
	}
	if m[5] != "" || m[6] != "" {
		v.post = part{"post", number(m[5] + m[7])}
	}
	if m[8] != "" {
		v.dev = part{"dev", number(m[9])}
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(m[10], func(r rune) bool { return r == '-' || r == '_' || r == '.' })
		for i, text := range v.local {
			v.local[i] = trimZeros(text)
		}
	}
	return v, err
}

func preKind(s string) string {
	switch s {
	case "alpha":
		return "a"
	case "beta":
		return "b"
	case "c", "pre", "preview":
		return "rc"
	}
	return s
}

// trimZeros drops leading zeros of a numeric local segment, whose length has no limit.
func trimZeros(s string) string {
	if !isDigits(s) {
		return s
	}
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// String returns the version in the normal form of PEP 440.
func (v Version) String() string {
	var b strings.Builder
	if v.epoch != 0 {
		fmt.Fprintf(&b, "%d!", v.epoch)
	}
	for i, n := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatUint(n, 10))
	}
	if v.pre.kind != "" {
		fmt.Fprintf(&b, "%s%d", v.pre.kind, v.pre.n)
	}
	if v.post.kind != "" {
		fmt.Fprintf(&b, ".post%d", v.post.n)
	}
	if v.dev.kind != "" {
		fmt.Fprintf(&b, ".dev%d", v.dev.n)
	}
	if len(v.local) > 0 {
		b.WriteByte('+')
		b.WriteString(strings.Join(v.local, "."))
	}
	return b.String()
}

// Compare orders versions as PEP 440 does: negative where v comes before w.
func (v Version) Compare(w Version) int {
	return cmp.Or(
		cmp.Compare(v.epoch, w.epoch),
		compareRelease(v.release, w.release),
		comparePart(v.preKey(), w.preKey()),
		comparePart(v.postKey(), w.postKey()),
		comparePart(v.devKey(), w.devKey()),
		compareLocal(v.local, w.local),
	)
}

func compareRelease(a, b []uint64) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(at(a, i), at(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// at is a release segment, of which there are endlessly many zeros after the last.
func at(release []uint64, i int) uint64 {
	if i < len(release) {
		return release[i]
	}
	return 0
}

func comparePart(a, b part) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.n, b.n))
}

// preKey: 1.0.dev1 comes before 1.0a1, and a version without a pre-release after one with.
func (v Version) preKey() part {
	switch {
	case v.pre.kind != "":
		return v.pre
	case v.post.kind == "" && v.dev.kind != "":
		return part{}
	}
	return part{kind: "~"}
}

// postKey: a version without a post-release comes before one with.
func (v Version) postKey() part { return v.post }

// devKey: a version without a development release comes after one with.
func (v Version) devKey() part {
	if v.dev.kind == "" {
		return part{kind: "~"}
	}
	return v.dev
}

// compareLocal: numbers come after letters, and a longer one after its own beginning.
func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, y := isDigits(a[i]), isDigits(b[i])
		switch {
		case x && !y:
			return 1
		case y && !x:
			return -1
		case x && y:
			if c := cmp.Or(cmp.Compare(len(a[i]), len(b[i])), cmp.Compare(a[i], b[i])); c != 0 {
				return c
			}
		default:
			if c := cmp.Compare(a[i], b[i]); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(a), len(b))
}

// IsPrerelease reports whether the version is a pre-release or a development release.
func (v Version) IsPrerelease() bool { return v.pre.kind != "" || v.dev.kind != "" }

// Release returns the version's release numbers alone: 3.14.0 of 3.14.0rc1.
func (v Version) Release() Version { return Version{epoch: v.epoch, release: v.release} }

// Public returns the version without its local part.
func (v Version) Public() Version {
	v.local = nil
	return v
}

// Numbers returns the version's release numbers: 1, 2 and 0 of 1.2.0rc1.
func (v Version) Numbers() []uint64 { return v.release }
