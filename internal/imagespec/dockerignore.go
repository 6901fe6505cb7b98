package imagespec

import (
	"os"
	"regexp"
	"strings"
)

// pattern is one line of a .dockerignore as docker-py reads it.
type pattern struct {
	negative bool
	parts    int
	re       *regexp.Regexp
}

func (ig *ignore) readDockerIgnore(file string) error {
	st, err := os.Stat(file)
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fileError("source_root", file, file, err)
	}
	ig.inputs = append(ig.inputs, input(file, b, true))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(b))
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := ig.addPattern(strip(line)); err != nil {
			return err
		}
	}
	return ig.addPattern("!.dockerignore")
}

func (ig *ignore) addPattern(line string) error {
	var p pattern
	line, p.negative = strings.CutPrefix(line, "!")
	parts := patternParts(strip(line))
	if len(parts) == 0 {
		return nil
	}
	p.parts = len(parts)
	expr, err := dockerPattern(strings.Join(parts, "/"))
	if err != nil {
		return err
	}
	if p.re, err = regexp.Compile(expr); err != nil {
		return &Unsupported{Field: "source_root", Reason: ".dockerignore: pattern " + line}
	}
	ig.docker = append(ig.docker, p)
	return nil
}

// patternParts splits a path, drops empty parts and ".", and resolves "..".
func patternParts(s string) []string {
	var parts []string
	for p := range strings.SplitSeq(s, "/") {
		switch p {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, p)
		}
	}
	return parts
}

// matchDocker is docker-py's PatternMatcher.matches: the last pattern that matches decides. A pattern also
// matches a file if it matches the leading folders of as many parts as it has itself.
func matchDocker(patterns []pattern, p string) bool {
	ignored := false
	name := lower(p)
	parent := ""
	if i := strings.LastIndex(p, "/"); i >= 0 {
		parent = p[:i]
	}
	parents := noDots(parent)
	for _, pat := range patterns {
		hit := pat.re.MatchString(name)
		if !hit && parent != "" && pat.parts <= len(parents) {
			hit = pat.re.MatchString(lower(strings.Join(parents[:pat.parts], "/")))
		}
		if hit {
			ignored = !pat.negative
		}
	}
	return ignored
}

// noDots splits a path and drops empty parts and ".".
func noDots(s string) []string {
	var parts []string
	for p := range strings.SplitSeq(s, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

// dockerPattern turns a pattern into a regular expression as docker-py's fnmatch does; case does not matter.
func dockerPattern(pat string) (string, error) {
	var b strings.Builder
	b.WriteString(`\A`)
	c := []rune(lower(pat))
	for i := 0; i < len(c); {
		ch := c[i]
		i++
		switch ch {
		case '*':
			if i >= len(c) || c[i] != '*' {
				b.WriteString(`[^/]*`)
				continue
			}
			i++
			if i < len(c) && c[i] == '/' {
				i++
			}
			if i >= len(c) {
				b.WriteString(`.*`)
			} else {
				b.WriteString(`(?:.*/)?`)
			}
		case '?':
			b.WriteString(`[^/]`)
		case '[':
			end := classEnd(c, i)
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			if err := writeClass(&b, c[i:end]); err != nil {
				return "", err
			}
			i = end + 1
		default:
			b.WriteString(regexp.QuoteMeta(string(ch)))
		}
	}
	b.WriteString(`\n?\z`) // Python's $
	return b.String(), nil
}

// classEnd finds the bracket that closes the class whose content begins at i; -1 if none does.
func classEnd(c []rune, i int) int {
	if i < len(c) && c[i] == '!' {
		i++
	}
	if i < len(c) && c[i] == ']' {
		i++
	}
	for ; i < len(c); i++ {
		if c[i] == ']' {
			return i
		}
	}
	return -1
}

// writeClass writes the content of a class so that Go reads it as Python's re does: only ranges are special.
func writeClass(b *strings.Builder, c []rune) error {
	b.WriteString("[")
	if c[0] == '!' {
		b.WriteString("^")
		c = c[1:]
	}
	for i := 0; i < len(c); i++ {
		lo, hi := c[i], c[i]
		if i+2 < len(c) && c[i+1] == '-' {
			hi = c[i+2]
			i += 2
		}
		if hi < lo {
			return &PythonError{Type: "re.error", Field: "source_root", Message: "bad character range " + string(lo) + "-" + string(hi)}
		}
		b.WriteString(`\x{` + codeHex(lo) + `}-\x{` + codeHex(hi) + `}`)
	}
	b.WriteString("]")
	return nil
}
