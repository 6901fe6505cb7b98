package base

import (
	"bytes"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// facts are what a program says of itself in its read-only data.
type facts struct {
	magic   string   // the first bytes: "\x7fELF", "#!/bin/..."
	pythons []string // all that look like versions of Python 3: "3.11.11"
	pypy    bool
	threads bool   // it calls itself a free-threading build
	glibc   string // "2.36"
	musl    string // "1.2.3"
}

var (
	pythonName = regexp.MustCompile(`^(python|python3|python3\.\d+[a-z]*|platform-python3\.\d+|libpython3\.\d+[a-z]*\.so(\.1\.0)?)$`)
	glibcName  = regexp.MustCompile(`^(libc\.so\.6|libc-2\.\d+\.so)$`)
	muslName   = regexp.MustCompile(`^(ld-musl-.*\.so\.1|libc\.musl-.*\.so\.1|libc\.so)$`)

	pythonVersion = regexp.MustCompile(`\x00(3\.\d+\.\d+(?:(?:a|b|rc)\d+)?)\+?\x00`)
	glibcVersion  = regexp.MustCompile(`GNU C Library [^\x00]*release version (\d+\.\d+)`)
	muslVersion   = regexp.MustCompile(`\x00(1\.\d+\.\d+)(?:-git[^\x00]*)?\x00`)
)

// scannerFor returns what reads the facts of the file at p; nil when there are none to read.
func scannerFor(p string) func(io.Reader, *facts) error {
	base := path.Base(p)
	switch {
	case pythonName.MatchString(base):
		return func(r io.Reader, f *facts) error {
			return scan(r, f, func(window []byte) {
				f.pypy = f.pypy || bytes.Contains(window, []byte("libpypy"))
				f.threads = f.threads || bytes.Contains(window, []byte("free-threading build ("))
				// The first test is many times faster than the expression, and mostly says no.
				if bytes.Contains(window, []byte("\x003.")) {
					f.pythons = appendAll(f.pythons, pythonVersion, window)
				}
			})
		}
	case glibcName.MatchString(base):
		return func(r io.Reader, f *facts) error {
			return scan(r, f, func(window []byte) {
				if i := bytes.Index(window, []byte("GNU C Library ")); i >= 0 {
					f.glibc = first(f.glibc, glibcVersion, window[i:])
				}
			})
		}
	case muslName.MatchString(base):
		return func(r io.Reader, f *facts) error {
			return scan(r, f, func(window []byte) {
				if bytes.Contains(window, []byte("\x001.")) {
					f.musl = first(f.musl, muslVersion, window)
				}
			})
		}
	}
	return nil
}

const (
	scanChunk   = 256 << 10
	scanOverlap = 512 // more than any text that is sought
)

// scan shows look all of r in windows that overlap.
func scan(r io.Reader, f *facts, look func(window []byte)) error {
	buf := make([]byte, scanOverlap+scanChunk)
	held := 0
	for {
		n, err := io.ReadFull(r, buf[held:])
		window := buf[:held+n]
		if f.magic == "" {
			line, _, _ := strings.Cut(string(window[:min(len(window), 128)]), "\n")
			f.magic = line
		}
		look(window)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		held = copy(buf, window[len(window)-scanOverlap:])
	}
}

func first(known string, re *regexp.Regexp, window []byte) string {
	if known != "" {
		return known
	}
	if m := re.FindSubmatch(window); m != nil {
		return string(m[1])
	}
	return ""
}

func appendAll(known []string, re *regexp.Regexp, window []byte) []string {
	for _, m := range re.FindAllSubmatch(window, -1) {
		if v := string(m[1]); !slices.Contains(known, v) && len(known) < 32 {
			known = append(known, v)
		}
	}
	return known
}
