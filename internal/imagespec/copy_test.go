package imagespec

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// copies names a spec that copies in dir.
func copies(t *testing.T, dir, fields string) (Named, error) {
	t.Helper()
	s, err := ParseKwargs([]byte("{" + fields + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return Name(s, Options{Dir: dir})
}

func plant(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, what := range files {
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if target, link := strings.CutPrefix(what, "-> "); err == nil && link {
			err = os.Symlink(target, at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(what), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const wholeSource = `, "source_copy_mode": {"__copymode__": "ALL"}`

// A link in a repository from elsewhere must not bring files of this machine into an image that is built and pushed by itself.
func TestLinksThatLeaveTheProject(t *testing.T) {
	outside := t.TempDir()
	plant(t, outside, map[string]string{"key": "secret", "dir/key": "secret"})
	for name, c := range map[string]struct {
		files  map[string]string
		fields string
	}{
		"file in a folder":           {map[string]string{"d/a": "-> " + outside + "/key"}, `"copy": ["d"]`},
		"folder in a folder":         {map[string]string{"d/a": "-> " + outside + "/dir"}, `"copy": ["d"]`},
		"file":                       {map[string]string{"a": "-> " + outside + "/key"}, `"copy": ["a"]`},
		"folder":                     {map[string]string{"d": "-> " + outside + "/dir"}, `"copy": ["d"]`},
		"file in a linked folder":    {map[string]string{"d": "-> " + outside}, `"copy": ["d/dir/key"]`},
		"by another link":            {map[string]string{"d/a": "-> ../b", "b": "-> " + outside + "/key"}, `"copy": ["d"]`},
		"behind a link inside":       {map[string]string{"d/l": "-> ../e", "e/k": "-> " + outside + "/key"}, `"copy": ["d"]`},
		"relative":                   {map[string]string{"d/a": "-> ../../" + filepath.Base(outside) + "/key"}, `"copy": ["d"]`},
		"file of source_root":        {map[string]string{"s/a.py": "-> " + outside + "/key"}, `"source_root": "s"` + wholeSource},
		"source_root":                {map[string]string{"s": "-> " + outside}, `"source_root": "s"` + wholeSource},
		"a folder of a like name":    {map[string]string{"d/a": "-> ../../project-2/key", "../project-2/key": "k"}, `"copy": ["d"]`},
		"the whole file system":      {map[string]string{"d/a": "-> /"}, `"copy": ["d"]`},
		"a link at an absolute root": {map[string]string{"s/a.py": "-> " + outside + "/key"}, `"source_root": "{DIR}/s"` + wholeSource},
	} {
		t.Run(name, func(t *testing.T) {
			top := filepath.Join(filepath.Dir(outside), strings.ReplaceAll(name, " ", "-"))
			dir := filepath.Join(top, "project")
			if name == "relative" {
				dir = filepath.Join(filepath.Dir(outside), "beside")
			}
			plant(t, dir, c.files)
			n, err := copies(t, dir, strings.ReplaceAll(c.fields, "{DIR}", dir))
			if err != nil {
				t.Fatal(err)
			}
			r := n.Refused
			if r == nil || !r.Deliberate || !strings.Contains(r.Reason, "outside of "+dir) || len(n.Copies) > 0 {
				t.Errorf("%+v, %d copies", r, len(n.Copies))
			}
			for _, in := range n.Inputs {
				if strings.Contains(name, "folder in") && strings.Contains(in.Path, "key") {
					t.Errorf("%s was read", in.Path)
				}
			}
		})
	}
}

// What links to in the same repository is the project's own.
func TestLinksWithinTheRepository(t *testing.T) {
	top := t.TempDir()
	plant(t, top, map[string]string{"libs/common/c.py": "c", "apps/a/d/common": "-> ../../../libs/common", "apps/a/d/x": "-> ../../../libs/common/c.py"})
	dir := filepath.Join(top, "apps", "a")
	if n, err := copies(t, dir, `"copy": ["d"]`); err != nil || n.Refused == nil {
		t.Errorf("without a repository: %v, %v", n.Refused, err)
	}
	if err := os.Mkdir(filepath.Join(top, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	n, err := copies(t, dir, `"copy": ["d"]`)
	if err != nil || n.Refused != nil || len(n.Copies) != 1 {
		t.Fatalf("%+v, %v", n.Refused, err)
	}
	var rels []string
	for _, f := range n.Copies[0].Files {
		rels = append(rels, f.Rel)
	}
	if got := strings.Join(rels, " "); got != "common common/c.py x" {
		t.Errorf("copied: %s", got)
	}
	// The name does not see what is behind a link to a folder; who watches has to.
	before := n.Name
	plant(t, top, map[string]string{"libs/common/new": "n"})
	n, err = copies(t, dir, `"copy": ["d"]`)
	if err != nil || n.Name != before || len(n.Copies[0].Files) != 4 {
		t.Errorf("%v, %s after %s", err, n.Name, before)
	}
	seen := false
	for _, in := range n.Inputs {
		seen = seen || strings.HasSuffix(in.Path, "common/new") && !in.Named && in.Mode == "0644"
	}
	if !seen || !strings.Contains(strings.Join(n.Dirs, " "), "libs/common") {
		t.Errorf("inputs %v, dirs %v", n.Inputs, n.Dirs)
	}
}

// Links to each other make exponentially many files of few.
func TestLinksThatMultiply(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 30 {
		from, to := string(rune('a'+i%26))+string(rune('0'+i/26)), string(rune('a'+(i+1)%26))+string(rune('0'+(i+1)/26))
		plant(t, dir, map[string]string{"d/" + from + "/l": "-> ../" + to, "d/" + from + "/m": "-> ../" + to, "d/" + from + "/f": "f"})
	}
	plant(t, dir, map[string]string{"d/e1/f": "f"})
	n, err := copies(t, dir, `"copy": ["d"]`)
	if err != nil || n.Refused == nil || !strings.Contains(n.Refused.Reason, "lie behind links") {
		t.Errorf("%+v, %v", n.Refused, err)
	}
}

// flytekit would wait for ever for what comes out of a pipe.
func TestPipesAreNotRead(t *testing.T) {
	for _, fields := range []string{`"copy": ["d"]`, `"copy": ["d/p"]`, `"source_root": "d"` + wholeSource, `"source_root": ".", "copy": ["l"]` + wholeSource} {
		dir := t.TempDir()
		plant(t, dir, map[string]string{"d/a": "a", "l": "-> d/p"})
		if err := syscall.Mkfifo(filepath.Join(dir, "d", "p"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := copies(t, dir, fields)
		var un *Unsupported
		if !errors.As(err, &un) || !strings.Contains(un.Reason, "pipe or a device") {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

// slow is a file that is written while it is read.
type slow struct{ f *os.File }

func (s slow) Read(p []byte) (int, error) {
	n, err := s.f.Read(p)
	if werr := os.WriteFile(s.f.Name(), []byte("other, and longer"), 0o644); werr != nil {
		return 0, werr
	}
	return n, err
}

func (s slow) Close() error               { return s.f.Close() }
func (s slow) Stat() (fs.FileInfo, error) { return s.f.Stat() }

func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"d/a": "a"})
	s, err := ParseKwargs([]byte(`{"copy": ["d"]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Name(s, Options{Dir: dir, Open: func(p string) (io.ReadCloser, error) {
		f, err := os.Open(p)
		return slow{f}, err
	}})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
}

// A file that is to be copied and is not there is waited for.
func TestMissingFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	n, err := copies(t, dir, `"copy": ["a", "d/b"]`)
	if err != nil || n.Refused == nil || n.Refused.Deliberate || len(n.Missing) == 0 || n.Missing[0] != dir+"/a" {
		t.Errorf("%+v, %v, %v", n.Refused, n.Missing, err)
	}
}

// Modes and empty folders are in no tag, and in the image.
func TestWhatTheTagDoesNotSee(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"d/a": "a"})
	if err := os.Chmod(filepath.Join(dir, "d", "a"), 0o4711|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d", "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	n, err := copies(t, dir, `"copy": ["d"]`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, in := range n.Inputs {
		got[strings.TrimPrefix(in.Path, dir)] = in.Mode
	}
	if got["/d/a"] != "4711" || got["/d/empty"] != "0700" || got["/d"] != "0755" {
		t.Errorf("%v", got)
	}
	if f := n.Copies[0].Files[0]; f.Rel != "a" || f.Mode != fs.ModeSetuid|0o711 || f.Size != 1 {
		t.Errorf("%+v", f)
	}
}

// With the modules of a run, those below source_root are copied, each once.
func TestLoadedModulesAreCopied(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"wf.py": "w", "p/m.py": "m", "p/other.py": "o"})
	s, err := ParseKwargs([]byte(`{"source_root": "` + dir + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	n, err := Name(s, Options{Dir: "/", Modules: []string{dir + "/p/m.py", dir + "/wf.py", dir + "/wf.py", "/elsewhere/x.py"}})
	if err != nil || n.Refused != nil || len(n.Copies) != 1 {
		t.Fatalf("%+v, %v", n.Refused, err)
	}
	var rels []string
	for _, f := range n.Copies[0].Files {
		rels = append(rels, f.Rel)
	}
	if got := strings.Join(rels, " "); got != "p p/m.py wf.py" || n.Copies[0].Dest != "." {
		t.Errorf("copied: %s", got)
	}
}
