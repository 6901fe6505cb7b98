package layer

import "math/bits"

// The tables that the decoder looks codes up in.

// An entry of a decoding table says of the next bits of the stream:
//
//	bits 0-7   how many to take, the extra bits too
//	bits 8-11  how many of these are the code; of a link: how many index the next table
//	bits 16-30 the literal, the smallest length or distance, or the place of the next table
const (
	entryLiteral = 1 << 31
	entryOther   = 1 << 15 // one of the next two, or no code at all
	entryEnd     = 1 << 14
	entryLink    = 1 << 13
)

// codes reads the codes of a block from its header.
func (d *inflater) codes() error {
	nlit, ndist, nclen := d.take(5)+257, d.take(5)+1, d.take(4)+4
	if nlit > maxLit || ndist > maxDist {
		return errCorrupt
	}
	var lens [19]uint8
	for i := range nclen {
		lens[codeOrder[i]] = uint8(d.take(3))
	}
	var table [1 << 7]uint32
	if !build(table[:], 7, lens[:], plainEntries, false) {
		return errLengths
	}
	all := d.lens[:nlit+ndist]
	for i := 0; i < len(all); {
		if d.n < 14 {
			d.refill()
		}
		e := table[d.acc&(1<<7-1)]
		d.take(uint(e & 63))
		symbol := e >> 16
		if symbol < 16 {
			all[i] = uint8(symbol)
			i++
			continue
		}
		var value uint8
		var times int
		switch symbol {
		case 16:
			if i == 0 {
				return errCorrupt
			}
			value, times = all[i-1], 3+int(d.take(2))
		case 17:
			times = 3 + int(d.take(3))
		default:
			times = 11 + int(d.take(7))
		}
		if i+times > len(all) {
			return errCorrupt
		}
		for range times {
			all[i] = value
			i++
		}
	}
	if all[endOfBlock] == 0 || !build(d.lit[:], litBits, all[:nlit], litEntries, true) ||
		!build(d.dist[:], distBits, all[nlit:], distEntries, true) {
		return errCorrupt
	}
	return nil
}

// fixedCodes sets the tables to the codes of RFC 1951, 3.2.6.
func (d *inflater) fixedCodes() {
	var lens [288]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	build(d.lit[:], litBits, lens[:], litEntries, false)
	for i := range 32 {
		lens[i] = 5
	}
	build(d.dist[:], distBits, lens[:32], distEntries, false)
}

// build makes the table of a canonical code with the given lengths, whose first
// level takes primary bits. The code must be complete; if few is set, it may also be
// a single code of one bit, or none, where using what is missing is an error.
func build(table []uint32, primary int, lens []uint8, entries []uint32, few bool) bool {
	var count, at [maxCode + 1]int
	for _, l := range lens {
		count[l]++
	}
	count[0] = 0
	longest, left := 0, 1
	for l := 1; l <= maxCode; l++ {
		at[l] = at[l-1] + count[l-1]
		left = left<<1 - count[l]
		if left < 0 {
			return false
		}
		if count[l] > 0 {
			longest = l
		}
	}
	if left > 0 {
		if !few || longest > 1 {
			return false
		}
		for i := range table[:1<<primary] {
			table[i] = entryOther
		}
	}
	var sorted [288]uint16
	for s, l := range lens {
		if l > 0 {
			sorted[at[l]] = uint16(s)
			at[l]++
		}
	}
	// Codes come in order of their length, and the table doubles with each bit: what it
	// holds by then is repeated, what is not assigned yet will be.
	code, i, size := 0, 0, 1
	for l := 1; l <= primary; l++ {
		copy(table[size:2*size], table[:size])
		size *= 2
		for range count[l] {
			table[reverse(code, l)] = entryOf(entries[sorted[i]], l)
			i++
			code++
		}
		code <<= 1
	}
	links(table, primary, longest, code, sorted[i:], count[:], entries)
	return true
}

// links adds the codes of more than primary bits: those that begin alike share a
// table behind the first one.
func links(table []uint32, primary, longest, code int, sorted []uint16, count []int, entries []uint32) {
	next, rest, prefix := 1<<primary, longest-primary, -1
	base, i := 0, 0
	for l := primary + 1; l <= longest; l++ {
		for range count[l] {
			if p := code >> (l - primary); p != prefix {
				prefix, base = p, next
				next += 1 << rest
				table[reverse(p, primary)] = entryOther | entryLink | uint32(base)<<16 | uint32(rest)<<8
			}
			for k := reverse(code, l) >> primary; k < 1<<rest; k += 1 << (l - primary) {
				table[base+k] = entryOf(entries[sorted[i]], l)
			}
			i++
			code++
		}
		code <<= 1
	}
}

// reverse turns a code, whose first bit is its highest, into the order of the stream.
func reverse(code, n int) int { return int(bits.Reverse16(uint16(code)) >> (16 - n)) }

// entryOf adds the length of a symbol's code to what stands in the tables below.
func entryOf(symbol uint32, n int) uint32 { return symbol + uint32(n)<<8 + uint32(n) }

// codeOrder is the order in which a header gives the lengths of the code for lengths.
var codeOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// What entries say of each symbol, but for the code: its value, and its extra bits.
var (
	plainEntries = entriesOf(19, func(s uint32) uint32 { return s << 16 })
	litEntries   = entriesOf(288, func(s uint32) uint32 {
		switch {
		case s < endOfBlock:
			return entryLiteral | s<<16
		case s == endOfBlock:
			return entryOther | entryEnd
		case s == 285:
			return maxMatch << 16
		case s >= maxLit:
			return entryOther
		}
		base, extra := span(s-endOfBlock-1, 2)
		return (base+3)<<16 | extra
	})
	distEntries = entriesOf(32, func(s uint32) uint32 {
		if s >= maxDist {
			return entryOther
		}
		base, extra := span(s, 1)
		return (base+1)<<16 | extra
	})
)

func entriesOf(n uint32, entry func(uint32) uint32) []uint32 {
	all := make([]uint32, n)
	for s := range n {
		all[s] = entry(s)
	}
	return all
}

// span is where the range of a symbol begins, and its extra bits: the reverse of bucket.
func span(symbol, step uint32) (base, extra uint32) {
	if symbol < 2<<step {
		return symbol, 0
	}
	extra = symbol>>step - 1
	return (1<<step + symbol&(1<<step-1)) << extra, extra
}
