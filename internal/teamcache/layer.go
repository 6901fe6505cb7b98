package teamcache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Layer returns a layer that Find has found. Its bytes stay in the cache: a registry that has it mounts it from there, and
// where they are read they are checked against the record, and kept.
func (c *Cache) Layer(key string, r store.LayerRecord) (v1.Layer, error) {
	l, err := c.layer(key, r)
	if err != nil {
		return nil, err
	}
	return &remote.MountableLayer{Layer: l, Reference: c.deps.Depot.Repository().Digest(r.Digest)}, nil
}

func (c *Cache) layer(key string, r store.LayerRecord) (*layer, error) {
	digest, err := v1.NewHash(r.Digest)
	if err != nil {
		return nil, err
	}
	diffID, err := v1.NewHash(r.DiffID)
	return &layer{cache: c, key: key, record: r, digest: digest, diffID: diffID}, err
}

type layer struct {
	cache          *Cache
	key            string
	record         store.LayerRecord
	step           bool // a step left it: then its key is not a layer's
	digest, diffID v1.Hash
}

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return l.record.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Uncompressed opens the tar.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	rc, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	z, err := blob.Decompress(rc)
	if err != nil {
		return nil, errors.Join(err, rc.Close())
	}
	return &unzipped{z, rc}, nil
}

type unzipped struct {
	io.ReadCloser
	under io.Closer
}

func (t *unzipped) Close() error { return errors.Join(t.ReadCloser.Close(), t.under.Close()) }

// Compressed opens the blob, where it is kept or in the cache.
func (l *layer) Compressed() (io.ReadCloser, error) {
	s, digest := l.cache.deps.Store, l.record.Digest
	if size, ok := s.Has(digest); ok && size == l.record.Size {
		return s.OpenBlob(digest)
	}
	ctx, cancel := context.WithCancel(context.Background()) // until it is closed: no reader comes without blob.Open's context
	rc, err := l.cache.deps.Puller.Open(ctx, l.cache.deps.Depot.Repository().Name(), l.digest)
	if err != nil {
		cancel()
		l.cache.drop(l.key, err, forgetNone)
		return nil, err
	}
	w, err := s.NewBlob()
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("keep blob %s: %w", digest, err), rc.Close())
	}
	return &checked{layer: l, rc: rc, cancel: cancel, w: w, tar: newUnpacking()}, nil
}

// checked is a blob on its way from the cache: its end is only reached if it is what its record says, and then it is kept.
type checked struct {
	layer  *layer
	rc     io.ReadCloser
	cancel context.CancelFunc
	w      blob.Writer
	tar    *unpacking
	n      int64
	err    error // what ended it

	mu     sync.Mutex // held while bytes are taken in: Close may come from elsewhere while a Read hangs
	closed bool
}

func (r *checked) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.rc.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return n, cmp.Or(err, io.ErrClosedPipe)
	}
	r.n += int64(n)
	if werr := r.take(p[:n]); werr != nil {
		r.err = werr
		return n, werr
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if err = r.end(); err == nil {
			err = io.EOF
		}
	} else {
		r.layer.cache.drop(r.layer.key, err, forgetNone)
	}
	r.err = err
	return n, err
}

// take keeps bytes, and holds against the record what can be seen before the end.
func (r *checked) take(p []byte) error {
	if r.n > r.layer.record.Size {
		return r.refuse("its layer is longer than the %d bytes that its record says", r.layer.record.Size)
	}
	if _, err := r.w.Write(p); err != nil {
		return fmt.Errorf("keep blob %s: %w", r.layer.digest, err)
	}
	r.tar.write(p)
	return nil
}

// end holds the whole against the record, and keeps it.
func (r *checked) end() error {
	rec := r.layer.record
	if got := r.w.Digest(); got != rec.Digest || r.n != rec.Size {
		return r.refuse("its layer is %s of %d bytes, its record says %s of %d bytes", got, r.n, rec.Digest, rec.Size)
	}
	diffID, err := r.tar.end()
	if err != nil {
		return r.refuse("its layer cannot be unpacked: %v", err)
	}
	if diffID != rec.DiffID {
		return r.refuse("its layer holds the tar %s, its record says %s", diffID, rec.DiffID)
	}
	if err := r.w.Commit(rec.Digest); err != nil {
		return fmt.Errorf("keep blob %s: %w", rec.Digest, err)
	}
	if r.layer.step {
		return nil
	}
	return errors.Join(r.layer.cache.deps.Store.PutLayer(r.layer.key, rec), r.layer.cache.lies(rec))
}

func (r *checked) refuse(format string, args ...any) error {
	err := &RefusedError{Key: r.layer.key, Reason: fmt.Sprintf(format, args...)}
	r.layer.cache.drop(r.layer.key, err, forgetRefused)
	return err
}

func (r *checked) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true // before a Read that hangs is ended, so that its error counts as ours
	r.cancel()
	err := r.rc.Close()
	r.tar.stop()
	r.w.Abort()
	return err
}

// unpacking hashes the tar in a blob that is written to it.
type unpacking struct {
	in   *io.PipeWriter
	done chan struct{}
	sum  string
	err  error
}

func newUnpacking() *unpacking {
	out, in := io.Pipe()
	u := &unpacking{in: in, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.sum, u.err = unpack(out)
		out.CloseWithError(errUnpacked) // what more comes is none of its affair
	}()
	return u
}

var errUnpacked = errors.New("unpacked")

// unpack reads a tar to its end; nothing of it is kept.
func unpack(r io.Reader) (sum string, err error) {
	z, err := blob.Decompress(r)
	if err != nil {
		return "", err
	}
	defer z.Close()
	h := sha256.New()
	_, err = io.Copy(h, z)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), err
}

func (u *unpacking) write(p []byte) { _, _ = u.in.Write(p) } // how it ended, end says

func (u *unpacking) end() (diffID string, err error) {
	_ = u.in.Close() // a pipe's never fails
	<-u.done
	return u.sum, u.err
}

func (u *unpacking) stop() {
	u.in.CloseWithError(errUnpacked)
	<-u.done
}

// Open opens a blob that is known to lie elsewhere, in the first repository that gives it. Its digest is for the reader to check.
func Open(ctx context.Context, p *publish.Puller, s *store.Store, d v1.Descriptor) (io.ReadCloser, error) {
	_, at := s.Elsewhere(d.Digest.String())
	err := fmt.Errorf("blob %s is no longer kept, and is not known to lie in a registry", d.Digest)
	for i, repository := range at {
		rc, oerr := p.Open(ctx, repository, d.Digest)
		if oerr == nil {
			return rc, nil
		}
		if errors.Is(oerr, publish.ErrNoBlob) {
			oerr = errors.Join(oerr, s.NotElsewhere(repository, d.Digest.String()))
		}
		if err = errors.Join(err, oerr); i == 0 {
			err = oerr
		}
	}
	return nil, err
}
