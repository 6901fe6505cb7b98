package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

func spec(t *testing.T, kwargs string) imagespec.Spec {
	t.Helper()
	s, err := imagespec.ParseKwargs([]byte(kwargs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// debian is what a plan sees of a slim Debian image with Python.
func debian() base.Info {
	dir := func(mode fs.FileMode) base.Entry { return base.Entry{Mode: fs.ModeDir | mode} }
	file := func(mode fs.FileMode, text string) base.Entry { return base.Entry{Mode: mode, Content: []byte(text)} }
	return base.Info{
		Ref: "python:3.11-slim", From: "registry", Digest: "sha256:" + strings.Repeat("b", 64), Platform: "linux/amd64", Layers: 2,
		Python: &base.Python{Path: "/usr/local/bin/python3.11", Link: "/usr/local/bin/python3", Version: "3.11.11"},
		Libc:   pypa.Libc{Kind: "glibc", Major: 2, Minor: 36},
		Env:    []string{"PATH=" + basePath}, Cmd: []string{"python3"}, HasCA: true,
		Files: map[string]base.Entry{
			"/etc": dir(0o755), "/home": dir(0o755), "/root": dir(0o700), "/etc/skel": dir(0o755),
			"/etc/passwd":          file(0o644, "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n"),
			"/etc/group":           file(0o644, "root:x:0:\n"),
			"/etc/shadow":          {Mode: 0o640, GID: 42, Content: []byte("root:*:19000:0:99999:7:::\n")},
			"/etc/gshadow":         {Mode: 0o640, GID: 42, Content: []byte("root:*::\n")},
			"/etc/subuid":          file(0o644, ""),
			"/etc/login.defs":      file(0o644, "# comment\nUID_MIN\t 1000\nUSERGROUPS_ENAB yes\nPASS_MAX_DAYS\t99999\nPASS_MIN_DAYS\t0\nPASS_WARN_AGE\t7\n"),
			"/etc/default/useradd": file(0o644, "SHELL=/bin/sh\n"),
			"/etc/skel/.profile":   file(0o644, "# skel\n"),
			"/etc/skel/sub":        dir(0o700),
			"/etc/skel/sub/link":   {Mode: fs.ModeSymlink | 0o777, Link: "../.profile"},
			"/root/.bashrc":        file(0o644, "# root\n"),
			"/root/tool":           file(0o755|fs.ModeSetuid, "x"),
		},
	}
}

func input(t *testing.T) Input {
	return Input{
		Spec: spec(t, `{"name": "churn", "requirements": "uv.lock"}`), Name: "localhost:5000/team/churn:tag", Tag: "tag", ID: "id",
		Base: debian(), Artifacts: artifacts(3),
	}
}

func artifacts(n int) []lockfile.Artifact {
	var out []lockfile.Artifact
	for i := range n {
		name := fmt.Sprintf("pkg%03d", i)
		out = append(out, lockfile.Artifact{Name: name, Version: "1.0", Filename: name + "-1.0-py3-none-any.whl",
			URL: "https://x/" + name, Hash: fmt.Sprintf("sha256:%064d", i), Size: int64(i+1) * 100_000})
	}
	return out
}

func mustMake(t *testing.T, in Input) *Plan {
	t.Helper()
	p, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func at(t *testing.T, l Layer, path string) File {
	t.Helper()
	for _, f := range l.Files {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("no %s in layer %s", path, l.Title)
	return File{}
}

func TestSystemLayer(t *testing.T) {
	l := mustMake(t, input(t)).Layers[0]
	var got []string
	for _, f := range l.Files {
		got = append(got, fmt.Sprintf("%v %d:%d %s", f.Mode, f.Owner.UID, f.Owner.GID, f.Path))
	}
	want := []string{
		"drwxr-xr-x 0:0 /etc",
		"-rw-r----- 0:42 /etc/gshadow",
		"-rw-r--r-- 0:0 /etc/group",
		"-rw-r--r-- 0:0 /etc/passwd",
		"-rw-r----- 0:42 /etc/shadow",
		"-rw-r--r-- 0:0 /etc/subuid",
		"drwxr-xr-x 1000:0 /home",
		"drwxr-xr-x 1000:1000 /home/flytekit",
		"-rw-r--r-- 1000:1000 /home/flytekit/.profile",
		"drwx------ 1000:1000 /home/flytekit/sub",
		"Lrwxrwxrwx 1000:1000 /home/flytekit/sub/link",
		"drwx------ 1000:0 /root",
		"-rw-r--r-- 1000:0 /root/.bashrc",
		"-rwxr-xr-x 1000:0 /root/tool",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for path, line := range map[string]string{
		"/etc/passwd":             "flytekit:x:1000:1000::/home/flytekit:/bin/bash\n",
		"/etc/group":              "flytekit:x:1000:\n",
		"/etc/shadow":             "flytekit:!:3652:0:99999:7:::\n",
		"/etc/gshadow":            "flytekit:!::\n",
		"/etc/subuid":             "flytekit:100000:65536\n",
		"/home/flytekit/.profile": "# skel\nexport PATH=" + allPath + "\n",
	} {
		if data := string(at(t, l, path).Data); !strings.HasSuffix(data, line) {
			t.Errorf("%s:\n%s", path, data)
		}
	}
	if d := debian(); string(d.Files["/etc/passwd"].Content) != string(input(t).Base.Files["/etc/passwd"].Content) {
		t.Error("the base's own content was changed")
	}
}

func TestExistingUser(t *testing.T) {
	in := input(t)
	in.Base.Files["/etc/passwd"] = base.Entry{Mode: 0o644, Content: []byte("flytekit:x:777:888::/home/me:/bin/bash\n")}
	in.Base.Files["/home/me"] = base.Entry{Mode: fs.ModeDir | 0o750, UID: 777, GID: 888}
	p := mustMake(t, in)
	for _, f := range p.Layers[0].Files {
		if strings.HasPrefix(f.Path, "/etc") || f.Path == "/home/flytekit" {
			t.Errorf("wrote %s although the user was there", f.Path)
		}
	}
	if f := at(t, p.Layers[0], "/home/me/.profile"); f.Owner != (Owner{777, 888}) || f.Mode != 0o644 {
		t.Errorf("profile: %+v", f)
	}
	if p.Owner != (Owner{777, 0}) {
		t.Errorf("packages belong to %v", p.Owner)
	}
}

func TestCertificates(t *testing.T) {
	in := input(t)
	in.Base.HasCA = false
	p := mustMake(t, in)
	if !slices.ContainsFunc(p.Notes, func(s string) bool { return strings.Contains(s, "ca-certificates.crt") }) {
		t.Errorf("no note on missing certificates: %q", p.Notes)
	}
	in.CA = []byte("pem")
	q := mustMake(t, in)
	if f := at(t, q.Layers[0], caBundle); string(f.Data) != "pem" || f.Mode != 0o644 {
		t.Errorf("%+v", f)
	}
	if p.Layers[0].Key == q.Layers[0].Key {
		t.Error("the bundle does not enter the key")
	}
}

func TestVenv(t *testing.T) {
	p := mustMake(t, input(t))
	l := p.Layers[1]
	if f := at(t, l, "/root/.venv/bin/python"); f.Link != "/usr/local/bin/python3.11" || f.Owner != (Owner{1000, 0}) {
		t.Errorf("%+v", f)
	}
	if f := at(t, l, "/root"); f.Mode != fs.ModeDir|0o700 || f.Owner.UID != 1000 {
		t.Errorf("/root is %+v", f)
	}
	at(t, l, p.Prefix.SitePackages)
	if got := string(at(t, l, "/root/.venv/pyvenv.cfg").Data); got != "home = /usr/local/bin\nimplementation = CPython\nversion_info = 3.11.11\ninclude-system-site-packages = false\n" {
		t.Errorf("pyvenv.cfg:\n%s", got)
	}
	if !slices.IsSortedFunc(l.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("files are not sorted")
	}
}

func TestLayersAndKeys(t *testing.T) {
	in := input(t)
	in.Artifacts = artifacts(150)
	p := mustMake(t, in)
	if len(p.Layers) > MaxLayers {
		t.Errorf("%d layers", len(p.Layers))
	}
	seen := map[string]bool{}
	packages := 0
	for _, l := range p.Layers {
		if seen[l.Key] || len(l.Key) != 64 {
			t.Errorf("key %q of %s", l.Key, l.Title)
		}
		seen[l.Key] = true
		packages += len(l.Packages)
	}
	if packages != 150 {
		t.Errorf("%d packages in layers", packages)
	}

	in.Artifacts = slices.Clone(in.Artifacts) // another order, same plan
	slices.Reverse(in.Artifacts)
	if q := mustMake(t, in); q.Key() != p.Key() {
		t.Error("the order of artifacts changes the plan")
	}
	in.Artifacts[0].Version, in.Artifacts[0].Hash = "2.0", "sha256:"+strings.Repeat("f", 64)
	q := mustMake(t, in)
	changed := 0
	for i := range q.Layers {
		if q.Layers[i].Key != p.Layers[i].Key {
			changed++
		}
	}
	if changed != 1 || q.Key() == p.Key() {
		t.Errorf("a change of one package changes %d layers", changed)
	}
	in.ID = "other" // another image of the same layers
	r := mustMake(t, in)
	if r.Key() == q.Key() {
		t.Error("the id does not enter the plan's key")
	}
	for i := range r.Layers {
		if r.Layers[i].Key != q.Layers[i].Key {
			t.Errorf("the id changes layer %s", r.Layers[i].Title)
		}
	}
}

func TestBigPackageAndBigBase(t *testing.T) {
	in := input(t)
	in.Artifacts = artifacts(100)
	in.Artifacts[5].Size = 5 << 29 // 2.5 GiB
	in.Base.Layers = 100
	p := mustMake(t, in)
	if n := len(p.Layers) + in.Base.Layers; n > MaxImageLayers {
		t.Errorf("%d layers in all", n)
	}
	var titles []string
	for _, l := range p.Layers {
		if l.Parts > 0 {
			titles = append(titles, l.Title)
		}
	}
	want := []string{"pkg005 1.0 (part 1 of 3)", "pkg005 1.0 (part 2 of 3)", "pkg005 1.0 (part 3 of 3)"}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Error(diff)
	}
}

func TestConfig(t *testing.T) {
	in := input(t)
	in.Labels = map[string]string{"x": "y"}
	c := mustMake(t, in).Config
	want := map[string]string{labelTitle: "churn", labelVersion: "tag", labelBaseName: "python:3.11-slim", labelBaseDigest: in.Base.Digest, "x": "y"}
	if diff := cmp.Diff(want, c.Labels); diff != "" {
		t.Error(diff)
	}
	if c.User != "flytekit" || c.WorkingDir != "/root" || c.SetEntrypoint || c.Entrypoint != nil {
		t.Errorf("%+v", c)
	}
	in.Spec = spec(t, `{"requirements": "uv.lock", "entrypoint": []}`)
	in.Base.From, in.Base.Ref = "layout", "oci:/somewhere"
	c = mustMake(t, in).Config
	if !c.SetEntrypoint || len(c.Entrypoint) != 0 {
		t.Errorf("empty entrypoint: %+v", c)
	}
	if _, ok := c.Labels[labelBaseName]; ok {
		t.Error("a path of this machine is in the labels")
	}
}

func TestRefusals(t *testing.T) {
	set := func(kwargs string) func(*Input) { return func(in *Input) { in.Spec = spec(t, kwargs) } }
	for _, c := range []struct {
		name    string
		change  func(*Input)
		invalid bool
		field   string
		text    string
	}{
		{"cuda", set(`{"requirements": "uv.lock", "cuda": "12"}`), true, "cuda", "do not need to be specified"},
		{"packages beside a lock", set(`{"requirements": "sub/uv.lock", "packages": ["x"]}`), true, "packages", "Support for uv.lock files and packages is mutually exclusive"},
		{"arguments that uv refuses", set(`{"requirements": "uv.lock", "pip_extra_args": "--frozen"}`), true, "pip_extra_args", "--frozen cannot be used with --locked"},
		{"arguments not gone by", set(`{"requirements": "uv.lock", "pip_extra_args": "--python 3.12"}`), false, "pip_extra_args", "--python chooses another Python"},
		{"arguments of poetry", set(`{"requirements": "poetry.lock", "pip_extra_args": "--extra a"}`), true, "pip_extra_args", "`poetry install` does not know"},
		{"arguments of nothing", set(`{"requirements": "pylock.toml", "pip_extra_args": "-v"}`), false, "pip_extra_args", "with pylock.toml there is no tool"},
		{"keeping a base's venv", func(in *Input) {
			in.Spec = spec(t, `{"requirements": "uv.lock", "pip_extra_args": "--inexact"}`)
			in.Base.Files["/root/.venv"] = base.Entry{Mode: fs.ModeDir}
		}, false, "pip_extra_args", "--inexact keeps what"},
		{"other python", set(`{"requirements": "uv.lock", "python_version": "3.1"}`), true, "python_version", "is 3.1, but base image python:3.11-slim has Python 3.11.11"},
		{"python range", set(`{"requirements": "uv.lock", "python_version": ">=3.9"}`), false, "python_version", "is not a plain version"},
		{"other platform", set(`{"requirements": "uv.lock", "platform": "linux/arm64"}`), true, "platform", "for linux/amd64"},
		{"base without Python", func(in *Input) { in.Base.Python = nil }, false, "base_image", "no Python on the PATH of python:3.11-slim"},
		{"base with too many layers", func(in *Input) { in.Base.Layers = 115 }, false, "base_image", "115 layers"},
		{"base whose venv is a link", func(in *Input) {
			in.Base.Files["/root/.venv"] = base.Entry{Mode: fs.ModeSymlink, Link: "/opt/venv"}
		}, false, "base_image", "/root/.venv of python:3.11-slim is no directory"},
		{"group without user", func(in *Input) {
			in.Base.Files["/etc/group"] = base.Entry{Mode: 0o644, Content: []byte("flytekit:x:5:\n")}
		}, true, "base_image", "useradd refuses"},
		{"home elsewhere", func(in *Input) {
			in.Base.Files["/etc/passwd"] = base.Entry{Mode: 0o644, Content: []byte("flytekit:x:5:5::/srv/f:/bin/sh\n")}
		}, false, "base_image", "/srv/f"},
		{"sdists", func(in *Input) {
			in.Artifacts[0].Sdist, in.Artifacts[0].Reason = true, "only for Windows"
			in.Artifacts[2].Sdist = true
		}, false, "requirements", "what lies in a directory of this machine is not built, and flytekit's builder does not see it either: pkg000 1.0 (only for Windows); pkg002 1.0"},
		{"no hash", func(in *Input) { in.Artifacts[1].Hash = "" }, false, "requirements", "no sha256 for pkg001 1.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t)
			c.change(&in)
			_, err := Make(in)
			var unsupported *Unsupported
			var invalid *Invalid
			field := ""
			switch {
			case errors.As(err, &unsupported) && !c.invalid:
				field = unsupported.Field
			case errors.As(err, &invalid) && c.invalid:
				field = invalid.Field
			}
			if field != c.field || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%T %v, want field %s and %q", err, err, c.field, c.text)
			}
		})
	}
	for _, kwargs := range []string{
		`{"requirements": "uv.lock", "python_version": "3.11", "platform": "linux/amd64", "apt_packages": [], "commands": []}`,
		`{"requirements": "uv.lock", "python_version": "3.11.11", "builder": "other", "registry": "localhost:5000"}`,
		`{"requirements": "uv.lock", "source_root": ".", "source_copy_mode": {"__copymode__": "NO_COPY"}}`,
	} {
		in := input(t)
		in.Spec = spec(t, kwargs)
		mustMake(t, in)
	}
}

// What two platforms of an image have alike lies in the same layers, and what is of one alone lies apart.
func TestBeside(t *testing.T) {
	var amd, arm []lockfile.Artifact
	for i := range 120 {
		a := lockfile.Artifact{Name: fmt.Sprintf("package-%03d", i), Version: "1", Hash: fmt.Sprintf("sha256:%d", i), Size: int64(1000 * i)}
		b := a
		switch {
		case i%10 == 0:
			b.Hash, b.Size = "sha256:arm"+a.Name, a.Size*2
		case i%13 == 0:
			b.Name = "another-" + a.Name
		}
		amd, arm = append(amd, a), append(arm, b)
	}
	layers := func(own, beside []lockfile.Artifact) map[string][]lockfile.Artifact {
		ls, err := (&Plan{}).packageLayers(Input{Artifacts: own, Beside: [][]lockfile.Artifact{beside}}, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]lockfile.Artifact{}
		for _, l := range ls {
			out[l.Key] = l.Packages
		}
		return out
	}
	x, y := layers(amd, arm), layers(arm, amd)
	shared := map[string]bool{}
	for key, packages := range x {
		for _, a := range packages {
			if _, ok := y[key]; ok {
				shared[a.Name] = true
			}
		}
	}
	for _, a := range amd {
		if alike := slices.ContainsFunc(arm, func(b lockfile.Artifact) bool { return b.Name == a.Name && b.Hash == a.Hash }); alike != shared[a.Name] {
			t.Errorf("%s is alike: %t, shared: %t", a.Name, alike, shared[a.Name])
		}
	}
}
