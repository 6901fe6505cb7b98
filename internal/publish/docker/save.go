package docker

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	pathpkg "path"
	"regexp"

	"github.com/imgspecd/imgspecd/internal/blob"
)

var configName = regexp.MustCompile(`^[0-9a-f]{64}\.json$`)

// keepSaved keeps the blobs of a `docker save` archive. There are two forms: an OCI
// layout (since 25.0), and before that a folder per layer with layer.tar in it and a
// config named by its digest. The names in it decide nothing: every file that may be
// a blob is kept under the digest that it has, and what the image is made of is then
// looked up by digest.
func keepSaved(s blob.Store, r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r) // the stream may go on after the archive's end
			return err
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg { // a symlink leads to a layer that is there too
			continue
		}
		dir, base := pathpkg.Split(pathpkg.Clean(h.Name))
		switch {
		case dir == "blobs/sha256/":
			err = keepAs(s, "sha256:"+base, h.Size, tr)
		case base == "layer.tar":
			err = keepHashed(s, tr)
		case dir == "" && configName.MatchString(base) && h.Size <= maxManifest:
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				err = blob.Put(s, b)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func keepAs(s blob.Store, digest string, size int64, r io.Reader) error {
	if have, ok := s.Has(digest); ok && have == size {
		return nil
	}
	return blob.Copy(s, digest, r)
}

// keepHashed keeps a blob whose digest is known only at its end.
func keepHashed(s blob.Store, r io.Reader) error {
	w, err := s.NewBlob()
	if err != nil {
		return err
	}
	defer w.Abort()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), r); err != nil {
		return err
	}
	return w.Commit("sha256:" + hex.EncodeToString(h.Sum(nil)))
}
