package index

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// errBadResume says that a server's answer does not continue what is held.
var errBadResume = errors.New("the server's answer does not continue the partial file")

// part is a file on its way: what is held of it, and the hash of that.
// Owned by one download.
type part struct {
	path string
	file File
	want string // hex
	add  func(int64)

	f    *os.File
	size int64 // bytes held
	told int64 // bytes that add was told of
	sum  hash.Hash
	etag string // of the response that the bytes came from; empty: unknown
}

// open opens the partial file and hashes what an earlier download left in it.
// On a part that is open it does nothing.
func (p *part) open() error {
	if p.f != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	p.f, p.sum, p.etag = f, sha256.New(), ""
	if p.size, err = io.Copy(p.sum, f); err != nil {
		return err
	}
	if p.file.Size > 0 && p.size > p.file.Size {
		if err := p.reset(); err != nil {
			return err
		}
	}
	if etag, err := os.ReadFile(p.path + ".etag"); err == nil && p.size > 0 {
		p.etag = string(etag)
	}
	p.tell()
	return nil
}

// tell reports the change in what is held.
func (p *part) tell() {
	if p.size != p.told {
		p.add(p.size - p.told)
		p.told = p.size
	}
}

// reset throws away what is held.
func (p *part) reset() error {
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.size, p.sum, p.etag = 0, sha256.New(), ""
	p.tell()
	return nil
}

// complete reports whether all bytes are held, so that nothing is left to ask for.
func (p *part) complete() bool { return p.file.Size > 0 && p.size == p.file.Size }

// Write appends. More than the lock announces is refused at once, not when the disk is full.
func (p *part) Write(b []byte) (int, error) {
	if p.file.Size > 0 && p.size+int64(len(b)) > p.file.Size {
		return 0, p.mismatch("size", strconv.FormatInt(p.file.Size, 10)+" bytes", "more")
	}
	n, err := p.f.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	p.tell()
	if err != nil {
		return n, &localError{err}
	}
	return n, nil
}

// remember keeps the validator of the response whose bytes follow, for a later attempt's If-Range.
// That it is lost does no harm: the hash decides.
func (p *part) remember(etag string) {
	p.etag = etag
	if etag == "" {
		os.Remove(p.path + ".etag")
		return
	}
	_ = os.WriteFile(p.path+".etag", []byte(etag), 0o600)
}

// forget removes what was kept beside the partial file.
func (p *part) forget() { os.Remove(p.path + ".etag") }

// copyFrom fills the part from a file of this machine.
func (p *part) copyFrom(path string) error {
	if err := p.reset(); err != nil {
		return &localError{err}
	}
	src, err := os.Open(path)
	if err != nil {
		return &localError{err}
	}
	defer src.Close()
	if fi, err := src.Stat(); err != nil || !fi.Mode().IsRegular() {
		return &localError{fmt.Errorf("%s is not a regular file", path)}
	}
	if _, err := io.Copy(p, src); err != nil {
		var mismatch *MismatchError
		if errors.As(err, &mismatch) {
			return err
		}
		return &localError{err}
	}
	return nil
}

// verify checks size and hash of what is held.
func (p *part) verify() error {
	if p.file.Size > 0 && p.size != p.file.Size {
		return p.mismatch("size", strconv.FormatInt(p.file.Size, 10)+" bytes", strconv.FormatInt(p.size, 10))
	}
	if got := hex.EncodeToString(p.sum.Sum(nil)); got != p.want {
		return p.mismatch("sha256", p.want, got)
	}
	return nil
}

func (p *part) mismatch(what, want, got string) *MismatchError {
	return &MismatchError{Filename: p.file.Filename, What: what, Want: want, Got: got, URL: redact(p.file.URL)}
}

func (p *part) sync() error {
	if err := p.f.Sync(); err != nil {
		return &localError{err}
	}
	return nil
}

func (p *part) close() {
	if p.f != nil {
		p.f.Close()
	}
}
