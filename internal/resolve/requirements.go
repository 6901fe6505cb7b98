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
)

// included is a requirements file that another one names.
type included struct {
	path string
	data []byte
}

// maxIncludes bounds the files of one request.
const maxIncludes = 200

// includes reads the files that text names by -r and -c, and those that they name in turn. Paths in a file start at the
// file, and those in text at dir. A file that uv would fetch from the web is left to it.
func includes(dir, text string, more []string) ([]included, error) {
	type place struct{ dir, name string }
	var todo []place
	for _, name := range append(slices.Clone(more), includedNames(text)...) {
		todo = append(todo, place{dir, name})
	}
	var out []included
	seen := map[string]bool{}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		if strings.Contains(p.name, "://") {
			continue
		}
		path := p.name
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.dir, path)
		}
		if seen[path] {
			continue
		}
		seen[path] = true
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return out, &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements include %s, which does not exist", path)}
		}
		if err != nil {
			return out, &Error{Kind: Invalid, Reason: fmt.Sprintf("read included requirements: %v", err)}
		}
		if out = append(out, included{path, data}); len(out) > maxIncludes {
			return out, &Error{Kind: Invalid, Reason: fmt.Sprintf("requirements include more than %d files", maxIncludes)}
		}
		for _, name := range includedNames(string(data)) {
			todo = append(todo, place{filepath.Dir(path), name})
		}
	}
	return out, nil
}

// includedNames lists what a requirements file names by -r and -c.
func includedNames(text string) []string {
	var out []string
	for _, l := range logicalLines(text) {
		if v, ok := option(l, "-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints"); ok && v != "" {
			out = append(out, v)
		}
	}
	return out
}

// logicalLines joins what a backslash continues, and drops comments and empty lines.
func logicalLines(text string) []string {
	var out []string
	joined := ""
	for l := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if head, ok := strings.CutSuffix(l, "\\"); ok {
			joined += head
			continue
		}
		l = strings.TrimSpace(joined + l)
		joined = ""
		if i := comment.FindStringIndex(l); i != nil {
			l = strings.TrimSpace(l[:i[0]])
		}
		if l != "" {
			out = append(out, l)
		}
	}
	if l := strings.TrimSpace(joined); l != "" {
		out = append(out, l)
	}
	return out
}

var comment = regexp.MustCompile(`(^|\s)#`)

// option reads "-r x", "-rx", "--requirement x" or "--requirement=x".
func option(line string, names ...string) (value string, ok bool) {
	for _, name := range names {
		rest, ok := strings.CutPrefix(line, name)
		switch {
		case !ok:
		case rest == "" || rest[0] == ' ' || rest[0] == '\t':
			return unquote(strings.TrimSpace(rest)), true
		case rest[0] == '=':
			return unquote(strings.TrimSpace(rest[1:])), true
		case !strings.HasPrefix(name, "--"):
			return unquote(rest), true
		}
	}
	return "", false
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
func (r *Resolver) unset(text string, files []included) []string {
	for _, f := range files {
		text += "\n" + string(f.data)
	}
	var out []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if !r.passes(m[1]) && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
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
