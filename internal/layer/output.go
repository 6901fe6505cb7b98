package layer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
)

const (
	chunkSize = 64 << 10
	// Stored entries up to this size go with the headers, where they may be encoded shorter.
	smallStored = 4 << 10
)

var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} // no name, no time, no system

// output is the ordered half of a Writer: it frames members, hashes both sides and
// writes. It is owned by one goroutine at a time.
type output struct {
	w       io.Writer
	digest  func() string // of what was written to w
	buf     []byte        // to be hashed and written
	n       int64
	tarSum  hash.Hash
	enc     encoder
	pending []byte // plain bytes that no member holds yet; already in tarSum
	scratch []byte // pending, encoded
	headLen int64  // of the open member: plain bytes and CRC-32 before the stream
	headCRC uint32
	inline  worker
	bad     []Mismatch
}

func newOutput(w io.Writer, digest func() string) *output {
	if digest == nil {
		sum := sha256.New()
		w, digest = io.MultiWriter(w, sum), func() string { return digestOf(sum) }
	}
	return &output{w: w, digest: digest, tarSum: sha256.New(), buf: make([]byte, 0, chunkSize)}
}

func digestOf(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

// begin takes a job's headers and, when a stream follows, opens its member.
func (o *output) begin(j *job) error {
	o.tarSum.Write(j.head)
	o.pending = append(o.pending, j.head...)
	if err := o.flushPending(chunkSize); err != nil || j.raw == nil || j.plain() {
		return err
	}
	if err := o.write(gzipHeader); err != nil {
		return err
	}
	o.headLen, o.headCRC = int64(len(o.pending)), crc32.ChecksumIEEE(o.pending)
	if len(o.pending) == 0 {
		return nil
	}
	o.scratch = o.enc.append(o.scratch[:0], o.pending, false)
	o.pending = o.pending[:0]
	return o.write(o.scratch)
}

// chunk is a piece of an entry: of its raw stream, of its content, or of both.
type chunk struct {
	raw   []byte
	plain []byte
	buf   *buffer // that they lie in, to be given back; or nil
}

// block takes the next piece of the job's stream.
func (o *output) block(j *job, c chunk) error {
	o.tarSum.Write(c.plain)
	switch {
	case j.plain():
		o.pending = append(o.pending, c.plain...)
		return nil
	case j.deflated:
		return o.write(c.raw)
	case j.loose:
		o.scratch = o.enc.append(o.scratch[:0], c.plain, false)
		return o.write(o.scratch)
	}
	for p := c.plain; len(p) > 0; {
		n := min(len(p), maxStored)
		if err := o.write(storedHeader(n, false)); err != nil {
			return err
		}
		if err := o.write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// end closes the job's member. The worker has proved size and CRC-32 by now.
func (o *output) end(j *job) error {
	if j.mismatch != nil {
		o.bad = append(o.bad, *j.mismatch)
	}
	if j.plain() {
		return o.flushPending(chunkSize)
	}
	if !j.deflated {
		if err := o.write(storedHeader(0, true)); err != nil {
			return err
		}
	}
	return o.trailer(combine(o.headCRC, j.crc, j.size), o.headLen+j.size)
}

// flushPending gives the pending bytes a member of their own when there are at least n.
func (o *output) flushPending(n int) error {
	if len(o.pending) < n {
		return nil
	}
	if err := o.write(gzipHeader); err != nil {
		return err
	}
	o.scratch = o.enc.append(o.scratch[:0], o.pending, true)
	if err := o.write(o.scratch); err != nil {
		return err
	}
	err := o.trailer(crc32.ChecksumIEEE(o.pending), int64(len(o.pending)))
	o.pending = o.pending[:0]
	return err
}

func (o *output) trailer(crc uint32, size int64) error {
	var t [8]byte
	binary.LittleEndian.PutUint32(t[:], crc)
	binary.LittleEndian.PutUint32(t[4:], uint32(size)) // modulo 2^32, as gzip has it
	return o.write(t[:])
}

// finish writes what is left.
func (o *output) finish() error {
	if err := o.flushPending(1); err != nil {
		return err
	}
	return o.flush()
}

func (o *output) write(p []byte) error {
	if len(o.buf)+len(p) > cap(o.buf) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if len(p) < cap(o.buf) {
		o.buf = append(o.buf, p...)
		return nil
	}
	return o.emit(p)
}

func (o *output) flush() error {
	err := o.emit(o.buf)
	o.buf = o.buf[:0]
	return err
}

func (o *output) emit(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := o.w.Write(p)
	o.n += int64(n)
	return err
}

func (o *output) result() Result {
	return Result{
		Digest:     o.digest(),
		DiffID:     digestOf(o.tarSum),
		Size:       o.n,
		Mismatched: o.bad,
	}
}
