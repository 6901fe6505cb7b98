package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Fetch brings the file of an artifact here, checked by its hash, and says where it is.
func (b *Builder) Fetch(ctx context.Context, a lockfile.Artifact) (path string, err error) {
	f := file(a)
	if path, ok := b.deps.Index.Path(f); ok {
		return path, nil
	}
	return b.deps.Index.Fetch(ctx, f, func(int64) {})
}

// KeepWheel takes in the one wheel in dir that was built for an artifact. It is looked at as any wheel is that somebody else made.
func (b *Builder) KeepWheel(dir string, a lockfile.Artifact) (store.WheelRecord, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		return store.WheelRecord{}, err
	}
	if len(found) != 1 {
		return store.WheelRecord{}, fmt.Errorf("the build left %d wheels, where there should be one", len(found))
	}
	rec := store.WheelRecord{Filename: filepath.Base(found[0])}
	w, err := wheel.Open(found[0], rec.Filename, b.limits)
	if err != nil {
		return rec, err
	}
	name, version := w.Name, w.Version
	if err := w.Close(); err != nil {
		return rec, err
	}
	if pypa.NormalizeName(name) != a.Name || !sameVersion(version, a.Version) {
		return rec, fmt.Errorf("the build made %s %s, and %s %s was locked", name, version, a.Name, a.Version)
	}
	in, err := os.Open(found[0])
	if err != nil {
		return rec, err
	}
	defer in.Close()
	out, err := b.deps.Store.NewBlob()
	if err != nil {
		return rec, err
	}
	defer out.Abort()
	if rec.Size, err = io.Copy(out, in); err != nil {
		return rec, err
	}
	rec.Digest = out.Digest()
	return rec, out.Commit(rec.Digest)
}

// sameVersion compares as far as the lock says: it need not know the version of a source that computes it.
func sameVersion(built, locked string) bool {
	if locked == "" {
		return true
	}
	x, err1 := pypa.ParseVersion(built)
	y, err2 := pypa.ParseVersion(locked)
	return errors.Join(err1, err2) == nil && x.Compare(y) == 0
}

// Built is an artifact as the wheel that was made of it.
func (b *Builder) Built(a lockfile.Artifact, w store.WheelRecord) (lockfile.Artifact, error) {
	path, err := b.deps.Store.BlobPath(w.Digest)
	if err != nil {
		return a, err
	}
	a.Filename, a.Path, a.URL, a.Index = w.Filename, path, "", ""
	a.Hash, a.Size = w.Digest, w.Size
	a.Built, a.Sdist, a.Source, a.Reason = true, false, nil, ""
	return a, nil
}
