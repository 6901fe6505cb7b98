package layer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Options is how a layer is written. The zero value serves.
type Options struct {
	ModTime time.Time // of everything in the layer; zero: Epoch
	// Parents, if set, gives the header of a directory that lies above an entry and
	// was not written before: the Writer then puts it in. A layer that leaves its
	// parents out makes engines create them as root's.
	Parents func(dir string) Header
	// Workers inflate ahead of the writer; 0 or 1: the caller's goroutine does it all.
	Workers int
	// Digest, if set, gives the digest of what was written to the Writer's own: where
	// that takes one anyway, no second is taken.
	Digest func() string
}

// Result is what a finished layer is known by.
type Result struct {
	Digest    string // sha256:<hex> of the gzip
	DiffID    string // sha256:<hex> of the tar
	Size      int64  // of the gzip
	Installed int64  // bytes of file content
	Files     int
	// Mismatched are files that are not what the wheel's RECORD says. Their CRC-32
	// is right: this is how the wheel was published.
	Mismatched []Mismatch
}

// Mismatch is a file whose hash is not the wanted one.
type Mismatch struct {
	Path string
	Want string
	Got  string // in Want's algorithm; empty where that algorithm proves nothing
}

// Writer writes one layer. Its methods are called by one goroutine, in the order
// of the entries; Close must be called in every case, and ends all goroutines.
// A reader given to it must stay readable until Close, since workers read it later.
type Writer struct {
	o     Options
	mtime int64
	out   *output
	queue *queue // nil without workers
	seen  map[string]byte
	err   error
	files int
	bytes int64
	head  []byte // headers, and padding of the entry before, for the next entry
}

var errClosed = errors.New("layer is closed")

// NewWriter starts a layer; its gzip goes to w.
func NewWriter(w io.Writer, o Options) *Writer {
	if o.ModTime.IsZero() {
		o.ModTime = Epoch
	}
	l := &Writer{o: o, mtime: o.ModTime.Unix(), out: newOutput(w, o.Digest), seen: map[string]byte{}}
	if o.Workers > 1 {
		l.queue = newQueue(l.out, o.Workers)
	}
	return l
}

// Dir writes a directory. One that is there already is left as it is.
func (l *Writer) Dir(h Header) error {
	if l.err == nil && l.seen[h.Path] == typeDir {
		return nil
	}
	return l.entry(h, typeDir, "")
}

// opaque is the name of the entry that hides what lower layers hold in its directory
// (OCI image-spec, layer.md). It stands before the directory's other entries.
const opaque = ".wh..wh..opq"

// Opaque makes a directory, which was written just before, hide what lower layers hold in it.
func (l *Writer) Opaque(dir Header) error {
	if l.err == nil && l.seen[dir.Path] != typeDir {
		_ = l.fail(fmt.Errorf("hide what is below %s: it is no directory of this layer", dir.Path))
	}
	if l.err == nil {
		l.head = appendHeader(l.head, Header{Path: dir.Path + "/" + opaque, Mode: 0o644}, typeFile, "", l.mtime)
	}
	return l.err
}

// Gone takes away what lower layers hold at a path, with all below it.
func (l *Writer) Gone(p string) error {
	if l.err != nil {
		return l.err
	}
	if err := checkPath(p); err != nil {
		return l.fail(err)
	}
	if err := l.parents(p); err != nil {
		return l.fail(err)
	}
	if l.seen[p] != 0 {
		return l.fail(fmt.Errorf("take %s away: it is in this layer", p))
	}
	at := strings.LastIndexByte(p, '/') + 1
	l.head = appendHeader(l.head, Header{Path: p[:at] + whiteout + p[at:], Mode: 0o644}, typeFile, "", l.mtime)
	return nil
}

// Symlink writes a symbolic link.
func (l *Writer) Symlink(h Header, target string) error {
	if target == "" {
		return l.fail(fmt.Errorf("write %s: empty link target", h.Path))
	}
	return l.entry(h, typeSymlink, target)
}

// File writes a file whose content is at hand; h.Size is ignored.
func (l *Writer) File(h Header, data []byte) error {
	h.Size = int64(len(data))
	if err := l.entry(h, typeFile, ""); err != nil {
		return err
	}
	l.head = append(l.head, data...)
	l.pad(h.Size)
	return l.flushHead()
}

// Deflate writes a file from the raw deflate stream of a zip entry, which must be
// compressedSize long to the byte, and inflate to h.Size bytes with the given CRC-32.
// want is the hash of the content in RECORD's form (sha256=<base64url>), or empty.
func (l *Writer) Deflate(h Header, raw io.Reader, compressedSize int64, crc uint32, want string) error {
	return l.stream(h, &job{path: h.Path, raw: raw, deflated: true, rawSize: compressedSize, size: h.Size, crc: crc, want: want})
}

// Store writes a file from a stored zip entry: h.Size bytes with the given CRC-32.
func (l *Writer) Store(h Header, raw io.Reader, crc uint32, want string) error {
	return l.stream(h, &job{path: h.Path, raw: raw, rawSize: h.Size, size: h.Size, crc: crc, want: want})
}

// Close ends the layer. After an error it only frees what the Writer holds, and
// returns that error.
func (l *Writer) Close() (Result, error) {
	if l.err == nil {
		l.head = append(l.head, make([]byte, 2*blockSize)...)
		_ = l.fail(l.submit(&job{}))
	}
	if l.queue != nil {
		_ = l.fail(l.queue.close())
		l.queue = nil
	}
	if l.err == nil {
		_ = l.fail(l.out.finish())
	}
	if l.err != nil {
		return Result{}, l.err
	}
	l.err = errClosed
	r := l.out.result()
	r.Installed, r.Files = l.bytes, l.files
	return r, nil
}

// entry puts the header of one entry, and of parents that are still missing, into head.
func (l *Writer) entry(h Header, kind byte, target string) error {
	if l.err != nil {
		return l.err
	}
	if err := checkPath(h.Path); err != nil {
		return l.fail(err)
	}
	if h.Size < 0 || h.UID < 0 || h.GID < 0 {
		return l.fail(fmt.Errorf("write %s: negative size or owner", h.Path))
	}
	if err := l.parents(h.Path); err != nil {
		return l.fail(err)
	}
	if old := l.seen[h.Path]; old != 0 && (old == typeDir) != (kind == typeDir) {
		return l.fail(fmt.Errorf("write %s: a directory and something else have the same path", h.Path))
	}
	l.seen[h.Path] = kind
	l.head = appendHeader(l.head, h, kind, target, l.mtime)
	if kind == typeFile {
		l.files++
		l.bytes += h.Size
	}
	return nil
}

// parents puts in the directories above p, highest first.
func (l *Writer) parents(p string) error {
	for i := 1; i < len(p); i++ {
		if p[i] != '/' {
			continue
		}
		dir := p[:i]
		switch kind := l.seen[dir]; {
		case kind == typeDir:
		case kind != 0:
			return fmt.Errorf("write %s: %s is not a directory", p, dir)
		case l.o.Parents != nil:
			h := l.o.Parents(dir)
			h.Path = dir
			l.seen[dir] = typeDir
			l.head = appendHeader(l.head, h, typeDir, "", l.mtime)
		}
	}
	return nil
}

func (l *Writer) stream(h Header, j *job) error {
	if err := l.entry(h, typeFile, ""); err != nil {
		return err
	}
	err := l.submit(j)
	l.pad(h.Size)
	return l.fail(err)
}

func (l *Writer) pad(size int64) {
	l.head = append(l.head, make([]byte, padding(size))...)
}

// flushHead hands head on before it grows big.
func (l *Writer) flushHead() error {
	if len(l.head) < chunkSize {
		return nil
	}
	return l.fail(l.submit(&job{}))
}

// submit hands on what stands in head, and the job's stream after it.
func (l *Writer) submit(j *job) error {
	j.head, l.head = l.head, nil
	if l.queue != nil {
		return l.queue.submit(j)
	}
	if err := l.out.begin(j); err != nil {
		return err
	}
	if j.raw == nil {
		return nil
	}
	if err := l.out.inline.process(j, l.out.block); err != nil {
		return err
	}
	return l.out.end(j)
}

// fail keeps the first error.
func (l *Writer) fail(err error) error {
	if l.err == nil {
		l.err = err
	}
	return l.err
}
