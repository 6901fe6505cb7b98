package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// composed is what requirements come to when all files that they name are read. uv gets this and none of the files:
// it would build what stands behind an -e in them, --no-build or not (0.7.2 and 0.13.9, by experiment), so no
// line reaches it that was not understood here.
type composed struct {
	requirements []string
	constraints  []string
	overrides    []string
	files        []string // that were read
	texts        []string // what was in them
}

// role is what a file's lines are taken for.
type role int

const (
	asRequirements role = iota
	asConstraints
	asOverrides
)

// maxFiles bounds the files of one request.
const maxFiles = 200

// composer reads requirements. Its options take up the indexes that they name.
type composer struct {
	options *options
	expand  func(string) string
	out     composed
	seen    map[string]bool
}

// compose reads text, whose relative paths start at dir, and what pip_extra_args names.
func compose(dir, text string, o *options, expand func(string) string) (composed, error) {
	c := &composer{options: o, expand: expand, seen: map[string]bool{}}
	for _, f := range o.files {
		if err := c.file(dir, f.name, f.role); err != nil {
			return c.out, err
		}
	}
	return c.out, c.text(dir, text, asRequirements)
}

func (c *composer) text(dir, text string, as role) error {
	c.out.texts = append(c.out.texts, text)
	for _, l := range logicalLines(text) {
		if strings.ContainsFunc(l, odd) {
			return &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements hold a control character: %q", redact(l))}
		}
		if err := c.line(dir, l, as); err != nil {
			return err
		}
	}
	return nil
}

// odd reports characters that may end a line for one reader and not for another.
func odd(r rune) bool {
	return r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar)
}

func (c *composer) line(dir, l string, as role) error {
	if l[0] != '-' {
		switch as {
		case asRequirements:
			c.out.requirements = append(c.out.requirements, l)
		case asConstraints:
			c.out.constraints = append(c.out.constraints, l)
		case asOverrides:
			c.out.overrides = append(c.out.overrides, l)
		}
		return nil
	}
	name, value := option(l)
	switch name {
	case "-r", "--requirement", "--requirements":
		return c.file(dir, value, as)
	case "-c", "--constraint", "--constraints":
		return c.file(dir, value, asConstraints)
	case "-e", "--editable":
		return &Error{
			Kind: NeedsBuild, Reason: "requirements ask for an editable install: " + redact(value), Packages: []string{redact(value)},
			Hint: "uv would run its build on this machine to resolve it; name the package without -e, or use a uv.lock",
		}
	case "-i", "--index-url", "--pypi-url":
		if c.options.index == "" { // as on a command line, pip_index goes before it
			c.options.index = c.expand(value)
		}
	case "--extra-index-url":
		c.options.extra = append(c.options.extra, c.expand(value))
	case "-f", "--find-links":
		c.options.findLinks = append(c.options.findLinks, located(dir, c.expand(value)))
	case "--no-index", "--no-binary", "--only-binary":
		c.options.args = append(c.options.args, strings.TrimSuffix(name+"="+value, "="))
	case "--require-hashes":
		c.options.requireHashes = true
	case "--pre", "--prefer-binary", "--trusted-host": // which uv ignores here, or which say nothing to a resolver
	default:
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements hold an option that uv does not know there: %q", redact(name))}
	}
	return nil
}

// file reads a file that is named in one of dir.
func (c *composer) file(dir, name string, as role) error {
	if name == "" || strings.Contains(name, "://") {
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements include %q, which is no file of this machine", redact(name)), Hint: "copy it beside them"}
	}
	path := located(dir, name)
	key := fmt.Sprint(as, path)
	if c.seen[key] {
		return nil
	}
	c.seen[key] = true
	if len(c.seen) > maxFiles {
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements include more than %d files", maxFiles)}
	}
	data, err := readText(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements include %s, which does not exist", path)}
	}
	if err != nil {
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("read included requirements: %v", err)}
	}
	if !slices.Contains(c.out.files, path) {
		c.out.files = append(c.out.files, path)
	}
	return c.text(filepath.Dir(path), strings.TrimPrefix(string(data), "\ufeff"), as)
}

// maxText bounds one file: a device, or what was never meant to be read here, must not fill the memory.
const maxText = 16 << 20

func readText(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case fi.Size() > maxText:
		return nil, fmt.Errorf("%s is longer than %d MB", path, maxText>>20)
	}
	return os.ReadFile(path)
}

func located(dir, name string) string {
	if filepath.IsAbs(name) || strings.Contains(name, "://") || strings.HasPrefix(name, "file:") {
		return name
	}
	return filepath.Join(dir, name)
}

// logicalLines joins what a backslash continues, and drops comments and empty lines.
func logicalLines(text string) []string {
	var out []string
	joined := ""
	for l := range strings.SplitSeq(newlines.Replace(text)+"\n", "\n") {
		if head, ok := strings.CutSuffix(l, "\\"); ok && !strings.HasPrefix(strings.TrimSpace(joined+l), "#") {
			joined += head
			continue
		}
		l = strings.TrimSpace(joined + l)
		joined = ""
		if i := comment.FindStringIndex(l); i != nil {
			l = strings.TrimSpace(l[:i[0]])
		}
		if l = strings.TrimRight(l, "\\ \t"); l != "" {
			out = append(out, l)
		}
	}
	return out
}

var (
	newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	comment  = regexp.MustCompile(`(^|\s)#`)
)

// option takes "-r x", "-rx", "--requirement x" or "--requirement=x" apart.
func option(line string) (name, value string) {
	end := strings.IndexAny(line, " \t=")
	if !strings.HasPrefix(line, "--") {
		end = min(2, len(line))
	}
	if end < 0 {
		return line, ""
	}
	value = strings.TrimSpace(line[end:])
	value = strings.TrimSpace(strings.TrimPrefix(value, "="))
	return line[:end], unquote(value)
}

func unquote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// wordName is flytekit's own pattern, ^[\w-]+, in which \w is any letter, digit or underscore.
var wordName = regexp.MustCompile(`^[\p{L}\p{N}_-]+`)

// leading returns what flytekit takes for a line's package.
func leading(line string) string { return wordName.FindString(line) }

var packageName = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)

// requirementName returns the package of a PEP 508 requirement.
func requirementName(s string) string {
	m := packageName.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1]
}

// variable is a variable as requirement files use it: ${NAME}, in capitals.
var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

// unset lists the variables that requirements use and uv does not get.
func (r *Resolver) unset(texts []string) []string {
	var out []string
	for _, t := range texts {
		for _, m := range variable.FindAllStringSubmatch(t, -1) {
			if !r.passes(m[1]) && !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// expand puts in the variables that uv gets, as it does.
func (r *Resolver) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		if name := v[2 : len(v)-1]; r.passes(name) && r.lookup(name) != "" {
			return r.lookup(name)
		}
		return v
	})
}
