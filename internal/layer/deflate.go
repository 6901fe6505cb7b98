package layer

import (
	"encoding/binary"
	"math/bits"
)

// The encoder for the little that is not already compressed: tar headers, padding,
// generated text. It is written out here, rather than taken from a compression
// library, because its output is part of a layer's digest and may never change
// with an upgrade. RFC 1951 gives the numbers.

const (
	maxStored   = 65535
	maxMatch    = 258
	maxDistance = 32768
	hashBits    = 13
)

// encoder turns plain bytes into deflate blocks, by greedy matching and the fixed
// Huffman code. It keeps its table between calls to spare the garbage collector.
type encoder struct {
	table [1 << hashBits]int32 // hash of three bytes -> 1 + where they were last seen
	out   []byte
	acc   uint64
	n     uint
}

// append adds data to dst as blocks that end on a byte boundary, the last of
// them marked final if so asked. Of the fixed code and stored blocks it takes the shorter.
func (e *encoder) append(dst, data []byte, final bool) []byte {
	from := len(dst)
	dst = e.fixed(dst, data, final)
	if stored := len(data) + 5*max(1, (len(data)+maxStored-1)/maxStored); len(dst)-from > stored {
		dst = appendStored(dst[:from], data, final)
	}
	return dst
}

// appendStored adds data as stored blocks.
func appendStored(dst, data []byte, final bool) []byte {
	for {
		n := min(len(data), maxStored)
		last := final && n == len(data)
		dst = append(dst, storedHeader(n, last)...)
		dst = append(dst, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return dst
		}
	}
}

// storedHeader is what stands before n stored bytes at a byte boundary.
func storedHeader(n int, final bool) []byte {
	var h [5]byte
	if final {
		h[0] = 1
	}
	binary.LittleEndian.PutUint16(h[1:], uint16(n))
	binary.LittleEndian.PutUint16(h[3:], ^uint16(n))
	return h[:]
}

func (e *encoder) fixed(dst, data []byte, final bool) []byte {
	clear(e.table[:])
	e.out, e.acc, e.n = dst, 0, 0
	head := uint64(1 << 1) // type 01: fixed code
	if final {
		head |= 1
	}
	e.bits(head, 3)
	for i := 0; i < len(data); {
		length, distance := e.match(data, i)
		if length < 3 {
			e.literal(data[i])
			length = 1
		} else {
			e.pair(length, distance)
			for j := i + 1; j < i+length; j++ {
				e.insert(data, j)
			}
		}
		i += length
	}
	e.bits(0, 7) // end of block
	if !final {
		e.bits(0, 3) // an empty stored block, to reach a byte boundary
	}
	if rest := e.n % 8; rest != 0 {
		e.bits(0, 8-rest)
	}
	for ; e.n > 0; e.n -= 8 {
		e.out = append(e.out, byte(e.acc))
		e.acc >>= 8
	}
	if !final {
		e.out = append(e.out, 0, 0, 0xff, 0xff)
	}
	dst, e.out = e.out, nil
	return dst
}

// match finds the last place before i that starts like data[i:].
func (e *encoder) match(data []byte, i int) (length, distance int) {
	at := int(e.insert(data, i)) - 1
	if at < 0 || i-at > maxDistance {
		return 0, 0
	}
	limit := min(maxMatch, len(data)-i)
	for length < limit && data[at+length] == data[i+length] {
		length++
	}
	return length, i - at
}

// insert notes position i and returns what stood in its slot.
func (e *encoder) insert(data []byte, i int) int32 {
	if i+3 > len(data) {
		return 0
	}
	v := uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16
	slot := &e.table[v*0x9E3779B1>>(32-hashBits)]
	old := *slot
	*slot = int32(i + 1)
	return old
}

func (e *encoder) bits(v uint64, n uint) {
	e.acc |= v << e.n
	e.n += n
	for e.n >= 32 {
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(e.acc))
		e.acc >>= 32
		e.n -= 32
	}
}

// code writes a Huffman code, whose first bit is its highest.
func (e *encoder) code(v uint, n uint) { e.bits(uint64(bits.Reverse32(uint32(v))>>(32-n)), n) }

func (e *encoder) literal(c byte) {
	if c < 144 {
		e.code(0x30+uint(c), 8)
	} else {
		e.code(0x190+uint(c)-144, 9)
	}
}

// pair writes a match: the length's symbol is 257 and up, the distance has five bits.
func (e *encoder) pair(length, distance int) {
	symbol, extra := bucket(uint(length-3), 2)
	if length == maxMatch {
		symbol, extra = 28, 0
	}
	if symbol < 23 { // up to 279
		e.code(uint(symbol)+1, 7)
	} else {
		e.code(0xC0+uint(symbol)-23, 8)
	}
	e.bits(uint64(uint(length-3)&(1<<extra-1)), extra)
	symbol, extra = bucket(uint(distance-1), 1)
	e.code(uint(symbol), 5)
	e.bits(uint64(uint(distance-1)&(1<<extra-1)), extra)
}

// bucket gives the symbol and the number of extra bits for v: deflate's ranges
// double in width after every 1<<step of them.
func bucket(v, step uint) (symbol int, extra uint) {
	width := uint(bits.Len(v))
	if width <= step+1 {
		return int(v), 0
	}
	extra = width - 1 - step
	return int((extra+1)<<step + (v>>extra)&(1<<step-1)), extra
}
