package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/internal/inode"
)

// Limits of what is looked at.
const (
	maxSource = 1 << 20 // bytes of one Python file
	maxFiles  = 50_000  // Python files of one project
	maxDirs   = 512     // directories watched for new files
)

// marks are the texts of which one stands in every file that can hold a spec: a call names the class, and
// a changed copy of an imported spec is made by a method that only ImageSpec has.
var marks = [][]byte{
	[]byte("ImageSpec"), []byte(".with_packages("), []byte(".with_apt_packages("), []byte(".with_commands("),
	[]byte(".with_copy("), []byte(".with_runtime_packages("), []byte(".with_builder_options("),
}

// skipped are directories that hold no files of the project's own.
var skipped = map[string]bool{
	"node_modules": true, "site-packages": true, "__pycache__": true, "venv": true, "env": true, "dist-packages": true,
}

// pythonFiles lists a project's Python files, absolute and sorted. Within a git repository it asks git, which
// knows what .gitignore names; else it walks.
func pythonFiles(ctx context.Context, dir string) ([]string, error) {
	files, err := gitFiles(ctx, dir)
	if err != nil {
		files, err = walkFiles(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	files = slices.Compact(files)
	return files[:min(len(files), maxFiles)], nil
}

// gitFiles lists tracked and untracked files that are not ignored. The monitor hook is switched off, because
// it would run a program that the repository names.
func gitFiles(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "-c", "core.fsmonitor=false", "ls-files", "-z",
		"--cached", "--others", "--exclude-standard", "--", "*.py")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range bytes.SplitSeq(out, []byte{0}) {
		rel := string(name)
		if rel != "" && !inSkipped(rel) {
			files = append(files, filepath.Join(dir, rel))
		}
	}
	return files, nil
}

func inSkipped(rel string) bool {
	for part := range strings.SplitSeq(filepath.Dir(rel), "/") {
		if skip(part) {
			return true
		}
	}
	return false
}

func skip(dir string) bool {
	return skipped[dir] || dir != "." && strings.HasPrefix(dir, ".") || strings.HasSuffix(dir, ".egg-info")
}

func walkFiles(ctx context.Context, dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if path == dir {
				return err
			}
			return nil // what cannot be read holds nothing that can be known
		case d.IsDir() && path != dir && (skip(d.Name()) || isVenv(path)):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".py"):
			files = append(files, path)
		}
		if len(files) >= maxFiles {
			return filepath.SkipAll
		}
		return nil
	})
	return files, err
}

func isVenv(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}

// watchDirs lists the directories of the files, and the project's own, up to a bound.
func watchDirs(dir string, files []string) []string {
	seen := map[string]bool{dir: true}
	dirs := []string{dir}
	for _, f := range files {
		d := filepath.Dir(f)
		for ; !seen[d] && strings.HasPrefix(d, dir+"/") && len(dirs) < maxDirs; d = filepath.Dir(d) {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// stats remembers what files held by what stat says of them, so that an unchanged one is not read again.
type stats struct {
	mu   sync.Mutex
	seen map[string]known
}

type known struct {
	size   int64
	mtime  time.Time
	inode  uint64
	digest string // sha256, hex; "" for no regular file or one beyond maxSource
	marked bool
}

// settled is the age at which a file's time tells it from a later version: file systems step coarsely.
const settled = 2 * time.Second

// look returns a file's digest and whether it bears a mark. A file that is not there has the digest "".
func (s *stats) look(path string) known {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return known{}
	}
	now := known{size: st.Size(), mtime: st.ModTime(), inode: inode.Of(st)}
	s.mu.Lock()
	old, ok := s.seen[path]
	s.mu.Unlock()
	if ok && old.size == now.size && old.mtime.Equal(now.mtime) && old.inode == now.inode {
		return old
	}
	if st.Size() <= maxSource {
		b, err := os.ReadFile(path)
		if err != nil {
			return known{}
		}
		sum := sha256.Sum256(b)
		now.digest = hex.EncodeToString(sum[:])
		now.marked = slices.ContainsFunc(marks, func(m []byte) bool { return bytes.Contains(b, m) })
	}
	if time.Since(now.mtime) > settled {
		s.mu.Lock()
		if s.seen == nil {
			s.seen = map[string]known{}
		}
		s.seen[path] = now
		s.mu.Unlock()
	}
	return now
}
