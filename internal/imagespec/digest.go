package imagespec

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
)

// emptyDigest is the digest of no files.
const emptyDigest = "d41d8cd98f00b204e9800998ecf8427e"

// digester makes the digests that stand for files in a tag, and notes what it read.
type digester struct {
	rule   rule
	o      Options
	inputs []Input
	dirs   []string
	to     buildContext
	home   string            // where links may lead
	behind int               // files and folders seen behind links to folders
	known  map[string]Copied // files that no tag sees, and folders, by path: each is an input once
}

// copied is flytekit's compute_digest of the copy argument: a list of files and folders, or one folder.
func (d *digester) copied(v Value) (string, error) {
	h := md5.New()
	list, ok := v.(List)
	if !ok {
		root, err := pathArgument("copy", v)
		if err == nil {
			d.to.refuse(Refusal{Field: "copy", Reason: "it is no list: flytekit's builder takes each letter of " + root + " for a file", Hint: "write [" + Repr(Str(root)) + "]"})
			err = d.copyDir(h, root, ".")
		}
		return sum(h), err
	}
	for _, e := range list {
		src, err := pathArgument("copy", e)
		if err != nil {
			return "", err
		}
		if err := d.copyOne(h, src); err != nil {
			return "", err
		}
	}
	return sum(h), nil
}

// copyOne is one entry of the list. The digest takes it as it is written, the builder as pathlib has it.
func (d *digester) copyOne(h hash.Hash, src string) error {
	file, at := d.o.path(src), string(NewPath(src))
	switch {
	case strings.HasPrefix(at, "/"), slices.Contains(strings.Split(at, "/"), ".."):
		d.to.refuse(Refusal{Field: "copy", Reason: "Absolute paths or paths with '..' are not allowed in COPY command."}) // flytekit's own
	case src == "":
		d.to.refuse(Refusal{Field: "copy", Reason: "an empty path stands for the whole working directory, and no tag sees it", Hint: `write "."`})
	default:
		d.leaves("copy", d.o.path(at))
	}
	d.to.copies = append(d.to.copies, instruction{field: "copy", from: src, path: at, dir: isDir(file)})
	if isDir(file) {
		return d.copyDir(h, src, at)
	}
	c, ok, err := d.copyFile(h, file, src, path.Base("/"+src))
	switch {
	case err != nil || d.to.refused != nil:
		return err
	case ok:
		d.to.file(at, c)
		return nil
	}
	return d.unnamed(d.o.path(at), at, false)
}

func (d *digester) copyDir(h hash.Hash, src, at string) error {
	root := d.o.path(src)
	var chain []string
	if real, err := filepath.EvalSymlinks(root); err == nil {
		chain = []string{real}
	}
	return d.walk(root, "", false, visit{
		dir: func(file, rel string) { d.folder(file, path.Join(at, rel)) },
		file: func(file, rel string, link bool) error {
			c, ok, err := d.copyFile(h, file, src+"/"+rel, rel)
			switch {
			case err != nil:
				return err
			case !ok:
				d.special(file)
			case !link || !d.leaves("copy", file):
				d.to.file(path.Join(at, rel), c)
			}
			return nil
		},
		link: func(file, rel string) error { return d.linked(file, path.Join(at, rel), chain) },
		bad:  d.unlisted,
	})
}

// copyFile hashes content and relative path. What does not exist, a dangling link for example, is left out.
func (d *digester) copyFile(h hash.Hash, file, shown, rel string) (c Copied, ok bool, err error) {
	if file == "" || strings.HasSuffix(shown, "/") && !isDir(file) {
		return c, false, nil
	}
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return c, false, nil //nolint:nilerr // flytekit skips what does not exist
	case st.Mode()&fs.ModeSocket != 0 && !d.rule.readsSockets:
		return c, false, nil
	}
	c, err = d.hashFile(h, "copy", file, shown, rel)
	return c, err == nil, err
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
	d.to.dir(sourceDir, 0o755)
	d.to.copies = append(d.to.copies, instruction{field: "source_root", from: root, path: sourceDir, dir: true})
	if !strings.HasPrefix(root, "/") {
		d.leaves("source_root", d.o.path(root))
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
		if err := d.sourceFile(h, file, file, rel, root); err != nil {
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
	err := d.walk(d.o.path(root), "", !d.rule.walksGit, visit{file: func(file, rel string, _ bool) error {
		st, err := os.Stat(file)
		if err != nil || st.Mode()&fs.ModeSocket != 0 && !d.rule.readsSockets {
			return nil //nolint:nilerr // flytekit skips what does not exist
		}
		if out, err := ignored.match(prefix+rel, rel); err != nil || out {
			return err
		}
		files = append(files, found{file, rel})
		return nil
	}})
	if err != nil {
		return "", err
	}
	if !d.rule.unsorted {
		sort.Slice(files, func(i, j int) bool { return files[i].rel < files[j].rel })
	}
	h := md5.New()
	for _, f := range files {
		if err := d.sourceFile(h, f.file, prefix+f.rel, f.rel, root); err != nil {
			return "", err
		}
	}
	d.inputs = append(d.inputs, ignored.inputs...)
	return sum(h), nil
}

// sourceFile hashes a file below source_root, and has it copied.
func (d *digester) sourceFile(h hash.Hash, file, shown, rel, root string) error {
	c, err := d.hashFile(h, "source_root", file, shown, rel)
	if err != nil {
		return err
	}
	if st, err := os.Lstat(file); err == nil && st.Mode()&fs.ModeSymlink != 0 && d.leaves("source_root", file, d.o.path(root)) {
		return nil
	}
	d.to.file(sourceDir+"/"+rel, c)
	return nil
}
