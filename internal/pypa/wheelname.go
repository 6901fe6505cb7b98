package pypa

import (
	"fmt"
	"strconv"
	"strings"
)

// WheelName is what a wheel's file name says (PEP 427). Name and Version are as written: the wheel's
// .dist-info directory is usually called by them.
type WheelName struct {
	Name    string
	Version string
	Build   string // build tag; mostly empty
	Tags    []Tag  // compressed tag sets expanded, in order
}

// ParseWheelName takes a wheel's file name apart.
func ParseWheelName(filename string) (WheelName, error) {
	stem, ok := strings.CutSuffix(filename, ".whl")
	if !ok {
		return WheelName{}, fmt.Errorf("%q is not a wheel's name: it does not end in .whl", filename)
	}
	if strings.ContainsAny(stem, "/\\ \t\r\n\x00") {
		return WheelName{}, fmt.Errorf("%q is not a wheel's name: a character in it is not allowed", filename)
	}
	parts := strings.Split(stem, "-")
	if len(parts) != 5 && len(parts) != 6 {
		return WheelName{}, fmt.Errorf("%q is not a wheel's name: it has %d parts, not 5 or 6", filename, len(parts))
	}
	for _, p := range parts {
		if p == "" {
			return WheelName{}, fmt.Errorf("%q is not a wheel's name: a part of it is empty", filename)
		}
	}
	w := WheelName{Name: parts[0], Version: parts[1]}
	if len(parts) == 6 {
		w.Build = parts[2]
		if w.Build[0] < '0' || w.Build[0] > '9' {
			return WheelName{}, fmt.Errorf("%q is not a wheel's name: the build tag %q starts with no digit", filename, w.Build)
		}
	}
	if _, err := ParseVersion(w.Version); err != nil {
		return WheelName{}, fmt.Errorf("%q is not a wheel's name: %w", filename, err)
	}
	n := len(parts)
	w.Tags = expandTags(parts[n-3], parts[n-2], parts[n-1])
	return w, nil
}

func expandTags(python, abi, platform string) []Tag {
	tags := make([]Tag, 0, 1+strings.Count(python, ".")+strings.Count(platform, "."))
	for p := range strings.SplitSeq(python, ".") {
		for a := range strings.SplitSeq(abi, ".") {
			for f := range strings.SplitSeq(platform, ".") {
				tags = append(tags, Tag{p, a, f})
			}
		}
	}
	return tags
}

// CompareBuild orders two build tags: none comes first, then by number, then by the letters after it.
func CompareBuild(a, b string) int {
	if a == "" || b == "" {
		return len(a) - len(b)
	}
	an, as := splitBuild(a)
	bn, bs := splitBuild(b)
	switch {
	case an < bn:
		return -1
	case an > bn:
		return 1
	}
	return strings.Compare(as, bs)
}

func splitBuild(s string) (uint64, string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	// A number too large for 64 bits counts as the largest.
	n, _ := strconv.ParseUint(s[:i], 10, 64)
	return n, s[i:]
}
