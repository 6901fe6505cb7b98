package imagespec

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// forest is a directory with trees of files that random specs name: t0, t1, ... and some files beside them.
type forest struct {
	dir     string
	paths   []string // files, folders and what is not there, relative
	roots   []string // folders, relative
	modules []string // Python files that a run loads, absolute
}

var hardNames = []string{"a", "b.py", "A", "a-b", "x y", "é", "it's", `q"t`, "日本", "m.pyc", "conf.yaml", "#x", "back\\slash", "[z]", "~", ".hidden", "a*b"}

var folderNames = []string{"d", "D", "d-e", "__pycache__", ".cache", "src", "node_modules", ".git-not", "ü", "a b"}

var patterns = []string{"*.py", "**/*.py", "src", "src/", "d/*", "!d/b.py", "# comment", "", "a?b", "[abc]", "[!abc]", "é", "**/__pycache__", "/a", "./D", "*", "!**/a", "x y", "  A  ", "../t1/a", "node_modules/**", "conf.*"}

func (r random) pick(from []string) string { return from[r.IntN(len(from))] }

func (r random) ignoreFile() string {
	var lines []string
	for range 1 + r.IntN(4) {
		lines = append(lines, r.pick(patterns))
	}
	return strings.Join(lines, "\n") + "\n"
}

// forest plants n trees. A third of them are git repositories.
func (r random) forest(t *testing.T, n int) forest {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := forest{dir: dir, paths: []string{"gone", "gone/too", ".", ""}}
	for i := range n {
		root := "t" + string(rune('0'+i))
		f.grow(t, r, root, 3)
		f.file(t, root+"/loaded_"+root+".py", "x = 1\n")
		f.modules = append(f.modules, filepath.Join(dir, root, "loaded_"+root+".py"))
		if r.IntN(2) == 0 {
			f.file(t, root+"/.dockerignore", r.ignoreFile())
		}
		if r.IntN(3) == 0 {
			f.file(t, root+"/.gitignore", r.ignoreFile())
			git(t, filepath.Join(dir, root), "init", "-q")
			git(t, filepath.Join(dir, root), "add", "-f", "loaded_"+root+".py")
		}
	}
	for name, text := range map[string]string{"r.txt": " \tnumpy\r\nx\n\n\v\f ", "uv.lock": "version = 1\n", "poetry.lock": "\u00a0x\u0085", "empty": ""} {
		f.file(t, name, text)
	}
	return f
}

// grow makes a folder with files, links and folders in it.
func (f *forest) grow(t *testing.T, r random, rel string, depth int) {
	t.Helper()
	at := filepath.Join(f.dir, rel)
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	f.paths, f.roots = append(f.paths, rel), append(f.roots, rel)
	for range r.IntN(5) {
		f.file(t, rel+"/"+r.pick(hardNames), r.text())
	}
	try := func(err error) { // what is there already stays; some systems let only root make a socket this way
		if err != nil && !os.IsExist(err) && !os.IsPermission(err) {
			t.Fatal(err)
		}
	}
	switch r.IntN(6) {
	case 0:
		try(os.Symlink(r.pick([]string{"../", "gone", "a", "d", ".", f.dir + "/r.txt"}), at+"/link"))
		f.paths = append(f.paths, rel+"/link")
	case 1:
		try(syscall.Mknod(at+"/socket", syscall.S_IFSOCK|0o600, 0))
		f.paths = append(f.paths, rel+"/socket")
	}
	if depth == 0 {
		return
	}
	for range r.IntN(4) {
		f.grow(t, r, rel+"/"+r.pick(folderNames), depth-1)
	}
}

func (f *forest) file(t *testing.T, rel, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, rel), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f.paths = append(f.paths, rel)
}

// written is a path as somebody may write it.
func (f forest) written(r random, rel string) Value {
	kind := r.IntN(8)
	if rel == "" { // with a slash it would be the whole file system
		return Str(rel)
	}
	switch kind {
	case 0:
		rel = "./" + rel
	case 1:
		rel += "/"
	case 2:
		rel = "t0/../" + rel
	case 3:
		rel = strings.ReplaceAll(rel, "/", "//")
	case 4, 5:
		rel = f.dir + "/" + rel
	}
	if r.IntN(4) == 0 {
		return NewPath(rel)
	}
	return Str(rel)
}
