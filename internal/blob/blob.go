// Package blob is content-addressed bytes as the rooms that move images see them:
// what is kept on disk under a digest, and images whose layers are read from there.
//
// A Store is what internal/store is to its users. An image from NewImage reads a
// layer from the Store when it is there; else it fetches it where it comes from,
// and what passes through is kept, so that it is never fetched twice.
//
// It never decides what is kept for how long; store does.
package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Annotations of entries in the index of a layout (OCI image-spec, annotations.md): RefName is a name; AliasOf, of ours, marks
// a second entry of the name that it holds, for names that the grammar of the first does not allow.
const (
	RefName = "org.opencontainers.image.ref.name"
	AliasOf = "dev.imgspecd.alias-of"
)

// Source tells, of a copy, errors of reading from those of writing.
type Source struct {
	R   io.Reader
	Err error // of reading; not io.EOF
}

func (s *Source) Read(p []byte) (int, error) {
	n, err := s.R.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.Err = err
	}
	return n, err
}

// Store keeps blobs by digest ("sha256:<hex>"). Safe for concurrent use.
type Store interface {
	Has(digest string) (size int64, ok bool)
	OpenBlob(digest string) (*os.File, error)
	NewBlob() (Writer, error)
}

// Writer is a blob in the making. Exactly one of Commit and Abort must follow;
// Abort after Commit does nothing. Commit fails when the bytes do not have the digest.
type Writer interface {
	io.Writer
	Digest() string // of what was written so far
	Commit(digest string) error
	Abort()
}

// Digest returns the digest of bytes in memory.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Read returns a small blob from s, checked; false when s is nil or does not have it.
func Read(s Store, digest string, limit int64) ([]byte, bool) {
	if s == nil {
		return nil, false
	}
	if size, ok := s.Has(digest); !ok || size > limit {
		return nil, false
	}
	f, err := s.OpenBlob(digest)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || Digest(b) != digest {
		return nil, false
	}
	return b, true
}

// Put keeps bytes under their digest, unless they are there.
func Put(s Store, b []byte) error {
	digest := Digest(b)
	if _, ok := Read(s, digest, int64(len(b))); ok {
		return nil
	}
	return Copy(s, digest, bytes.NewReader(b))
}

// Copy keeps what r yields under digest, which it must have.
func Copy(s Store, digest string, r io.Reader) error {
	w, err := s.NewBlob()
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Commit(digest)
}

// Opener is what a v1.Layer offers of its bytes as they travel.
type Opener interface {
	Compressed() (io.ReadCloser, error)
}

// Open opens a layer's bytes as they travel, for no longer than ctx: a read that hangs
// in a network ends with it. got hears of bytes as they come; nil is allowed.
func Open(ctx context.Context, layer Opener, got func(n int64)) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	rc, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, rc: rc, got: got}
	r.stop = context.AfterFunc(ctx, func() { rc.Close() })
	return r, nil
}

type reader struct {
	ctx  context.Context
	rc   io.ReadCloser
	got  func(int64)
	stop func() bool
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.rc.Read(p)
	if n > 0 && r.got != nil {
		r.got(int64(n))
	}
	if err != nil && !errors.Is(err, io.EOF) && r.ctx.Err() != nil {
		err = context.Cause(r.ctx) // rather than "read of a closed body"
	}
	return n, err
}

func (r *reader) Close() error {
	r.stop()
	return r.rc.Close()
}

// tee keeps what is read through it once it has been read to its end.
type tee struct {
	rc     io.ReadCloser
	w      Writer
	digest string
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.rc.Read(p)
	if n > 0 {
		if _, werr := t.w.Write(p[:n]); werr != nil {
			return n, fmt.Errorf("keep blob %s: %w", t.digest, werr)
		}
	}
	if err == io.EOF {
		if cerr := t.w.Commit(t.digest); cerr != nil {
			return n, fmt.Errorf("keep blob %s: %w", t.digest, cerr)
		}
	}
	return n, err
}

func (t *tee) Close() error {
	t.w.Abort()
	return t.rc.Close()
}
