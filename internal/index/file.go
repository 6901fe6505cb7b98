package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// File is one file to have on disk: what a lock pins, as far as a download cares.
type File struct {
	URL      string // http, https or file; or an absolute path of this machine; empty: see Project
	Filename string
	Hash     string // "sha256:<hex>"
	Size     int64  // 0: unknown

	// Where a file without URL is looked for, by its name and hash.
	Project string
	Index   string // an index's URL; empty: the client's own indexes
}

// sha256 returns the hash in hex. It becomes a file name, so nothing else passes.
func (f File) sha256() (string, error) {
	if f.Hash == "" {
		return "", errors.New("the lock has no hash for it, so it cannot be verified")
	}
	algorithm, digest, ok := strings.Cut(f.Hash, ":")
	if !ok || algorithm != "sha256" {
		return "", fmt.Errorf("hash %q is not a sha256", f.Hash)
	}
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
		return "", fmt.Errorf("hash %q is not a sha256", f.Hash)
	}
	return strings.ToLower(digest), nil
}

func (f File) local() bool {
	_, ok := f.localPath()
	return ok
}

// localPath returns the path of a file that is on this machine already.
func (f File) localPath() (string, bool) {
	if filepath.IsAbs(f.URL) {
		return filepath.Clean(f.URL), true
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "file" || (u.Host != "" && u.Host != "localhost") {
		return "", false
	}
	return filepath.FromSlash(u.Path), true
}
