package imagespec

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// visit is what is done at each step of a walk. What is nil is left out.
type visit struct {
	dir  func(file, rel string)                  // a folder that is entered
	file func(file, rel string, link bool) error // anything that is no folder
	link func(file, rel string) error            // a link to a folder: it is not entered
	bad  func(file string, err error)            // a folder that cannot be listed
}

// walk visits what is below dir: the files of a folder sorted, then its folders in the order
// of the file system, as Python's os.walk with sorted files. Links to folders are not entered.
func (d *digester) walk(dir, rel string, skipGit bool, v visit) error {
	entries, err := d.o.readDir(dir)
	if err != nil {
		if v.bad != nil {
			v.bad(dir, err)
		}
		return nil // os.walk passes over what it cannot list
	}
	d.dirs = append(d.dirs, dir)
	if v.dir != nil {
		v.dir(dir, rel)
	}
	var files, folders, links []string
	isLink := map[string]bool{}
	for _, e := range entries {
		isLink[e.Name()] = e.Type()&fs.ModeSymlink != 0
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case isLink[e.Name()] && isDir(dir+"/"+e.Name()):
			links = append(links, e.Name())
		default:
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	for _, f := range files {
		if err := v.file(dir+"/"+f, rel+f, isLink[f]); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if f == ".git" && skipGit {
			continue
		}
		if err := d.walk(dir+"/"+f, rel+f+"/", skipGit, v); err != nil {
			return err
		}
	}
	slices.Sort(links)
	for _, f := range links {
		if v.link == nil {
			break
		}
		if err := v.link(dir+"/"+f, rel+f); err != nil {
			return err
		}
	}
	return nil
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}

// hashFile adds a file's content and relative path to a digest. With none, the file is one that no tag sees.
func (d *digester) hashFile(h hash.Hash, field, file, shown, rel string) (Copied, error) {
	if h != nil && !utf8.ValidString(rel) {
		return Copied{}, &PythonError{Type: "UnicodeEncodeError", Field: field, Path: file,
			Message: "'utf-8' codec can't encode the name of " + rel}
	}
	f, err := d.o.open(file)
	if err != nil {
		return Copied{}, fileError(field, shown, file, err)
	}
	defer f.Close()
	before, err := statOf(f)
	if err != nil {
		return Copied{}, fileError(field, shown, file, err)
	}
	if before != nil && !before.Mode().IsRegular() && !before.IsDir() {
		return Copied{}, &Unsupported{Field: field, Reason: shown + " is a pipe or a device: flytekit would wait for what comes out of it"}
	}
	content := sha256.New()
	to := io.Writer(content)
	if h != nil {
		to = io.MultiWriter(h, content)
	}
	n, err := io.Copy(to, f)
	if err == nil {
		err = unchanged(f, before, n)
	}
	if err != nil {
		return Copied{}, fileError(field, shown, file, err)
	}
	if h != nil {
		_, _ = io.WriteString(h, strings.ReplaceAll(rel, "/", "")) // a hash takes everything
	}
	c := Copied{Path: file, Size: n, Digest: sum(content), Mode: 0o644}
	in := Input{Path: file, Digest: c.Digest, Named: h != nil}
	if before != nil {
		c.Mode, in.Mode = permissions(before), octal(before)
	}
	d.inputs = append(d.inputs, in)
	return c, nil
}

// statOf is what an open file says of itself, if it can.
func statOf(f any) (fs.FileInfo, error) {
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil, nil
	}
	return s.Stat()
}

// unchanged makes sure that a file of which n bytes were read is as it was before.
func unchanged(f any, before fs.FileInfo, n int64) error {
	if before == nil {
		return nil
	}
	after, err := statOf(f)
	if err == nil && (after.Size() != before.Size() || n != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = ErrChanged
	}
	return err
}

// permissions is what chmod can set.
func permissions(st fs.FileInfo) fs.FileMode {
	return st.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

func octal(st fs.FileInfo) string {
	m := uint32(st.Mode().Perm())
	for bit, v := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if st.Mode()&bit != 0 {
			m |= v
		}
	}
	return fmt.Sprintf("%04o", m)
}

// maxLinked is how many files may lie behind links to folders: a few links to each other make any number.
const maxLinked = 50_000

// linked lists what is behind a link to a folder, which no tag sees and which the default builder copies all the
// same. chain is the real folders through which links have led here.
func (d *digester) linked(file, at string, chain []string) error {
	if d.tooMany() || d.leaves("copy", file) {
		return nil
	}
	real, err := filepath.EvalSymlinks(file)
	here, err2 := filepath.EvalSymlinks(path.Dir(file))
	if err != nil || err2 != nil {
		d.to.refuse(Refusal{Field: "copy", Reason: file + " cannot be followed"})
		return nil //nolint:nilerr // it is told
	}
	if slices.Contains(chain, real) || here == real || strings.HasPrefix(here, strings.TrimSuffix(real, "/")+"/") {
		d.to.refuse(Refusal{Field: "copy", Reason: file + " is a link to a folder that it is in", Hint: "copying it would never end"})
		return nil
	}
	chain = append(slices.Clip(chain), real)
	return d.walk(real, "", false, visit{ // by its own path: one with many links in it is slow, and may be too much for the kernel
		dir:  func(file, rel string) { d.folder(file, path.Join(at, rel)) },
		file: func(file, rel string, link bool) error { return d.unnamed(file, path.Join(at, rel), link) },
		link: func(file, rel string) error { return d.linked(file, path.Join(at, rel), chain) },
		bad:  d.unlisted,
	})
}

// unnamed notes a file that is copied and that no tag sees.
func (d *digester) unnamed(file, at string, link bool) error {
	if d.tooMany() || d.special(file) || link && d.leaves("copy", file) {
		return nil
	}
	c, known := d.known[file] // many links may lead to it
	if !known {
		var err error
		if c, err = d.hashFile(nil, "copy", file, file, ""); err != nil {
			return err
		}
		d.known[file] = c
	}
	d.to.file(at, c)
	return nil
}

// tooMany counts what is behind links to folders, and says whether to go on: nothing is copied once something is refused.
func (d *digester) tooMany() bool {
	if d.behind++; d.behind > maxLinked {
		d.to.refuse(Refusal{Field: "copy", Reason: fmt.Sprintf("more than %d files and folders lie behind links to folders", maxLinked)})
	}
	return d.to.refused != nil
}

// folder notes a folder of copy. Its mode, and that it is there even if empty, is in no tag.
func (d *digester) folder(file, at string) {
	st, err := os.Stat(file)
	if err != nil {
		return // it has just been listed; what is read next will say it
	}
	if _, known := d.known[file]; !known {
		d.known[file] = Copied{}
		d.inputs = append(d.inputs, Input{Path: file, Mode: octal(st)})
	}
	if at != "." {
		d.to.dir(at, permissions(st))
	}
}

func (d *digester) unlisted(file string, err error) {
	d.to.refuse(Refusal{Field: "copy", Reason: "list " + file + ": " + err.Error(), Hint: "flytekit cannot copy it either"})
}

// special refuses what is no file that could be copied.
func (d *digester) special(file string) bool {
	st, err := os.Stat(file)
	switch {
	case err != nil:
		d.to.refuse(Refusal{Field: "copy", Reason: "there is no file " + file, Hint: "paths in an ImageSpec start at the directory in which the run is started"})
		d.to.missing = append(d.to.missing, file)
	case st.IsDir() || st.Mode().IsRegular():
		return false
	default:
		d.to.refuse(Refusal{Field: "copy", Reason: file + " is a socket, pipe or device", Hint: "flytekit cannot copy it either"})
	}
	return true
}

// leaves refuses a path that links lead out of the project: building is automatic here, and a link in a
// repository from elsewhere must not bring files of this machine into an image that is pushed.
func (d *digester) leaves(field, file string, more ...string) bool {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false // what is not there is told elsewhere
	}
	if d.home == "" {
		d.home = repository(d.o.Dir)
		if real, err := filepath.EvalSymlinks(d.home); err == nil {
			d.home = real
		}
	}
	within := func(top string) bool { return real == top || strings.HasPrefix(real, strings.TrimSuffix(top, "/")+"/") }
	if within(d.home) {
		return false
	}
	for _, top := range more {
		if top, err := filepath.EvalSymlinks(top); err == nil && within(top) {
			return false
		}
	}
	d.to.refuse(Refusal{Field: field, Deliberate: true, Reason: file + " is a link to " + real + ", outside of " + d.home,
		Hint: "put the file itself there: what lies outside of a project is not copied through links"})
	return true
}

// repository is the git repository that a directory is in, or the directory.
func repository(dir string) string {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at + "/.git"); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}
