package imagespec

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"syscall"
	"unicode/utf8"
)

// emptyDigest is the digest of no files.
const emptyDigest = "d41d8cd98f00b204e9800998ecf8427e"

// digester makes the digests that stand for files in a tag, and notes what it read.
type digester struct {
	rule   rule
	o      Options
	inputs []Input
	dirs   []string
}

// copied is flytekit's compute_digest of the copy argument: a list of files and folders, or one folder.
func (d *digester) copied(v Value) (string, error) {
	h := md5.New()
	list, ok := v.(List)
	if !ok {
		root, err := pathArgument("copy", v)
		if err == nil {
			err = d.copyDir(h, root)
		}
		return sum(h), err
	}
	for _, e := range list {
		src, err := pathArgument("copy", e)
		if err != nil {
			return "", err
		}
		file := d.o.path(src)
		if st, err := os.Stat(file); err == nil && st.IsDir() {
			err = d.copyDir(h, src)
			if err != nil {
				return "", err
			}
		} else if err := d.copyFile(h, file, src, path.Base("/"+src)); err != nil {
			return "", err
		}
	}
	return sum(h), nil
}

func (d *digester) copyDir(h hash.Hash, root string) error {
	return d.walk(d.o.path(root), "", false, func(file, rel string) error {
		return d.copyFile(h, file, root+"/"+rel, rel)
	})
}

// copyFile hashes content and relative path. What does not exist, a dangling link for example, is left out.
func (d *digester) copyFile(h hash.Hash, file, shown, rel string) error {
	if file == "" || strings.HasSuffix(shown, "/") && !isDir(file) {
		return nil
	}
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return nil //nolint:nilerr // flytekit skips what does not exist
	case st.Mode()&fs.ModeSocket != 0 && !d.rule.readsSockets:
		return nil
	}
	return d.hashFile(h, "copy", file, shown, rel)
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}

// walk calls each for every file below dir: the files of a folder sorted, then its folders in the order
// of the file system, as Python's os.walk with sorted files. Links to folders are not entered.
func (d *digester) walk(dir, rel string, skipGit bool, each func(file, rel string) error) error {
	entries, err := d.o.readDir(dir)
	if err != nil {
		return nil //nolint:nilerr // os.walk passes over what it cannot list
	}
	d.dirs = append(d.dirs, dir)
	var files, folders []string
	for _, e := range entries {
		linkToDir := e.Type()&fs.ModeSymlink != 0 && isDir(dir+"/"+e.Name())
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case !linkToDir:
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	for _, f := range files {
		if err := each(dir+"/"+f, rel+f); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if f == ".git" && skipGit {
			continue
		}
		if err := d.walk(dir+"/"+f, rel+f+"/", skipGit, each); err != nil {
			return err
		}
	}
	return nil
}

func (d *digester) hashFile(h hash.Hash, field, file, shown, rel string) error {
	if !utf8.ValidString(rel) {
		return &PythonError{Type: "UnicodeEncodeError", Field: field, Path: file,
			Message: "'utf-8' codec can't encode the name of " + rel}
	}
	f, err := d.o.open(file)
	if err != nil {
		return fileError(field, shown, file, err)
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(io.MultiWriter(h, content), f); err != nil {
		return fileError(field, shown, file, err)
	}
	_, _ = io.WriteString(h, strings.ReplaceAll(rel, "/", "")) // a hash takes everything
	d.inputs = append(d.inputs, Input{Path: file, Digest: sum(content), Named: true, Mode: modeOf(f)})
	return nil
}

// modeOf returns the permissions of an open file, as far as what was opened has any.
func modeOf(f any) string {
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return ""
	}
	st, err := s.Stat()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%04o", st.Mode().Perm())
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// source is the digest of the files under source_root that go into the image.
func (d *digester) source(s Spec) (string, error) {
	v := s.fields["source_root"]
	if !truthy(v) {
		return "", &PythonError{Type: "ValueError", Field: "source_root",
			Message: "Field source_root for image spec " + str(s.fields["name"]) + " must be set when copy is set"}
	}
	root, err := pathArgument("source_root", v)
	if err != nil {
		return "", err
	}
	if st, err := os.Stat(d.o.path(root)); err != nil {
		return "", fileError("source_root", root, d.o.path(root), err)
	} else if !st.IsDir() {
		return "", fileError("source_root", root, d.o.path(root), syscall.ENOTDIR)
	}
	if s.fields["source_copy_mode"] == LoadedModules {
		return d.loadedModules(root)
	}
	ignored, err := newIgnore(root, d.o)
	if err != nil {
		return "", err
	}
	return d.sourceFiles(root, ignored)
}

// loadedModules is the digest of the modules that the run has loaded from root. flytekit compares
// absolute module paths with root as text, so a relative root, or one with a slash at its end, holds none.
func (d *digester) loadedModules(root string) (string, error) {
	if !strings.HasPrefix(root, "/") || strings.HasSuffix(root, "/") {
		return emptyDigest, nil
	}
	if d.o.Modules == nil {
		return "", &Unpredictable{
			Field:  "source_root",
			Reason: "the tag depends on which modules are loaded from " + root + " when flytekit computes it",
			Hint:   "set source_copy_mode to CopyFileDetection.ALL or NO_COPY, or write source_root relative to where pyflyte is started",
		}
	}
	h := md5.New()
	for _, file := range slices.Sorted(slices.Values(d.o.Modules)) {
		rel, below := strings.CutPrefix(file, root+"/")
		if !below {
			continue
		}
		if err := d.hashFile(h, "source_root", file, file, rel); err != nil {
			return "", err
		}
	}
	return sum(h), nil
}

func (d *digester) sourceFiles(root string, ignored *ignore) (string, error) {
	type found struct{ file, rel string }
	var files []found
	prefix := root
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	err := d.walk(d.o.path(root), "", !d.rule.walksGit, func(file, rel string) error {
		st, err := os.Stat(file)
		if err != nil || st.Mode()&fs.ModeSocket != 0 && !d.rule.readsSockets {
			return nil //nolint:nilerr // flytekit skips what does not exist
		}
		if out, err := ignored.match(prefix+rel, rel); err != nil || out {
			return err
		}
		files = append(files, found{file, rel})
		return nil
	})
	if err != nil {
		return "", err
	}
	if !d.rule.unsorted {
		sort.Slice(files, func(i, j int) bool { return files[i].rel < files[j].rel })
	}
	h := md5.New()
	for _, f := range files {
		if err := d.hashFile(h, "source_root", f.file, prefix+f.rel, f.rel); err != nil {
			return "", err
		}
	}
	d.inputs = append(d.inputs, ignored.inputs...)
	return sum(h), nil
}
