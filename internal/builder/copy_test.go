package builder

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// forest is what a directory holds: text of files, "-> target" of links, "dir" of folders, "pipe"; a mode before a space.
type forest map[string]string

func (f forest) plant(t *testing.T, dir string) {
	t.Helper()
	modes := map[string]fs.FileMode{}
	for name, what := range f {
		at := filepath.Join(dir, name)
		mode, rest, ok := strings.Cut(what, " ")
		var bits uint32
		if n, _ := fmt.Sscanf(mode, "%o", &bits); ok && n == 1 && len(mode) == 4 {
			what = rest
			modes[at] = fs.FileMode(bits&0o777) | fs.ModeSetuid*fs.FileMode(bits>>11) | fs.ModeSetgid*fs.FileMode(bits>>10&1) | fs.ModeSticky*fs.FileMode(bits>>9&1)
		}
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		target, link := strings.CutPrefix(what, "-> ")
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, at)
		case what == "dir":
			err = os.MkdirAll(at, 0o755)
		case what == "pipe":
			err = syscall.Mkfifo(at, 0o644)
		default:
			err = os.WriteFile(at, []byte(what), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for at, mode := range modes {
		if err := os.Chmod(at, mode); err != nil {
			t.Fatal(err)
		}
	}
}

const copyAll = `, "source_copy_mode": {"__copymode__": "ALL"}`

// copyCases are projects, what the base has in /root, and the fields. Where the default builder fails, so it shall here.
var copyCases = map[string]struct {
	project, root forest
	fields        string
	fails         string
}{
	"folders and files": {
		project: forest{"d/a.txt": "0600 a", "d/sub": "2750 dir", "d/sub/s": "s", "d/empty": "dir", "e/f/x": "4755 x", "e": "1777 dir", "e/f": "0750 dir",
			"d": "0700 dir", "top.txt": "", "é/ü": "0444 ö", ".hidden/.x": "h", "d/__pycache__/a.pyc": "c", "d/.git/HEAD": "ref"},
		fields: `"copy": ["d", "e/f", "e/f/x", "top.txt", "é", ".hidden/.x", "./e//f/"]`,
	},
	"links": {
		project: forest{"d/file": "-> ../e/x", "d/folder": "-> ../e", "d/chain": "-> folder", "e/x": "0640 x", "e/sub/y": "y", "e/sub": "0711 dir", "l": "-> d", "m": "-> e/x"},
		fields:  `"copy": ["d", "l", "m"]`,
	},
	"what the base has": {
		project: forest{"d/a": "new", "d/sub": "0750 dir", "d/sub/s": "s", "e/x": "x", "d": "0777 dir"},
		root:    forest{"d": "0711 dir", "d/a": "0600 old", "d/kept": "kept", "d/sub": "0700 dir", "d/link": "-> kept", "e": "0700 dir"},
		fields:  `"copy": ["d", "e/x"]`,
	},
	"a file where the base has a link": {
		project: forest{"d/a": "new"}, root: forest{"d/a": "-> b", "d/b": "b"}, fields: `"copy": ["d"]`,
	},
	"everything": {
		project: forest{"a": "a", "sub/b": "b", "sub": "0700 dir", "e": "dir", ".dockerignore": "# nothing\n"}, fields: `"copy": ["."]`,
	},
	"everything but": {
		project: forest{".dockerignore": "*\n!d\nd/sub\n!requirements_uv.txt\n!src/pkg\n**/*.tmp\n", "d/a": "a", "d/sub/s": "s", "d/x.tmp": "t", "d/empty": "dir", "src/pkg/y.py": "y", "src/z.py": "z", "top": "t"},
		fields:  `"copy": [".", "d", "src"]`,
	},
	"Dockerfile.dockerignore": {
		project: forest{".dockerignore": "a\n", "Dockerfile.dockerignore": "b\n", "a": "a", "b": "b"}, fields: `"copy": ["."]`,
	},
	"a .dockerignore that is not at the root": {
		project: forest{"d/.dockerignore": "*\n", "d/a": "a"}, fields: `"copy": ["d"]`,
	},
	"source_root": {
		project: forest{"app/a.py": "0755 a", "app/p/b.py": "b", "app/p": "0700 dir", "app/__pycache__/a.pyc": "c", "app/.dockerignore": "app/secret\n*.md\n", "app/secret": "s",
			"app/n.md": "n", "app/empty": "dir", "app/l.py": "-> a.py", "app/ld": "-> p", "app/gone": "-> nowhere", "other": "o"},
		fields: `"source_root": "app"` + copyAll,
	},
	"source_root and copy meet": {
		project: forest{"src/a.py": "a", "src/p/b.py": "b", "src": "0700 dir", "src/p": "0711 dir", "c": "c"},
		fields:  `"source_root": ".", "copy": ["src"]` + copyAll,
	},
	"source_root on the base": {
		project: forest{"app/d/a": "a", "app/d": "0750 dir"}, root: forest{"d": "0700 dir", "d/b": "b"}, fields: `"source_root": "app"` + copyAll,
	},
	"modules of a relative root": {
		project: forest{"app/a.py": "a"}, fields: `"source_root": "app", "source_copy_mode": {"__copymode__": "LOADED_MODULES"}`,
	},
	"outside":              {project: forest{"d/a": "a"}, fields: `"copy": ["d/../d"]`, fails: "Absolute paths or paths with '..' are not allowed in COPY command."},
	"absolute":             {project: forest{"a": "a"}, fields: `"copy": ["/etc/hostname"]`, fails: "Absolute paths or paths with '..' are not allowed in COPY command."},
	"missing":              {project: forest{"a": "a"}, fields: `"copy": ["gone"]`, fails: "there is no file"},
	"dangling":             {project: forest{"d/l": "-> gone"}, fields: `"copy": ["d"]`, fails: "there is no file"},
	"loop":                 {project: forest{"d/e/l": "-> ..", "d/a": "a"}, fields: `"copy": ["d"]`, fails: "is a link to a folder that it is in"},
	"folder over file":     {project: forest{"d/s/x": "x"}, root: forest{"d/s": "file"}, fields: `"copy": ["d"]`, fails: "no folder in the image"},
	"file over folder":     {project: forest{"d/s": "x"}, root: forest{"d/s/f": "file"}, fields: `"copy": ["d"]`, fails: "is a folder in the image"},
	"folder on file":       {project: forest{"d/s": "x"}, root: forest{"d": "file"}, fields: `"copy": ["d"]`, fails: "no folder in the image"},
	"ignored":              {project: forest{".dockerignore": "a\n", "a": "a"}, fields: `"copy": [".", "a"]`, fails: "nothing is left of a"},
	"a string is no list":  {project: forest{"abc": "a"}, fields: `"copy": "abc"`, fails: "it is no list"},
	"behind a folder link": {project: forest{"d/l": "-> ../e", "e/p": "-> gone"}, fields: `"copy": ["d"]`, fails: "there is no file"},
}

// What is copied, against what the real default builder of flytekit has BuildKit copy.
func TestCopyIsWhatFlytekitsBuilderCopies(t *testing.T) {
	python, address, rig := os.Getenv("IMGSPECD_TEST_FLYTEKIT_PYTHON"), os.Getenv("IMGSPECD_TEST_BUILDKIT"), os.Getenv("IMGSPECD_RIG_DIR")
	if python == "" || address == "" || rig == "" {
		t.Skip("needs the rig: IMGSPECD_TEST_FLYTEKIT_PYTHON, _BUILDKIT and IMGSPECD_RIG_DIR")
	}
	syscall.Umask(0o022) // what flytekit makes folders with
	ask := flytekitContexts(t, python)
	cases := maps.Clone(copyCases)
	for seed := range uint64(6) {
		c := copyCases["everything"]
		c.project, c.root, c.fields = randomForest(seed)
		cases[fmt.Sprintf("random %d", seed)] = c
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			c.project.plant(t, dir)
			theirs, theirErr := ask(dir, c.fields, out), error(nil)
			var want map[string]string
			if theirs.Error == "" {
				want, theirErr = buildCopies(t, filepath.Join(rig, "bin", "buildctl"), address, out, c.root, theirs.Copies)
			} else {
				theirErr = fmt.Errorf("%s", theirs.Error)
			}
			got, err := ourCopies(t, dir, c.fields, c.root)
			switch {
			case c.fails != "":
				if theirErr == nil {
					t.Error("the default builder copies this")
				}
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%v, want %q (there: %v)", err, c.fails, theirErr)
				}
			case err != nil && theirErr != nil && strings.HasPrefix(name, "random"): // its .dockerignore leaves nothing
			case err != nil || theirErr != nil:
				t.Errorf("here: %v; there: %v", err, theirErr)
			default:
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("there (-), here (+):\n%s", diff)
				}
			}
		})
	}
}

// randomForest grows a project, a base and fields that no one has thought of.
func randomForest(seed uint64) (project, root forest, fields string) {
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	project, root = forest{"d/x": "x", "s/m.py": "m"}, forest{"kept": "k"}
	names := []string{"a", "b.py", "sub", "t.pyc", ".x", "n m", "é"}
	for range 25 {
		dir := pick("d", "s", "d/sub", "s/sub", "d/deep/er", "e")
		at := dir + "/f-" + pick(names...)
		project[at] = pick("", "0600 ", "0755 ", "4711 ", "0444 ") + strings.Repeat(at, 1+r.IntN(2000))
		project[dir+"/"+pick("e1", "e2")] = pick("0700 dir", "3770 dir", "dir")
	}
	project["d/l"], project["e/x"] = pick("-> ../e", "-> x", "-> ../e/x"), "x"
	project[".dockerignore"] = strings.Join([]string{pick("**/*.pyc", "e", "d/sub", "*/f-a"), pick("!d/sub/f-a", "!**/t.pyc", "#"), pick("s/sub/*", "[ds]/e1", "?")}, "\n")
	root[pick("d", "s", "d/sub", "sub")+"/old"] = "old"
	copies := []string{`["d", "s/m.py"]`, `["."]`, `["d", "e", "s"]`, `["s", "d", "."]`}
	fields = `"copy": ` + copies[r.IntN(len(copies))]
	if r.IntN(2) == 0 {
		fields += `, "source_root": "` + pick("s", ".", "d") + `"` + copyAll
	}
	return project, root, fields
}

type filled struct {
	Copies []string
	Error  string
}

// flytekitContexts starts one flytekit that fills build contexts.
func flytekitContexts(t *testing.T, python string) func(dir, fields, out string) filled {
	t.Helper()
	script, err := filepath.Abs("testdata/context.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	answers := bufio.NewReader(out)
	return func(dir, fields, to string) filled {
		t.Helper()
		line, err := json.Marshal(map[string]any{"dir": dir, "fields": json.RawMessage("{" + fields + "}"), "out": to})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		var c filled
		answer, err := answers.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(answer, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

const copyPasswd = "root:x:0:0::/root:/bin/sh\nflytekit:x:1000:1001::/home/flytekit:/bin/bash\n"

// buildCopies has BuildKit carry out the lines on a base, and says what /root holds then.
func buildCopies(t *testing.T, buildctl, address, out string, root forest, lines []string) (map[string]string, error) {
	t.Helper()
	below := t.TempDir()
	forest{"root": "0700 dir", "home": "dir", "etc/passwd": copyPasswd, "etc/group": "x:x:5:\n"}.plant(t, below)
	root.plant(t, filepath.Join(below, "root"))
	dockerfile := "FROM scratch\nCOPY --from=below . /\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(out, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(buildctl, "--addr", address, "build", "--frontend", "dockerfile.v0", "--progress", "plain", "--local", "context="+out, "--local", "dockerfile="+out,
		"--opt", "context:below=local:below", "--local", "below="+below, "--output", "type=tar")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	all := map[string]string{}
	r := tar.NewReader(&stdout)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if name := "/" + strings.TrimSuffix(h.Name, "/"); strings.HasPrefix(name, "/root/") && !buildersOwn[name] {
			all[name] = copiedEntry(tarEntry{*h, string(data)})
		}
	}
}

// buildersOwn are files that the default builder puts into its own way: copy=["."] takes them along.
var buildersOwn = map[string]bool{"/root/Dockerfile": true, "/root/requirements_uv.txt": true}

// copiedEntry is what is compared. The base's own files have another owner here: `chown -R flytekit /root` was not executed there.
func copiedEntry(e tarEntry) string {
	owner := "base"
	if e.Gid == 1001 {
		owner = fmt.Sprintf("%d:%d", e.Uid, e.Gid)
	}
	mode := e.FileInfo().Mode()
	if mode.Type() == fs.ModeSymlink {
		mode = fs.ModeSymlink | 0o777
	}
	return fmt.Sprintf("%v %s %q -> %q", mode, owner, e.data, e.Linkname)
}

// ourCopies builds the image here, and says what /root holds, without the environment of packages.
func ourCopies(t *testing.T, dir, fields string, root forest) (map[string]string, error) {
	t.Helper()
	img, info := testBase(t)
	info.Files["/etc/passwd"] = base.Entry{Mode: 0o644, Content: []byte(copyPasswd)}
	below := t.TempDir()
	root.plant(t, below)
	all := map[string]string{}
	err := filepath.WalkDir(below, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == below {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		e := base.Entry{Mode: st.Mode()}
		h := tar.Header{Mode: int64(st.Mode().Perm()), Typeflag: tar.TypeReg}
		switch {
		case st.IsDir():
			h.Typeflag = tar.TypeDir
		case st.Mode().IsRegular():
			e.Content, err = os.ReadFile(p)
		default:
			h.Typeflag = tar.TypeSymlink
			e.Link, err = os.Readlink(p)
		}
		h.Linkname = e.Link
		at := "/root" + strings.TrimPrefix(p, below)
		info.Files[at], all[at] = e, copiedEntry(tarEntry{h, string(e.Content)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := planOf(t, dir, fields, info)
	if err != nil {
		return nil, err
	}
	made, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, img, progress.Discard)
	if err != nil {
		return nil, err
	}
	for i, l := range layersOf(t, made)[1:] {
		if p.Layers[i].Kind != plan.Files {
			continue
		}
		for at, e := range readLayer(t, l) {
			if strings.HasPrefix(at, "/root/") {
				all[at] = copiedEntry(e)
			}
		}
	}
	return all, nil
}

func layersOf(t *testing.T, img v1.Image) []v1.Layer {
	t.Helper()
	ls, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

// planOf names a spec of a directory and plans its image.
func planOf(t *testing.T, dir, fields string, info base.Info) (*plan.Plan, error) {
	t.Helper()
	spec, err := imagespec.ParseKwargs([]byte("{" + fields + "}"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := imagespec.Name(spec, imagespec.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	return plan.Make(plan.Input{Spec: n.Spec, Name: n.Name, Tag: n.Tag, ID: n.ID, Base: info, Copies: n.Copies, Refused: n.Refused})
}
