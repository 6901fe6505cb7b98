package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const ociLayout = `{"imageLayoutVersion":"1.0.0"}`

// initLayout makes the directory an OCI layout. An index that cannot be read is set
// aside: it only says which names lead to which manifests, and what is missing in
// it will be published again, while a daemon that cannot start helps nobody.
func (s *Store) initLayout() error {
	marker := filepath.Join(s.dir, "oci-layout")
	if b, err := os.ReadFile(marker); err != nil || !bytes.Equal(b, []byte(ociLayout)) {
		if err := s.writeFile(marker, []byte(ociLayout)); err != nil {
			return err
		}
	}
	_, err := s.readIndex()
	if errors.As(err, new(*indexError)) {
		aside := fmt.Sprintf("%s.damaged-%d", s.indexPath(), time.Now().Unix())
		if err := os.Rename(s.indexPath(), aside); err != nil {
			return fmt.Errorf("set aside damaged index: %w", err)
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return s.writeIndex(emptyIndex())
	}
	return err
}

// ReadIndex reads index.json.
func (s *Store) ReadIndex() (*v1.IndexManifest, error) {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	return s.readIndex()
}

// UpdateIndex lets change alter index.json and makes the result durable. If change
// fails, or leaves the index as it was, nothing is written.
func (s *Store) UpdateIndex(change func(*v1.IndexManifest) error) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	before, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("update index: %w", err)
	}
	if err := change(index); err != nil {
		return err
	}
	after, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("update index: %w", err)
	}
	if bytes.Equal(before, after) {
		return nil
	}
	return s.writeIndex(index)
}

func (s *Store) indexPath() string { return filepath.Join(s.dir, "index.json") }

// indexError is an index.json that is there and makes no sense.
type indexError struct{ err error }

func (e *indexError) Error() string { return "read index.json: " + e.err.Error() }
func (e *indexError) Unwrap() error { return e.err }

func (s *Store) readIndex() (*v1.IndexManifest, error) {
	b, err := os.ReadFile(s.indexPath())
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	index := new(v1.IndexManifest)
	if err := json.Unmarshal(b, index); err != nil {
		return nil, &indexError{err}
	}
	return index, nil
}

func (s *Store) writeIndex(index *v1.IndexManifest) error {
	b, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return s.writeFile(s.indexPath(), append(b, '\n'))
}

func emptyIndex() *v1.IndexManifest {
	return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
}
