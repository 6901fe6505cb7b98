package lockfile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

var coding = regexp.MustCompile(`^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)`)

// decodeText returns a file's text, which a byte order mark or a comment in the first two lines (PEP 263) can say to be other than UTF-8.
func decodeText(data []byte) (string, error) {
	if rest, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		return utf8Text(rest)
	}
	if rest, ok := bytes.CutPrefix(data, []byte("\xff\xfe")); ok {
		return utf16Text(rest, binary.LittleEndian)
	}
	if rest, ok := bytes.CutPrefix(data, []byte("\xfe\xff")); ok {
		return utf16Text(rest, binary.BigEndian)
	}
	for i, line := range bytes.SplitN(data, []byte("\n"), 3) {
		m := coding.FindSubmatch(line)
		if m == nil || i == 2 {
			continue
		}
		switch name := strings.ToLower(strings.ReplaceAll(string(m[1]), "_", "-")); name {
		case "utf-8", "utf8", "ascii", "us-ascii", "utf-8-sig":
		case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
			runes := make([]rune, len(data))
			for i, b := range data {
				runes[i] = rune(b)
			}
			return string(runes), nil
		default:
			return "", fmt.Errorf("its coding is %s, and only utf-8, utf-16 and latin-1 are read", name)
		}
	}
	return utf8Text(data)
}

func utf8Text(data []byte) (string, error) {
	if !utf8.Valid(data) {
		return "", errors.New("it is not UTF-8")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", errors.New("it holds a NUL byte, so it is not a text")
	}
	return string(data), nil
}

func utf16Text(data []byte, order binary.ByteOrder) (string, error) {
	if len(data)%2 != 0 {
		return "", errors.New("it is UTF-16 that ends in half a character")
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return utf8Text([]byte(string(utf16.Decode(units))))
}

// logicalLine is one or more lines joined by backslashes, without comments.
type logicalLine struct {
	line int // of the first
	text string
}

var (
	lineEnd     = regexp.MustCompile(`\r\n|\r|\n`)
	comment     = regexp.MustCompile(`(^|\s+)#.*$`)
	wholeRemark = regexp.MustCompile(`^\s*#`)
)

// logicalLines joins continued lines as pip does: a line that is a comment ends them.
func logicalLines(text string) []logicalLine {
	var out []logicalLine
	var joined []string
	first := 0
	flush := func(line int) {
		text := strings.TrimSpace(comment.ReplaceAllString(strings.Join(joined, ""), ""))
		if text != "" {
			out = append(out, logicalLine{line, text})
		}
		joined = nil
	}
	for i, line := range lineEnd.Split(text, -1) {
		if len(joined) == 0 {
			first = i + 1
		}
		remark := wholeRemark.MatchString(line)
		if remark {
			line = " " + line // so that it does not stick to what it ends
		}
		if !remark && strings.HasSuffix(line, "\\") {
			joined = append(joined, strings.Trim(line, "\\"))
			continue
		}
		joined = append(joined, line)
		flush(first)
	}
	flush(first)
	return out
}

var variable = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// expandVariables fills in ${NAME}. One that is not set, or empty, stays as it is, and so does one that would make more lines.
func expandVariables(text string, getenv func(string) (string, bool)) string {
	if getenv == nil || !strings.Contains(text, "${") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := getenv(name[2 : len(name)-1]); ok && value != "" && !strings.ContainsAny(value, "\r\n\x00") {
			return value
		}
		return name
	})
}

var editableLine = regexp.MustCompile(`^(?:-e\s*|--editable\s+|--editable\s*=\s*)([^\s=].*)$`)

// splitOptions takes a line apart at the first word that is an option.
func splitOptions(text string) (requirement, options string) {
	at := 0
	for at < len(text) {
		if text[at] == '-' && (at == 0 || text[at-1] == ' ' || text[at-1] == '\t') {
			return strings.TrimSpace(text[:at]), text[at:]
		}
		at++
	}
	return strings.TrimSpace(text), ""
}

// shellWords splits as a shell does: quotes keep spaces, a backslash keeps the next character.
func shellWords(text string) ([]string, error) {
	var out []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				out = append(out, word.String())
				word.Reset()
			}
			inWord = false
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}

// option is one option with its value, under its long name.
type option struct{ name, value string }

// knownOptions says of each option whether it takes a value.
var knownOptions = map[string]bool{
	"--requirement": true, "--constraint": true, "--index-url": true, "--extra-index-url": true, "--find-links": true,
	"--no-index": false, "--no-binary": true, "--only-binary": true, "--prefer-binary": false, "--pre": false, "--require-hashes": false,
	"--trusted-host": true, "--use-feature": true, "--hash": true, "--global-option": true, "--config-settings": true,
}

var optionNames = map[string]string{
	"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links", "-C": "--config-settings",
	"--pypi-url": "--index-url", "--config-setting": "--config-settings",
}

func parseOptions(words []string) ([]option, error) {
	var out []option
	for i := 0; i < len(words); i++ {
		name, value, hasValue := strings.Cut(words[i], "=")
		switch {
		case !strings.HasPrefix(name, "-"):
			return nil, fmt.Errorf("%q is not expected here", redact(words[i]))
		case !strings.HasPrefix(name, "--") && len(words[i]) > 2: // the value sticks to the option: -rother.txt
			name, value, hasValue = words[i][:2], words[i][2:], true
		}
		if long, ok := optionNames[name]; ok {
			name = long
		}
		takes, ok := knownOptions[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("the option %s is not known here", name)
		case !takes && hasValue:
			return nil, fmt.Errorf("the option %s takes no value", name)
		case takes && !hasValue:
			if i++; i == len(words) {
				return nil, fmt.Errorf("the option %s has no value", name)
			}
			value = words[i]
		}
		if takes && value == "" {
			return nil, fmt.Errorf("the option %s has an empty value", name)
		}
		out = append(out, option{name, value})
	}
	return out, nil
}

// hashSizes are the algorithms that pip takes, all others being weak, by the length of their digests.
var hashSizes = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}

func checkHash(text string) error {
	algorithm, digest, _ := strings.Cut(text, ":")
	size, ok := hashSizes[algorithm]
	if !ok {
		return fmt.Errorf("--hash=%s is not of sha256, sha384 or sha512", text)
	}
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != size {
		return fmt.Errorf("--hash=%s is not a digest of %s", text, algorithm)
	}
	return nil
}

var (
	urlStart  = regexp.MustCompile(`^(?i)([a-z][a-z0-9+.-]*)://|^file:`)
	namedURL  = regexp.MustCompile(`^[A-Za-z0-9._-]+\s*(\[[^\]]*\])?\s*@\s`)
	pathExtra = regexp.MustCompile(`^(.+?)\s*\[([^\[\]]*)\]$`)
)

func isURL(text string) bool { return urlStart.MatchString(text) }

// parse reads what stands before the options: a requirement of PEP 508, a URL, or a path.
func (l *RequirementLine) parse(text, file string) error {
	l.Text = text
	bare, marker, err := splitMarker(text)
	if err != nil {
		return err
	}
	switch {
	case isURL(bare):
		return l.setURL(bare, marker)
	case l.Editable && !namedURL.MatchString(bare) || looksLikePath(bare):
		return l.setPath(bare, marker, file)
	}
	if l.Requirement, err = pypa.ParseRequirement(text); err != nil {
		return errors.New(redact(err.Error()))
	}
	if l.URL != "" && !isURL(l.URL) {
		l.Path = besideFile(file, l.URL)
	}
	return nil
}

// splitMarker takes the marker off a URL or a path, where it follows white space and a semicolon.
func splitMarker(text string) (string, pypa.Marker, error) {
	at := strings.Index(text, "; ")
	if at < 0 || !isURL(text) && !looksLikePath(strings.TrimSpace(text[:at])) {
		return text, pypa.Marker{}, nil
	}
	m, err := pypa.ParseMarker(strings.TrimSpace(text[at+1:]))
	return strings.TrimSpace(text[:at]), m, err
}

// looksLikePath reports whether text is a path: it starts like one, or ends like an archive. "name @ url" is not one.
func looksLikePath(text string) bool {
	if strings.ContainsAny(text, "@;<>=!~") && !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, "/") {
		return false
	}
	if m := pathExtra.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	return text == "." || text == ".." || strings.ContainsRune(text, '/') || isWheel(text) || isSdist(text)
}

func (l *RequirementLine) setURL(text string, marker pypa.Marker) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("it is not a URL")
	}
	l.URL, l.Marker = text, marker
	fragment, err := url.ParseQuery(u.Fragment)
	if err == nil && fragment.Get("egg") != "" {
		egg := fragment.Get("egg")
		if m := pathExtra.FindStringSubmatch(egg); m != nil {
			egg, l.Extras = m[1], splitList(m[2])
		}
		l.Name = egg
	} else if name, err := lastOfURL(text); err == nil {
		l.nameFrom(name)
	}
	if l.Name != "" && !pypa.IsName(l.Name) {
		return fmt.Errorf("%q is not the name of a package", l.Name)
	}
	for algorithm := range hashSizes {
		if digest := fragment.Get(algorithm); err == nil && digest != "" && len(l.Hashes) == 0 {
			l.Hashes = []string{algorithm + ":" + digest}
		}
	}
	if u.Scheme == "file" {
		l.Path = u.Path
		if u.Opaque != "" {
			l.Path = u.Opaque
		}
	}
	return nil
}

func (l *RequirementLine) setPath(text string, marker pypa.Marker, file string) error {
	extras := ""
	if m := pathExtra.FindStringSubmatch(text); m != nil {
		text, extras = m[1], m[2]
		l.Extras = splitList(extras)
	}
	if strings.ContainsAny(text, "\x00\n") || text == "" {
		return fmt.Errorf("%q is not a path", text)
	}
	l.Path, l.Marker = besideFile(file, text), marker
	l.nameFrom(path.Base(text))
	// In the flat file, the path is the one seen from there.
	l.Text = l.Path
	if !path.IsAbs(l.Path) {
		l.Text = "./" + l.Path
	}
	if extras != "" {
		l.Text += "[" + extras + "]"
	}
	if marker.String() != "" {
		l.Text += " ; " + marker.String()
	}
	return nil
}

// nameFrom takes the name and version from a wheel's file name.
func (l *RequirementLine) nameFrom(filename string) {
	if w, err := pypa.ParseWheelName(filename); err == nil {
		l.Name = pypa.NormalizeName(w.Name)
	}
}

func splitList(text string) []string {
	var out []string
	for e := range strings.SplitSeq(text, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

var userinfo = regexp.MustCompile(`://[^/\s@]*@`)

// redact takes passwords out of what goes into a message.
func redact(text string) string { return userinfo.ReplaceAllString(text, "://****@") }
