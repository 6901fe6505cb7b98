package layer

import "io"

// Content writes a file from h.Size bytes that come from no archive: they are compressed here, and nothing is known of
// them in advance. Whoever must know that they are the right ones makes r say so.
func (l *Writer) Content(h Header, r io.Reader) error {
	return l.stream(h, &job{path: h.Path, raw: r, rawSize: h.Size, size: h.Size, loose: true})
}
