package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	dbName = "imgspecd.db"
	// lockWait is how long Open waits for another process to let go of the state
	// directory: long enough for one that is just ending, short enough to answer a person.
	lockWait = 250 * time.Millisecond
	dirMode  = 0o700
	fileMode = 0o600
)

// LockedError says that another process holds the state directory.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("state directory %s is in use by another imgspecd", e.Dir)
}

// Store is an open state directory. Safe for concurrent use.
type Store struct {
	dir     string
	db      *bolt.DB
	indexMu sync.Mutex // held while index.json is read and replaced
	blobDir dirSyncer
}

// Open opens the state directory, making it if need be, and removes what an
// earlier process left half-made. It returns a *LockedError when another process has it.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	s := &Store{dir: dir}
	s.blobDir.path = filepath.Join(dir, "blobs", "sha256")
	for _, d := range []string{dir, filepath.Join(dir, "blobs"), s.blobDir.path, s.Wheels(), s.bytecode(""), s.Logs(), s.Tmp()} {
		if err := privateDir(d); err != nil {
			return nil, fmt.Errorf("open state directory: %w", err)
		}
	}
	if err := s.openDB(); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// prepare does what needs the lock: until it is held, tmp/ may belong to another process.
func (s *Store) prepare() error {
	if err := s.Clean(); err != nil {
		return err
	}
	if err := s.trimBytecode(keepBytecode); err != nil {
		return err
	}
	if err := s.initLayout(); err != nil {
		return err
	}
	return syncDir(s.dir)
}

func (s *Store) openDB() error {
	path := filepath.Join(s.dir, dbName)
	db, err := bolt.Open(path, fileMode, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return &LockedError{Dir: s.dir}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	db.MaxBatchDelay = 2 * time.Millisecond // a layer made alone need not wait longer for company
	s.db = db
	return nil
}

// Close lets go of the state directory.
func (s *Store) Close() error { return s.db.Close() }

// Dir is the state directory, which is an OCI layout too.
func (s *Store) Dir() string { return s.dir }

// Wheels is where downloaded files are kept.
func (s *Store) Wheels() string { return filepath.Join(s.dir, "wheels") }

// Logs is where the logs of builds are kept; LogPath names one.
func (s *Store) Logs() string { return filepath.Join(s.dir, "logs") }

// Tmp is where files are born: on the same file system as their final place.
func (s *Store) Tmp() string { return filepath.Join(s.dir, "tmp") }

// LogPath is where the log of a build belongs. It goes when the build's record goes.
func (s *Store) LogPath(build string) string { return filepath.Join(s.Logs(), build+".log") }

// Clean removes what lies in tmp/. Open calls it; later, it would pull files from under their writers.
func (s *Store) Clean() error {
	entries, err := os.ReadDir(s.Tmp())
	if err != nil {
		return fmt.Errorf("clean %s: %w", s.Tmp(), err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.Tmp(), e.Name())); err != nil {
			return fmt.Errorf("clean %s: %w", s.Tmp(), err)
		}
	}
	return nil
}

// privateDir makes a directory that only its owner can enter, also where it was there before.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, dirMode)
	}
	return nil
}
