// Package layer writes the bytes of an image layer: a tar, as gzip, without
// compressing anything again.
//
// A wheel's entries are raw deflate streams, and gzip is a frame around raw
// deflate, so an entry is carried over as it stands. One gzip member holds:
//
//	gzip header | what the tar needs before the file: padding of the file before,
//	directories, the file's own header; as one fixed-Huffman block, then an empty
//	stored block that brings the stream back to a byte boundary | the entry's own
//	deflate blocks | CRC-32 and size of it all, combined from those of the parts
//
// On the way through, every entry is inflated once: that gives the digest of the
// uncompressed tar (diffID), and proves the entry's size, CRC-32 and RECORD hash.
// Workers inflate ahead, one goroutine hashes and writes in order, in bounded memory.
//
// A layer is as big as its wheel, to -0.05..+0.35 % (pandas, pyarrow, scikit-learn,
// botocore, awscli; 2026-11), since a file's header takes about as much here as its
// two headers take in a zip.
//
// The bytes depend on the calls alone: not on the machine, the number of workers,
// or the version of any compressor. It never passes a stream on that another
// reader could understand differently, and never holds a layer or a file whole.
package layer
