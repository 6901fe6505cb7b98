package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/imgspecd/imgspecd/internal/plan"
)

// ErrChanged says that a file of the project is no longer what the plan was made of.
var ErrChanged = errors.New("it changed after the image was named")

// contents are the files of a project that a layer is made of. A layer may have more of them than a process may
// have open, so each is opened when its turn comes.
type contents struct {
	mu   sync.Mutex
	open map[*content]bool
}

// content reads one file, and gives an error in the place of its last byte unless the file is what it has to be.
type content struct {
	plan.Content
	of   *contents
	file *os.File
	left int64
	sum  hash.Hash
}

func (cs *contents) reader(c plan.Content) *content {
	return &content{Content: c, of: cs, left: c.Size, sum: sha256.New()}
}

// close closes what an error has left open.
func (cs *contents) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		_ = c.file.Close() // it was only read
	}
	cs.open = nil
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil {
		return n, fmt.Errorf("copy %s: %w", c.Path, err)
	}
	return n, nil
}

func (c *content) read(p []byte) (int, error) {
	if c.file == nil {
		if err := c.begin(); err != nil {
			return 0, err
		}
	}
	n, err := c.file.Read(p[:min(int64(len(p)), c.left)])
	c.sum.Write(p[:n])
	c.left -= int64(n)
	switch {
	case c.left == 0:
		return n, c.end()
	case err == io.EOF:
		return n, ErrChanged // it is shorter
	}
	return n, err
}

// begin opens the file. What has become a pipe must not be waited for.
func (c *content) begin() error {
	f, err := os.OpenFile(c.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() != c.Size) {
		err = ErrChanged
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	c.file = f
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.open == nil {
		c.of.open = map[*content]bool{}
	}
	c.of.open[c] = true
	return nil
}

// end proves what was read.
func (c *content) end() error {
	var more [1]byte
	n, err := c.file.Read(more[:])
	if err == io.EOF {
		err = nil
	}
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	if err := errors.Join(err, c.file.Close()); err != nil {
		return err
	}
	if n > 0 || hex.EncodeToString(c.sum.Sum(nil)) != c.Digest {
		return ErrChanged
	}
	return nil
}
