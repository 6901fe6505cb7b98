package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keepBytecode is how many packages' .pyc files are kept. What is gone is compiled again.
const keepBytecode = 2048

// Bytecode returns what was kept of a package under a key (hex). What was damaged counts as missing.
func (s *Store) Bytecode(key string) ([]byte, bool) {
	path := s.bytecode(key)
	b, err := os.ReadFile(path)
	if err != nil || len(b) < sha256.Size {
		return nil, false
	}
	sum, b := b[:sha256.Size], b[sha256.Size:]
	if got := sha256.Sum256(b); !bytes.Equal(got[:], sum) {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // it only goes sooner than it should
	return b, true
}

// PutBytecode keeps what a package was compiled to. It is not synced: its sum says whether it is whole.
func (s *Store) PutBytecode(key string, b []byte) error {
	f, err := os.CreateTemp(s.Tmp(), "bytecode-*")
	if err != nil {
		return fmt.Errorf("keep bytecode: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.Sum256(b)
	for _, p := range [][]byte{sum[:], b} {
		if _, err := f.Write(p); err != nil {
			return fmt.Errorf("keep bytecode: %w", err)
		}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("keep bytecode: %w", err)
	}
	if err := os.Rename(f.Name(), s.bytecode(key)); err != nil {
		return fmt.Errorf("keep bytecode: %w", err)
	}
	return nil
}

func (s *Store) bytecode(key string) string { return filepath.Join(s.dir, "bytecode", key) }

// trimBytecode removes what was used longest ago.
func (s *Store) trimBytecode(keep int) error {
	entries, err := os.ReadDir(s.bytecode(""))
	if err != nil {
		return fmt.Errorf("trim bytecode: %w", err)
	}
	if len(entries) <= keep {
		return nil
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, f := range files[min(keep, len(files)):] {
		if err := os.Remove(s.bytecode(f.Name())); err != nil {
			return fmt.Errorf("trim bytecode: %w", err)
		}
	}
	return nil
}
