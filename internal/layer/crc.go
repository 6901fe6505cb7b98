package layer

// combine gives the CRC-32 of two byte strings put together, from the CRC-32 of
// each and the length of the second: crc1 · x^(8·n) + crc2 in GF(2)[x] modulo the
// IEEE polynomial.
func combine(crc1, crc2 uint32, n int64) uint32 {
	shift := uint32(1 << 31)  // x^0; the polynomials stand in reflected order
	square := uint32(1 << 23) // x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			shift = multiply(square, shift)
		}
		square = multiply(square, square)
	}
	return multiply(shift, crc1) ^ crc2
}

// multiply is a·b modulo the IEEE polynomial.
func multiply(a, b uint32) uint32 {
	var p uint32
	for bit := uint32(1 << 31); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= 0xEDB88320
		}
	}
	return p
}
