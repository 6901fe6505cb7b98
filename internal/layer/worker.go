package layer

import (
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
	loose    bool // its CRC-32 is not known before, and its content is to be compressed

	mismatch *Mismatch  // set by the worker before it is done
	chunks   chan chunk // with a queue: what the worker has made
	err      error      // read after chunks is closed
}

// plain reports whether the content goes with the headers, rather than in a
// stream of its own.
func (j *job) plain() bool { return j.size == 0 || !j.deflated && j.size <= smallStored }

// worker reads and proves entries, one at a time. It keeps its buffers.
type worker struct {
	inflater *inflater
	// get lends buffers that are kept until their chunk is used up; nil: the worker's
	// own two take turns, which holds while chunks are taken one by one.
	get  func() *buffer
	own  [2]*buffer
	turn int
}

func (k *worker) buffer() *buffer {
	if k.get != nil {
		return k.get()
	}
	k.turn = 1 - k.turn
	if k.own[k.turn] == nil {
		k.own[k.turn] = new(buffer)
	}
	return k.own[k.turn]
}

// process reads the job's stream, hands its pieces to emit in order, and returns
// an error unless the stream is to the byte what the job says.
func (k *worker) process(j *job, emit func(*job, chunk) error) (err error) {
	defer func() {
		// The stream comes from outside: whatever it does to the decoder, it must not end the process.
		if fault := recover(); fault != nil {
			k.inflater = nil
			err = fmt.Errorf("write %s: fault in reading its stream: %v", j.path, fault)
		}
	}()
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
	sums, total := newSums(j.want), int64(0)
	take := func(b *buffer, p []byte) error {
		if total += int64(len(p)); total > j.size {
			return fmt.Errorf("content is longer than its size of %d bytes", j.size)
		}
		sums.write(p)
		return emit(j, chunk{plain: p, buf: b})
	}
	if err := k.content(source, j, take, emit); err != nil {
		return k.explain(err, source, j)
	}
	switch {
	case total != j.size:
		return fmt.Errorf("content is %d bytes long, not %d", total, j.size)
	case j.deflated && k.inflater.unread() != 0:
		return fmt.Errorf("deflate stream ends %d bytes before its compressed size of %d", k.inflater.unread(), j.rawSize)
	case j.loose:
		j.crc = sums.crc
	case sums.crc != j.crc:
		return fmt.Errorf("CRC-32 is %08x, not %08x", sums.crc, j.crc)
	}
	j.mismatch = sums.compare(j)
	return nil
}

// content hands the entry's content to take, and the stream of a deflated one to emit.
func (k *worker) content(source *tap, j *job, take func(*buffer, []byte) error, emit func(*job, chunk) error) error {
	if j.deflated {
		source.tell = func(p []byte) error {
			if k.get == nil {
				return emit(j, chunk{raw: p})
			}
			b := k.buffer() // p will be overwritten before the chunk's turn comes
			return emit(j, chunk{raw: b[:copy(b[:], p)], buf: b})
		}
		if k.inflater == nil {
			k.inflater = new(inflater)
		}
		k.inflater.get, k.inflater.emit = k.buffer, take
		return k.inflater.run(source)
	}
	for source.left > 0 {
		b := k.buffer()
		n, err := fill(source, b[:maxStored])
		if err != nil && err != io.EOF {
			return err
		}
		if err := take(b, b[:n]); err != nil {
			return err
		}
	}
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

func (k *worker) explain(err error, source *tap, j *job) error {
	switch {
	case source.err != nil:
		return fmt.Errorf("read entry: %w", source.err)
	case source.short:
		return fmt.Errorf("read entry: %d of %d bytes are missing", source.left, j.rawSize)
	case errors.Is(err, errCorrupt):
		return fmt.Errorf("%w near byte %d", err, j.rawSize-k.inflater.unread())
	case errors.Is(err, errTooShort):
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
