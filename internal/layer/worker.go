package layer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// job is one step of a layer: headers, then perhaps the stream of one file.
type job struct {
	head     []byte
	path     string
	raw      io.Reader // nil: headers only
	deflated bool
	rawSize  int64
	size     int64
	crc      uint32
	want     string

	mismatch *Mismatch  // set by the worker before it is done
	chunks   chan chunk // with a queue: what the worker has made
	err      error      // read after chunks is closed
}

// plain reports whether the content goes with the headers, rather than in a
// stream of its own.
func (j *job) plain() bool { return j.size == 0 || !j.deflated && j.size <= smallStored }

// worker reads and proves entries, one at a time. It keeps its buffers.
type worker struct {
	buffered *bufio.Reader
	inflater io.ReadCloser
	// get and put lend chunk-sized buffers; nil: the worker's own two are used again
	// for each chunk, which holds while chunks are taken one by one.
	get func() []byte
	own [2][]byte
}

func (k *worker) buffer(i int) []byte {
	if k.get != nil {
		return k.get()
	}
	if k.own[i] == nil {
		k.own[i] = make([]byte, chunkSize)
	}
	return k.own[i]
}

// process reads the job's stream, hands its pieces to emit in order, and returns
// an error unless the stream is to the byte what the job says.
func (k *worker) process(j *job, emit func(*job, chunk) error) error {
	if err := k.read(j, emit); err != nil {
		return fmt.Errorf("write %s: %w", j.path, err)
	}
	return nil
}

func (k *worker) read(j *job, emit func(*job, chunk) error) error {
	if j.rawSize < 0 {
		return errors.New("negative compressed size")
	}
	source := &tap{r: j.raw, left: j.rawSize}
	content := io.Reader(source)
	step := maxStored
	if j.deflated {
		source.tell = func(p []byte) error {
			b := append(k.buffer(0)[:0], p...)
			return emit(j, chunk{raw: b})
		}
		content = k.inflate(source)
		step = chunkSize
	}
	sums := newSums(j.want)
	total := int64(0)
	for {
		b := k.buffer(1)[:step]
		n, err := fill(content, b)
		total += int64(n)
		if total > j.size {
			return fmt.Errorf("content is longer than its size of %d bytes", j.size)
		}
		sums.write(b[:n])
		if n > 0 {
			if err := emit(j, chunk{plain: b[:n]}); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return k.explain(err, source, j)
		}
	}
	switch {
	case total != j.size:
		return fmt.Errorf("content is %d bytes long, not %d", total, j.size)
	case j.deflated && k.unread(source) != 0:
		return fmt.Errorf("deflate stream ends %d bytes before its compressed size of %d", k.unread(source), j.rawSize)
	case sums.crc != j.crc:
		return fmt.Errorf("CRC-32 is %08x, not %08x", sums.crc, j.crc)
	}
	j.mismatch = sums.compare(j)
	return nil
}

// fill is io.ReadFull, but tells an end after some bytes from an end too soon.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// inflate returns a reader of the content; it is byte-exact about where the stream
// ends, since its source gives single bytes.
func (k *worker) inflate(source io.Reader) io.Reader {
	if k.inflater == nil {
		k.buffered = bufio.NewReaderSize(source, chunkSize)
		k.inflater = flate.NewReader(k.buffered)
		return k.inflater
	}
	k.buffered.Reset(source)
	// Reset fails for no reader that NewReader gives, and without a dictionary.
	_ = k.inflater.(flate.Resetter).Reset(k.buffered, nil)
	return k.inflater
}

// unread is how many bytes of the raw stream the inflater left.
func (k *worker) unread(source *tap) int64 { return source.left + int64(k.buffered.Buffered()) }

func (k *worker) explain(err error, source *tap, j *job) error {
	var corrupt flate.CorruptInputError
	switch {
	case source.err != nil:
		return fmt.Errorf("read entry: %w", source.err)
	case source.short:
		return fmt.Errorf("read entry: %d of %d bytes are missing", source.left, j.rawSize)
	case errors.As(err, &corrupt):
		return fmt.Errorf("corrupt deflate stream near byte %d", int64(corrupt))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("deflate stream does not end within its compressed size of %d bytes", j.rawSize)
	}
	return err
}

// tap reads exactly left bytes from r and tells of all it read.
type tap struct {
	r     io.Reader
	left  int64
	tell  func([]byte) error
	err   error // of r or tell
	short bool  // r ended before left bytes
}

func (t *tap) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > t.left {
		p = p[:t.left]
	}
	n, err := t.r.Read(p)
	t.left -= int64(n)
	if n > 0 && t.tell != nil {
		if e := t.tell(p[:n]); e != nil {
			t.err = e
			return 0, e
		}
	}
	switch {
	case err == io.EOF && t.left > 0:
		t.short = true
		return n, io.ErrUnexpectedEOF
	case err != nil && err != io.EOF:
		t.err = err
		return n, err
	}
	return n, nil
}

// sums takes the CRC-32 of a content, and the hash that is wanted of it.
type sums struct {
	crc  uint32
	name string // of the algorithm; empty when there is nothing to compare
	want []byte
	hash hash.Hash
}

func newSums(want string) *sums {
	s := &sums{}
	name, value, _ := strings.Cut(want, "=")
	switch name {
	case "":
		return s
	case "sha256":
		s.hash = sha256.New()
	case "sha384":
		s.hash = sha512.New384()
	case "sha512":
		s.hash = sha512.New()
	}
	s.name = name
	// A value that does not decode equals no hash, which is what it should do.
	s.want, _ = base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	return s
}

func (s *sums) write(p []byte) {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p)
	if s.hash != nil {
		s.hash.Write(p)
	}
}

func (s *sums) compare(j *job) *Mismatch {
	if s.name == "" {
		return nil
	}
	if s.hash == nil { // md5, sha1 and the like: the standard forbids them in RECORD
		return &Mismatch{Path: j.path, Want: j.want}
	}
	got := s.hash.Sum(nil)
	if bytes.Equal(got, s.want) {
		return nil
	}
	return &Mismatch{Path: j.path, Want: j.want, Got: s.name + "=" + base64.RawURLEncoding.EncodeToString(got)}
}
