package lockfile

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Requirements is a requirements.txt with all the files that it includes, read as pip and uv read it.
//
// Environment variables are filled in, so that URLs here may hold passwords: they are for the resolver, and for nothing that people see.
type Requirements struct {
	Lines       []RequirementLine
	Constraints []RequirementLine // of -c files: they bound versions, and ask for nothing
	Options     RequirementOptions
	Files       []string // all files that were read, the first first
}

// RequirementLine asks for one package.
type RequirementLine struct {
	File             string
	Line             int
	pypa.Requirement        // Name is empty where only what is built tells it: a directory, an archive, a URL of git
	Path             string // a local directory or file, relative to the first file's directory unless absolute
	Editable         bool
	Hashes           []string // "sha256:<hex>": any one of them will do
	Text             string   // the requirement as written, without options; variables filled in
}

// RequirementOptions are the options that stand on lines of their own, and hold for all files.
type RequirementOptions struct {
	Index         string   // --index-url; empty where none is given
	ExtraIndexes  []string // --extra-index-url
	FindLinks     []string // --find-links: URLs, or paths relative to the first file's directory
	NoIndex       bool
	NoBinary      FormatControl
	OnlyBinary    FormatControl
	Pre           bool
	PreferBinary  bool
	RequireHashes bool
	TrustedHosts  []string
}

// FormatControl is a set of packages: all, or some by their normalised names.
type FormatControl struct {
	All   bool
	Names []string
}

// Contains reports whether a package is in the set.
func (f FormatControl) Contains(name string) bool {
	return f.All || slices.Contains(f.Names, pypa.NormalizeName(name))
}

// Bounds on what is read, far beyond what people write.
const (
	maxRequirementFiles = 200
	maxRequirementDepth = 20
	maxRequirementBytes = 8 << 20 // of all files
	maxRequirementLines = 100_000 // of all files, of lines that ask for something
)

// Files is how requirements are read, with no file system of their own.
type Files struct {
	// Read returns a file's content. The path is as written, joined to the directory of the file that names it.
	Read func(path string) ([]byte, error)
	// Getenv returns a variable for ${NAME}; one that is not set stays as written.
	Getenv func(name string) (string, bool)
}

// ParseRequirements reads a requirements file and those that it includes. Errors are *Error, with file and line.
func ParseRequirements(name string, files Files) (*Requirements, error) {
	p := requirementsParser{files: files, out: &Requirements{}}
	if err := p.file(name, nil, false, origin{}); err != nil {
		return nil, err
	}
	if p.out.Options.NoIndex {
		p.out.Options.Index, p.out.Options.ExtraIndexes = "", nil
	}
	return p.out, nil
}

// Pin is a requirement that leaves nothing open.
type Pin struct {
	Name    string // normalised
	Version string
	Extras  []string
	Hashes  []string
}

// Pins returns what an environment needs, if the file leaves nothing open for it: each requirement that holds has one version, and with hashes for all of
// them installers take nothing else, which makes the list complete. Without hashes, what the listed packages depend on may be missing from the list.
// Where a requirement is open, it returns the first such line.
func (r *Requirements) Pins(env pypa.Environment) (pins []Pin, hashed bool, open *RequirementLine, err error) {
	vars := env.Markers()
	hashed = true
	at := map[string]int{}
	for i := range r.Lines {
		line := &r.Lines[i]
		ok, err := line.Marker.Decide(vars)
		if err != nil {
			return nil, false, nil, line.fail(err.Error())
		}
		if !ok {
			continue
		}
		version := line.Specifiers.Pin()
		if version == "" || line.Name == "" {
			return nil, false, line, nil
		}
		hashed = hashed && len(line.Hashes) > 0
		pin := Pin{Name: pypa.NormalizeName(line.Name), Version: version, Extras: normalized(slices.Clone(line.Extras)), Hashes: line.Hashes}
		if j, twice := at[pin.Name]; twice {
			if !sameVersion(pins[j].Version, pin.Version) {
				return nil, false, nil, line.fail(fmt.Sprintf("%s is pinned to %s, but elsewhere to %s", pin.Name, pin.Version, pins[j].Version))
			}
			pins[j].Extras, pins[j].Hashes = appendNew(pins[j].Extras, pin.Extras), appendNew(pins[j].Hashes, pin.Hashes)
			continue
		}
		at[pin.Name] = len(pins)
		pins = append(pins, pin)
	}
	return pins, hashed && len(pins) > 0, nil, nil
}

// sameVersion compares as PEP 440 does, where 1.0 is 1.
func sameVersion(a, b string) bool {
	v, err := pypa.ParseVersion(a)
	w, err2 := pypa.ParseVersion(b)
	return a == b || err == nil && err2 == nil && v.Compare(w) == 0
}

func (l *RequirementLine) fail(reason string) *Error {
	return &Error{File: l.File, Line: l.Line, Reason: reason}
}

// Flat returns the requirements as one file without includes: what a resolver needs, besides Options and Constraints. Paths are as in Path.
func (r *Requirements) Flat() string { return flat(r.Lines) }

// FlatConstraints returns the constraints as one file.
func (r *Requirements) FlatConstraints() string { return flat(r.Constraints) }

func flat(lines []RequirementLine) string {
	var b strings.Builder
	for i := range lines {
		l := &lines[i]
		if l.Editable {
			b.WriteString("-e ")
		}
		b.WriteString(l.Text)
		for _, h := range l.Hashes {
			b.WriteString(" --hash=" + h)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// origin is the line that included a file; of the first file it is empty.
type origin struct {
	file string
	line int
}

type requirementsParser struct {
	files Files
	out   *Requirements
	count int // files, each as often as it is included
	bytes int
}

// file reads one file. In above are the files that it is included from.
func (p *requirementsParser) file(name string, above []string, constraint bool, from origin) error {
	fail := func(reason string) error {
		if from.file == "" {
			return &Error{File: name, Reason: reason}
		}
		return &Error{File: from.file, Line: from.line, Reason: reason}
	}
	if slices.Contains(above, name) {
		return fail(fmt.Sprintf("%s includes itself, by way of %s", name, strings.Join(append(above, name), ", ")))
	}
	if p.count++; p.count > maxRequirementFiles || len(above) >= maxRequirementDepth {
		return fail("too many files include each other")
	}
	data, err := p.files.Read(name)
	if err != nil {
		return fail(fmt.Sprintf("read %s: %v", name, err))
	}
	if p.bytes += len(data); p.bytes > maxRequirementBytes {
		return fail(fmt.Sprintf("the requirements are larger than %d MB", maxRequirementBytes>>20))
	}
	if !slices.Contains(p.out.Files, name) {
		p.out.Files = append(p.out.Files, name)
	}
	text, err := decodeText(data)
	if err != nil {
		return &Error{File: name, Reason: err.Error()}
	}
	if line := conflictMarker([]byte(text)); line > 0 {
		return &Error{File: name, Line: line, Reason: "a merge conflict is not resolved"}
	}
	for _, l := range logicalLines(text) {
		at := origin{name, l.line}
		err := p.line(expandVariables(l.text, p.files.Getenv), at, append(slices.Clone(above), name), constraint)
		var known *Error
		if err != nil && !errors.As(err, &known) {
			err = &Error{File: at.file, Line: at.line, Reason: err.Error()}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// line reads one line: a requirement with its options, or options alone.
func (p *requirementsParser) line(text string, at origin, above []string, constraint bool) error {
	requirement, options := splitOptions(text)
	editable := false
	if m := editableLine.FindStringSubmatch(text); m != nil { // a marker can follow what is editable
		editable = true
		requirement, options = splitOptions(m[1])
	}
	words, err := shellWords(options)
	if err != nil {
		return err
	}
	parsed, err := parseOptions(words)
	if err != nil {
		return err
	}
	if requirement != "" {
		return p.require(requirement, parsed, at, constraint, editable)
	}
	for _, o := range parsed {
		switch o.name {
		case "--requirement", "--constraint":
			if isURL(o.value) {
				return fmt.Errorf("%s %s: a requirements file from the network is not read; put it beside this one", o.name, redact(o.value))
			}
			if err := p.file(besideFile(at.file, o.value), above, constraint || o.name == "--constraint", at); err != nil {
				return err
			}
		case "--hash":
			return errors.New("--hash stands with no requirement")
		default:
			if err := p.out.Options.set(o, at.file); err != nil {
				return err
			}
		}
	}
	return nil
}

// require takes a requirement in.
func (p *requirementsParser) require(text string, options []option, at origin, constraint, editable bool) error {
	l := RequirementLine{File: at.file, Line: at.line, Editable: editable}
	for _, o := range options {
		switch o.name {
		case "--hash":
			if err := checkHash(o.value); err != nil {
				return err
			}
			l.Hashes = append(l.Hashes, o.value)
		case "--global-option", "--config-settings":
			return fmt.Errorf("%s is a setting for a build, which is not supported here", o.name)
		default:
			return fmt.Errorf("%s cannot stand on the line of a requirement", o.name)
		}
	}
	if err := l.parse(text, at.file); err != nil {
		return err
	}
	list := &p.out.Lines
	if constraint {
		if l.Editable || l.Name == "" || len(l.Extras) > 0 {
			return fmt.Errorf("a constraint is the name of a package and a version, not %q", redact(text))
		}
		list = &p.out.Constraints
	}
	if len(p.out.Lines)+len(p.out.Constraints) >= maxRequirementLines {
		return errors.New("too many requirements")
	}
	*list = append(*list, l)
	return nil
}

// set takes in an option that holds for everything.
func (r *RequirementOptions) set(o option, file string) error {
	switch o.name {
	case "--index-url": // uv refuses two, where pip takes the last
		if r.Index != "" && r.Index != o.value {
			return errors.New("--index-url is given twice")
		}
		r.Index = o.value
	case "--extra-index-url":
		r.ExtraIndexes = append(r.ExtraIndexes, o.value)
	case "--find-links":
		at := o.value
		if !isURL(at) {
			at = besideFile(file, at)
		}
		r.FindLinks = append(r.FindLinks, at)
	case "--no-index":
		r.NoIndex = true
	case "--no-binary":
		r.NoBinary.take(o.value, &r.OnlyBinary)
	case "--only-binary":
		r.OnlyBinary.take(o.value, &r.NoBinary)
	case "--pre":
		r.Pre = true
	case "--prefer-binary":
		r.PreferBinary = true
	case "--require-hashes":
		r.RequireHashes = true
	case "--trusted-host":
		r.TrustedHosts = append(r.TrustedHosts, o.value)
	}
	return nil
}

// take adds names to a set and takes them from its opposite: the last word counts, as in pip.
func (f *FormatControl) take(value string, other *FormatControl) {
	words := strings.Split(value, ",")
	for {
		all := slices.Index(words, ":all:")
		if all < 0 {
			break
		}
		*f, *other = FormatControl{All: true}, FormatControl{}
		words = words[all+1:]
		if !slices.Contains(words, ":none:") {
			return // what follows is in the set already
		}
	}
	for _, w := range words {
		switch name := pypa.NormalizeName(strings.TrimSpace(w)); {
		case name == ":none:":
			*f = FormatControl{}
		case name != "":
			f.Names = appendNew(f.Names, []string{name})
			other.Names = slices.DeleteFunc(other.Names, func(n string) bool { return n == name })
		}
	}
}

// besideFile returns a path that a file names, which is relative to that file.
func besideFile(file, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(path.Dir(file), name)
}
