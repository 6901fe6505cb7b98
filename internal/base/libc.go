package base

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

var glibcFile = regexp.MustCompile(`^libc-(2\.\d+)\.so$`)

// libcDirs are where the dynamic loader of a Linux system lies, below / or /usr.
var libcDirs = []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"}

// libc says which C library is there: it decides what wheels run. Zero when none is
// found. Where there are two (musl added to a Debian), glibc is the system's own.
func libc(t *tree) pypa.Libc {
	var glibc, musl string
	see := func(p string, n *node) {
		base := path.Base(p)
		switch {
		case glibcName.MatchString(base):
			if v := glibcOf(t, p, n); newer(v, glibc) {
				glibc = v
			}
		case strings.HasPrefix(base, "ld-musl-"), strings.HasPrefix(base, "libc.musl-"):
			if f := t.follow(p); f != nil && newer(f.file.facts.musl, musl) {
				musl = f.file.facts.musl
			}
		}
	}
	for _, dir := range libcDirs {
		d := t.lookup(dir)
		if d == nil {
			continue
		}
		for name, n := range d.children {
			see(path.Join(dir, name), n)
			if n.children != nil && strings.Contains(name, "-linux-") { // Debian's multiarch
				for sub, c := range n.children {
					see(path.Join(dir, name, sub), c)
				}
			}
		}
	}
	if glibc != "" {
		return version("glibc", glibc)
	}
	if musl != "" {
		return version("musl", musl)
	}
	return pypa.Libc{}
}

// glibcOf reads the version from the file that libc.so.6 leads to, or from that file's name.
func glibcOf(t *tree, p string, n *node) string {
	f := t.follow(p)
	if f == nil {
		return ""
	}
	if v := f.file.facts.glibc; v != "" {
		return v
	}
	for _, name := range []string{path.Base(n.link), path.Base(p)} {
		if m := glibcFile.FindStringSubmatch(name); m != nil {
			return m[1]
		}
	}
	return ""
}

func newer(a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	x, y := version("", a), version("", b)
	return x.Major > y.Major || x.Major == y.Major && x.Minor > y.Minor
}

func version(kind, s string) pypa.Libc {
	major, rest, _ := strings.Cut(s, ".")
	minor, _, _ := strings.Cut(rest, ".")
	l := pypa.Libc{Kind: kind}
	l.Major, _ = strconv.Atoi(major) // digits: the expressions see to it
	l.Minor, _ = strconv.Atoi(minor)
	return l
}
