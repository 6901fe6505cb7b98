package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Wheel is an open wheel. It may be used by several goroutines at once.
type Wheel struct {
	Filename string
	Name     string // normalised
	Version  string // as METADATA has it
	Metadata Metadata

	closer   io.Closer
	r        io.ReaderAt
	limits   Limits
	entries  []zipEntry
	byName   map[string]int
	distInfo string // "pandas-2.2.3", of pandas-2.2.3.dist-info
}

// Metadata is the few fields of METADATA and WHEEL that matter to an installer.
type Metadata struct {
	RequiresPython string
	Purelib        bool // Root-Is-Purelib; both lie in the same place of a venv
	Tags           []string
}

// Open opens the wheel at path, which was published as filename.
func Open(path, filename string, l Limits) (*Wheel, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	w, err := New(f, info.Size(), filename, l)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	w.closer = f
	return w, nil
}

// New reads a wheel from r, which must stay readable as long as the wheel is used.
func New(r io.ReaderAt, size int64, filename string, l Limits) (*Wheel, error) {
	w := &Wheel{Filename: filename, r: r, limits: l}
	if err := w.load(size); err != nil {
		return nil, w.explain(err)
	}
	return w, nil
}

// Close closes what Open opened.
func (w *Wheel) Close() error {
	if w.closer == nil {
		return nil
	}
	return w.closer.Close()
}

// Raw gives the stream of an entry as it lies in the archive: deflate, or stored
// bytes. It stays readable until Close, independently of others.
func (w *Wheel) Raw(f File) (io.Reader, error) {
	if f.Data != nil || f.Mode.IsDir() {
		return nil, w.explain(refuseEntry(f.Path, "it is no entry of the archive"))
	}
	return io.NewSectionReader(w.r, f.Entry.Offset, f.Entry.CompressedSize), nil
}

// explain names the wheel in errors about it; others, as of reading, it wraps.
func (w *Wheel) explain(err error) error {
	var r *reason
	if errors.As(err, &r) {
		return &Error{Wheel: w.Filename, Entry: r.entry, Reason: r.text}
	}
	return fmt.Errorf("wheel %s: %w", w.Filename, err)
}

func (w *Wheel) load(size int64) error {
	entries, err := readZip(w.r, size, w.limits)
	if err != nil {
		return err
	}
	w.entries = entries
	w.byName = make(map[string]int, len(entries))
	for i := range entries {
		w.byName[entries[i].name] = i
	}
	if err := w.checkTree(); err != nil {
		return err
	}
	if err := w.findDistInfo(); err != nil {
		return err
	}
	return w.readMetadata()
}

// checkTree refuses a file that is also the directory of another.
func (w *Wheel) checkTree() error {
	for i := range w.entries {
		name := strings.TrimSuffix(w.entries[i].name, "/")
		if w.entries[i].dir() {
			if _, ok := w.byName[name]; ok {
				return refuseEntry(name, "it is both a file and a directory")
			}
		}
		for at := strings.LastIndexByte(name, '/'); at > 0; at = strings.LastIndexByte(name[:at], '/') {
			if _, ok := w.byName[name[:at]]; ok {
				return refuseEntry(name[:at], "it is both a file and a directory")
			}
		}
	}
	return nil
}

const distInfoSuffix = ".dist-info"

func (w *Wheel) findDistInfo() error {
	for i := range w.entries {
		top, _, ok := strings.Cut(w.entries[i].name, "/")
		if !ok || !strings.HasSuffix(top, distInfoSuffix) {
			continue
		}
		prefix := strings.TrimSuffix(top, distInfoSuffix)
		if w.distInfo != "" && prefix != w.distInfo {
			return refuse("it has two .dist-info directories: %s and %s", w.distInfo, prefix)
		}
		w.distInfo = prefix
	}
	if w.distInfo == "" {
		return refuse("it has no .dist-info directory")
	}
	return nil
}

func (w *Wheel) meta(file string) string { return w.distInfo + distInfoSuffix + "/" + file }

func (w *Wheel) readMetadata() error {
	text, err := w.content(w.meta("WHEEL"))
	if err != nil {
		return err
	}
	fields := parseFields(text)
	version := first(fields["wheel-version"])
	major, _, ok := strings.Cut(version, ".")
	if !ok || major != "1" && version != "0.1" {
		return refuseEntry(w.meta("WHEEL"), "unsupported Wheel-Version %q", version)
	}
	w.Metadata.Purelib = first(fields["root-is-purelib"]) == "true"
	w.Metadata.Tags = fields["tag"]
	if text, err = w.content(w.meta("METADATA")); err != nil {
		return err
	}
	fields = parseFields(text)
	w.Metadata.RequiresPython = first(fields["requires-python"])
	w.Name, w.Version = pypa.NormalizeName(first(fields["name"])), first(fields["version"])
	return w.checkIdentity()
}

// checkIdentity holds the file's name, METADATA and the .dist-info directory's name
// against each other. A file may have a local version that METADATA lacks, as in uv.
func (w *Wheel) checkIdentity() error {
	file, err := pypa.ParseWheelName(w.Filename)
	if err != nil {
		return refuse("%v", err)
	}
	if name := pypa.NormalizeName(file.Name); w.Name != name {
		return refuseEntry(w.meta("METADATA"), "its name %q is not %q as the file says", w.Name, name)
	}
	if !sameVersion(w.Version, file.Version) {
		return refuseEntry(w.meta("METADATA"), "its version %q is not %q as the file says", w.Version, file.Version)
	}
	at := strings.LastIndexByte(w.distInfo, '-')
	if at < 0 || pypa.NormalizeName(w.distInfo[:at]) != w.Name || !sameVersion(w.distInfo[at+1:], file.Version) {
		return refuse("its directory %s does not belong to %s %s", w.distInfo+distInfoSuffix, w.Name, file.Version)
	}
	return nil
}

// sameVersion reports whether got is want, or want without its local part.
func sameVersion(got, want string) bool {
	g, err := pypa.ParseVersion(strings.ReplaceAll(got, "_", "+"))
	if err != nil {
		return got == want
	}
	v, err := pypa.ParseVersion(want)
	if err != nil {
		return got == want
	}
	return g.Compare(v) == 0 || g.Compare(v.Public()) == 0
}

// content reads a whole entry, and proves it.
func (w *Wheel) content(name string) ([]byte, error) {
	i, ok := w.byName[name]
	if !ok {
		return nil, refuse("it has no %s", name)
	}
	e := &w.entries[i]
	if e.size > w.limits.Metadata {
		return nil, refuseEntry(name, "%d bytes are too many to be read at once, %d at most", e.size, w.limits.Metadata)
	}
	if e.csize > w.limits.Metadata {
		return nil, refuseEntry(name, "%d compressed bytes are too many to be read at once", e.csize)
	}
	raw := make([]byte, e.csize)
	if err := readFull(w.r, raw, e.offset); err != nil {
		return nil, err
	}
	if e.method == Deflated {
		source := bytes.NewReader(raw)
		data, err := io.ReadAll(io.LimitReader(flate.NewReader(source), e.size+1))
		if err != nil {
			return nil, refuseEntry(name, "%v", err)
		}
		if source.Len() != 0 {
			return nil, refuseEntry(name, "its deflate stream ends %d bytes too soon", source.Len())
		}
		raw = data
	}
	if int64(len(raw)) != e.size || crc32.ChecksumIEEE(raw) != e.crc {
		return nil, refuseEntry(name, "its content has another size or CRC-32 than the archive says")
	}
	return raw, nil
}

// begins reports whether an entry's content starts with text.
func (w *Wheel) begins(e *zipEntry, text string) (bool, error) {
	r := io.Reader(io.NewSectionReader(w.r, e.offset, e.csize))
	if e.method == Deflated {
		r = flate.NewReader(r)
	}
	start := make([]byte, len(text))
	n, err := io.ReadFull(r, start)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return false, nil
	}
	if err != nil {
		return false, refuseEntry(e.name, "%v", err)
	}
	return string(start[:n]) == text, nil
}

// parseFields reads the header of an email-like file: keys in lower case.
func parseFields(text []byte) map[string][]string {
	fields := map[string][]string{}
	key := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if v := fields[key]; len(v) > 0 {
				v[len(v)-1] = strings.TrimSpace(v[len(v)-1] + " " + strings.TrimSpace(line))
			}
			continue
		}
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			break
		}
		key = strings.ToLower(k)
		fields[key] = append(fields[key], strings.TrimSpace(v))
	}
	return fields
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
