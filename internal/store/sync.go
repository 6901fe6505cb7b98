package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// dirSyncer syncs one directory for many writers. A sync that began after a
// rename covers that rename, so writers who wait at the same time share one.
type dirSyncer struct {
	path string

	mu   sync.Mutex
	next *dirSync // the sync that has not begun yet, joined by who comes now
	turn sync.Mutex
}

type dirSync struct {
	once sync.Once
	err  error
}

// sync returns when everything renamed into the directory before the call is durable.
func (d *dirSyncer) sync() error {
	d.mu.Lock()
	if d.next == nil {
		d.next = new(dirSync)
	}
	mine := d.next
	d.mu.Unlock()

	mine.once.Do(func() {
		d.turn.Lock() // one at a time: those that come meanwhile gather in the next
		defer d.turn.Unlock()
		d.mu.Lock()
		if d.next == mine {
			d.next = nil
		}
		d.mu.Unlock()
		mine.err = syncDir(d.path)
	})
	return mine.err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// writeFile replaces a file in one step: after a crash there is the old one or the new one.
func (s *Store) writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(s.Tmp(), filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
