package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// BlobPath is where the blob of a digest ("sha256:<hex>") lies or would lie.
func (s *Store) BlobPath(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(h) != sha256.Size*2 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not a sha256 digest", digest)
	}
	return filepath.Join(s.blobDir.path, h), nil
}

// Has says whether a blob is there, and its size.
func (s *Store) Has(digest string) (int64, bool) {
	path, err := s.BlobPath(digest)
	if err != nil {
		return 0, false
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

// OpenBlob opens a blob for reading. It is an fs.ErrNotExist when there is none.
func (s *Store) OpenBlob(digest string) (*os.File, error) {
	path, err := s.BlobPath(digest)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return f, nil
}

// blobWriter is a blob in the making: it lies in tmp/ until Commit. Not for concurrent use.
type blobWriter struct {
	s    *Store
	f    *os.File
	hash hash.Hash
	err  error // the first that happened; Commit repeats it
}

// NewBlob begins a blob. Exactly one of Commit and Abort must follow; Abort after Commit does nothing.
func (s *Store) NewBlob() (blob.Writer, error) {
	w, err := s.newBlob()
	if err != nil { // not w, err: a nil *blobWriter in an interface is not nil
		return nil, err
	}
	return w, nil
}

func (s *Store) newBlob() (*blobWriter, error) {
	f, err := os.CreateTemp(s.Tmp(), "blob-*")
	if err != nil {
		return nil, fmt.Errorf("begin blob: %w", err)
	}
	return &blobWriter{s: s, f: f, hash: sha256.New()}, nil
}

// Write appends to the blob.
func (w *blobWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	if err != nil {
		w.err = fmt.Errorf("write blob: %w", err)
	}
	return n, w.err
}

// Digest is that of the bytes written so far.
func (w *blobWriter) Digest() string { return "sha256:" + hex.EncodeToString(w.hash.Sum(nil)) }

// Commit makes the blob durable under its digest. Where digest is not empty, the
// bytes must have it. After an error nothing is left of the blob. A blob that was
// there already is replaced by its equal, which heals one that was damaged.
func (w *blobWriter) Commit(digest string) error {
	defer w.Abort()
	if w.err != nil {
		return w.err
	}
	got := w.Digest()
	if digest != "" && digest != got {
		return fmt.Errorf("commit blob: digest is %s, expected %s", got, digest)
	}
	path, err := w.s.BlobPath(got)
	if err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	if err := os.Rename(w.f.Name(), path); err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	w.f = nil
	if err := w.s.blobDir.sync(); err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	return nil
}

// Abort drops the blob.
func (w *blobWriter) Abort() {
	if w.f == nil {
		return
	}
	w.f.Close()
	os.Remove(w.f.Name())
	w.f = nil
	if w.err == nil {
		w.err = errors.New("write blob: it is finished")
	}
}

// PutBlob writes a small blob in one go and returns its digest.
func (s *Store) PutBlob(data []byte) (string, error) {
	w, err := s.newBlob()
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	digest := w.Digest()
	return digest, w.Commit(digest)
}
