package layer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The decoder for the wheels' own streams. Inflating is most of the work of making a
// layer, and this decoder takes half the time of compress/flate or klauspost's: it is
// told where its input ends, decodes into the very buffer that is passed on, and looks
// at both ends of its buffers once per symbol. What it accepts, zlib and Go accept too
// and read alike: a code must be complete, or have no more than one symbol, of one bit.
// RFC 1951 gives the numbers.

const (
	windowSize = 32 << 10
	// What one symbol may write past the place where a buffer counts as full: three
	// literals, a match, and what copying by words writes over its end.
	outSlack = 3 + maxMatch + 64
	bufSize  = windowSize + chunkSize + outSlack

	inPad      = 16  // bytes that a refill may read past the input
	headerSize = 600 // more than a block's header can take

	litBits, maxLit   = 11, 286
	distBits, maxDist = 8, 30
	maxCode           = 15
	endOfBlock        = 256
)

var (
	errCorrupt  = errors.New("corrupt deflate stream")
	errTooShort = errors.New("deflate stream is cut off")
	// Go's decoder accepts a code for lengths that has one symbol, zlib does not.
	errLengths = fmt.Errorf("%w: bad code for lengths", errCorrupt)
)

// buffer holds a piece of content, behind a window of what came before it.
type buffer [bufSize]byte

// inflater decodes one stream after the other, and keeps its tables.
type inflater struct {
	get  func() *buffer                  // lends a buffer
	emit func(b *buffer, p []byte) error // takes it back, with p of it to be passed on

	src  *tap
	in   [chunkSize + inPad]byte
	pos  int // of the next byte that is not in acc
	end  int // of the input at hand
	last bool
	// acc holds the next n bits of the stream, and above them perhaps bits that
	// stand in in[pos:] too.
	acc uint64
	n   uint

	out  *buffer
	w    int // where out goes on
	from int // where in out the window ends

	lit  [1<<litBits + maxLit/2<<(maxCode-litBits)]uint32
	dist [1<<distBits + maxDist/2<<(maxCode-distBits)]uint32
	lens [maxLit + maxDist]uint8
}

// run decodes the stream in src up to where it says that it ends; unread then tells
// what is left of src.
func (d *inflater) run(src *tap) error {
	d.src, d.out, d.w, d.from = src, d.get(), 0, 0
	d.pos, d.end, d.last, d.acc, d.n = 0, 0, false, 0, 0
	for final := false; !final; {
		if err := d.fill(headerSize); err != nil {
			return err
		}
		final = d.take(1) == 1
		err := d.block(d.take(2))
		if d.used() > d.end {
			err = errTooShort
		}
		if err != nil {
			return err
		}
	}
	return d.emit(d.out, d.out[d.from:d.w])
}

func (d *inflater) block(kind uint) error {
	switch kind {
	case 0:
		return d.stored()
	case 1:
		d.fixedCodes()
		return d.coded()
	case 2:
		if err := d.codes(); err != nil {
			return err
		}
		return d.coded()
	}
	return errCorrupt
}

// used is the place of the first byte of which no bit was taken.
func (d *inflater) used() int { return d.pos - int(d.n>>3) }

// unread is how many bytes of the stream are left after its end.
func (d *inflater) unread() int64 { return d.src.left + int64(d.end-d.used()) }

// fill sees to it that there are n bytes of input at hand, or all that is left. Only
// then may bytes be loaded that lie behind the end.
func (d *inflater) fill(n int) error {
	if d.last || d.end-d.pos >= n {
		return nil
	}
	held := int(d.n >> 3) // bytes in acc; a stored block that comes next goes back to them
	d.end = copy(d.in[:], d.in[d.pos-held:d.end])
	d.pos = held
	m, err := fill(d.src, d.in[d.end:chunkSize])
	if err != nil && err != io.EOF {
		return err
	}
	d.end += m
	if d.src.left == 0 {
		d.last = true
		clear(d.in[d.end : d.end+inPad])
	}
	return nil
}

// refill makes n at least 56. Past the end of the input come zeros.
func (d *inflater) refill() {
	if d.pos > d.end+inPad-8 {
		d.n, d.pos = 63, d.end+2*inPad // used is over the end from now on
		d.acc = 0
		return
	}
	d.acc |= binary.LittleEndian.Uint64(d.in[d.pos:]) << (d.n & 63)
	d.pos += int((63 - d.n) >> 3)
	d.n |= 56
}

// take takes up to 16 bits.
func (d *inflater) take(n uint) uint {
	if d.n < n {
		d.refill()
	}
	v := uint(d.acc) & (1<<n - 1)
	d.acc >>= n
	d.n -= n
	return v
}

// limit is where a buffer counts as full.
const limit = bufSize - outSlack

// flush hands the content on and goes on in another buffer, behind the window.
func (d *inflater) flush() error {
	old, w, from := d.out, d.w, d.from
	d.out = d.get()
	d.w = copy(d.out[:], old[w-windowSize:w])
	d.from = d.w
	return d.emit(old, old[from:w])
}

func (d *inflater) stored() error {
	d.pos = d.used()
	d.acc, d.n = 0, 0
	if d.end-d.pos < 4 {
		return errTooShort
	}
	n, check := binary.LittleEndian.Uint16(d.in[d.pos:]), binary.LittleEndian.Uint16(d.in[d.pos+2:])
	d.pos += 4
	if n != ^check {
		return errCorrupt
	}
	for left := int(n); left > 0; {
		if err := d.fill(1); err != nil {
			return err
		}
		if d.pos == d.end {
			return errTooShort
		}
		m := copy(d.out[d.w:limit], d.in[d.pos:min(d.end, d.pos+left)])
		d.pos += m
		d.w += m
		left -= m
		if d.w == limit {
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// coded decodes a block whose codes are in the tables.
func (d *inflater) coded() error {
	for {
		end, err := d.symbols()
		switch {
		case err != nil:
			return err
		case end:
			return nil
		case d.w >= limit:
			err = d.flush()
		case d.last:
			return errTooShort
		default:
			err = d.fill(inPad + 1)
		}
		if err != nil {
			return err
		}
	}
}

// symbols decodes until the block ends, or the buffer is full, or the input is used up.
// It is long so that what it works on stays in registers.
func (d *inflater) symbols() (end bool, err error) {
	in, out := &d.in, d.out
	pos, acc, n, w := d.pos, d.acc, d.n, d.w
	safe := d.end - 8
	if d.last {
		safe = d.end + inPad - 8
	}
	for pos <= safe && w < limit {
		acc |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		e := d.lit[acc&(1<<litBits-1)]
		if e&entryLiteral != 0 {
			// A literal of the first table takes 11 bits at most, so there are enough for three.
			out[w] = byte(e >> 16)
			w++
			acc >>= e & 63
			n -= uint(e & 63)
			e = d.lit[acc&(1<<litBits-1)]
			if e&entryLiteral != 0 {
				out[w] = byte(e >> 16)
				w++
				acc >>= e & 63
				n -= uint(e & 63)
				e = d.lit[acc&(1<<litBits-1)]
				if e&entryLiteral != 0 {
					out[w] = byte(e >> 16)
					w++
					acc >>= e & 63
					n -= uint(e & 63)
					continue
				}
			}
			if n < 48 { // what a length and a distance take
				if pos > safe {
					continue
				}
				acc |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
				pos += int((63 - n) >> 3)
				n |= 56
			}
		}
		if e&entryOther != 0 {
			if e&entryLink != 0 {
				e = d.lit[uint(e>>16)+uint(acc>>litBits)&(1<<(e>>8&15)-1)]
				if e&entryLiteral != 0 {
					out[w] = byte(e >> 16)
					w++
					acc >>= e & 63
					n -= uint(e & 63)
					continue
				}
			}
			if e&entryOther != 0 {
				if e&entryEnd == 0 {
					err = errCorrupt
					break
				}
				acc >>= e & 63
				n -= uint(e & 63)
				end = true
				break
			}
		}
		length := int(e>>16) + int(acc&^(^uint64(0)<<(e&63))>>(e>>8&15))
		acc >>= e & 63
		n -= uint(e & 63)

		e = d.dist[acc&(1<<distBits-1)]
		if e&entryOther != 0 {
			if e&entryLink != 0 {
				e = d.dist[uint(e>>16)+uint(acc>>distBits)&(1<<(e>>8&15)-1)]
			}
			if e&entryOther != 0 {
				err = errCorrupt
				break
			}
		}
		distance := int(e>>16) + int(acc&^(^uint64(0)<<(e&63))>>(e>>8&15))
		acc >>= e & 63
		n -= uint(e & 63)

		if distance > w {
			err = errCorrupt
			break
		}
		copyMatch(out, w, distance, length)
		w += length
	}
	d.pos, d.acc, d.n, d.w = pos, acc, n, w
	return end, err
}

// copyMatch repeats length bytes that lie distance before w. It may write some more.
func copyMatch(out *buffer, w, distance, length int) {
	at := w - distance
	switch {
	case distance >= 16: // two registers at a time
		for end := w + length; w < end; w, at = w+16, at+16 {
			*(*[16]byte)(out[w:]) = *(*[16]byte)(out[at:])
		}
	case distance >= 8:
		for end := w + length; w < end; w, at = w+8, at+8 {
			binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[at:]))
		}
	case distance == 1:
		v := uint64(out[at]) * 0x0101010101010101
		for end := w + length; w < end; w += 8 {
			binary.LittleEndian.PutUint64(out[w:], v)
		}
	default:
		for end := w + length; w < end; w, at = w+1, at+1 {
			out[w] = out[at]
		}
	}
}
