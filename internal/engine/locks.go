package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// Locks reads lockfiles. Reading one to see whether it is whole and reading it to
// build from it are moments apart, so the last one read is kept until it is taken.
type Locks struct {
	mu   sync.Mutex
	key  string // of what is kept: digests of the lock and of pyproject.toml
	lock lockfile.Lock
	good string // key of the last lock that was found whole
}

// lockPath is the absolute path of the spec's lock.
func (s Spec) lockPath() string {
	r := s.Fields.Requirements()
	if filepath.IsAbs(r) {
		return r
	}
	return filepath.Join(s.Cwd, r)
}

// isLock reports whether the spec's requirements are a lock; flytekit goes by the name too.
func (s Spec) isLock() bool { return plan.Locked(s.Fields) }

// needsProject reports whether the lock is nothing without the pyproject.toml beside it.
func (s Spec) needsProject() bool { return lockfile.Kind(s.lockPath()) != lockfile.FormatPylock }

// check says whether a lock is whole, as the spec was named from it.
func (l *Locks) check(s Spec) error {
	lock, project, key, err := readLock(s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	known := l.good == key
	l.mu.Unlock()
	if known {
		return nil
	}
	parsed, err := lockfile.Parse(s.lockPath(), lock, project)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.key, l.lock, l.good = key, parsed, key
	l.mu.Unlock()
	return nil
}

// take returns the lock for a build, and lets go of it.
func (l *Locks) take(s Spec) (lockfile.Lock, error) {
	lock, project, key, err := readLock(s)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key == key && l.lock != nil {
		kept := l.lock
		l.key, l.lock = "", nil
		return kept, nil
	}
	return lockfile.Parse(s.lockPath(), lock, project)
}

// readLock reads the lock and the pyproject.toml beside it, and makes sure that
// the lock is the one whose content is in the name.
func readLock(s Spec) (lock, project []byte, key string, err error) {
	path := s.lockPath()
	if lock, err = os.ReadFile(path); err != nil {
		return nil, nil, "", err
	}
	if err := s.sameAsNamed(path, lock); err != nil {
		return nil, nil, "", err
	}
	sum := path + digest(lock) // the format follows from the name
	if !s.needsProject() {
		return lock, nil, sum, nil
	}
	beside := filepath.Join(filepath.Dir(path), "pyproject.toml")
	project, err = os.ReadFile(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, "", &api.Error{
			Code:    api.CodeInvalid,
			Message: fmt.Sprintf("%s needs a pyproject.toml beside it", relTo(s.Dir, path)),
			Hint:    "flytekit refuses a lock without it",
		}
	}
	if err != nil {
		return nil, nil, "", err
	}
	return lock, project, sum + digest(project), nil
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
