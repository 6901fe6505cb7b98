package plan

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

const siteOfBase = "/usr/local/lib/python3.11/site-packages"

// flytekitBase is an image with flytekit among its Python's own packages, as those of flytekit's releases are.
func flytekitBase() base.Info {
	b := debian()
	b.User, b.WorkingDir, b.Entrypoint = "flytekit", "/root", []string{"/entry"}
	b.Env = append(b.Env, "PYTHONPATH=/elsewhere", "_F_IMG_ID=of-the-base")
	b.Files["/etc/passwd"] = base.Entry{Mode: 0o644, Content: []byte("root:x:0:0::/root:/bin/sh\nflytekit:x:1000:1001::/home/flytekit:/bin/sh\n")}
	b.Site = &base.Runtime{Prefix: "/usr/local", Site: siteOfBase, Dirs: map[string]base.Entry{}, Dists: []base.Dist{
		{Name: "flytekit", Version: "1.16.31", Paths: []string{siteOfBase + "/flytekit"}},
		{Name: "pkg001", Version: "0.9", Paths: []string{siteOfBase + "/pkg001", siteOfBase + "/pkg001-0.9.dist-info"}},
	}}
	for _, dir := range append(parents(siteOfBase), siteOfBase, "/usr/local/bin", siteOfBase+"/pkg001") {
		b.Site.Dirs[dir] = base.Entry{Mode: fs.ModeDir | 0o755}
	}
	return b
}

// envd plans a spec with builder="envd".
func envd(t *testing.T, kwargs string, b base.Info) (*Plan, error) {
	t.Helper()
	in := input(t)
	in.Spec = spec(t, `{"builder": "envd", `+kwargs+`}`)
	info, err := OnPython(in.Spec, b, "1.16.31")
	if err != nil {
		t.Fatal(err)
	}
	in.Base = info
	return Make(in)
}

func TestEnvd(t *testing.T) {
	p, err := envd(t, `"env": {"A": "b c $HOME", "PYTHONPATH": "/mine"}, "entrypoint": ["x"], "pip_index": "https://me:secret@cr.example.com/simple",
		"pip_extra_index_url": ["https://a", "https://b"], "commands": ["echo 'it'", "pip check"]`, flytekitBase())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"PATH=" + basePath + ":/root", "PYTHONPATH=/mine", "_F_IMG_ID=id", "A=b c $HOME", "LC_ALL=C.UTF-8", "LANG=C.UTF-8"}
	if d := cmp.Diff(want, p.Config.Env); d != "" {
		t.Errorf("environment:\n%s", d)
	}
	if c := p.Config; c.User != "flytekit" || c.WorkingDir != "/root" || c.SetEntrypoint || c.Shell != nil {
		t.Errorf("user, directory and entrypoint are not the base's: %+v", c)
	}
	if p.Prefix.SitePackages != siteOfBase || p.Prefix.Interpreter != "/usr/local/bin/python3" || p.Prefix.Headers != "/usr/local/include/python3.11" {
		t.Errorf("packages go to %+v", p.Prefix)
	}
	if p.Owner != (Owner{}) {
		t.Errorf("packages belong to %+v, and pip runs as root", p.Owner)
	}
	if got := string(at(t, p.Layers[0], pipConf).Data); got != "\n[global]\nindex-url=https://cr.example.com/simple\nextra-index-url=https://a https://b\n\n\n[install]\nsrc = /tmp\n" {
		t.Errorf("%s is %q", pipConf, got)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "without its login") || !strings.Contains(notes, "entrypoint is not used") {
		t.Errorf("notes: %s", notes)
	}
	for _, l := range p.Layers {
		for _, f := range l.Files {
			if strings.HasPrefix(f.Path, "/home") || f.Path == "/etc/passwd" || l.Kind == Venv {
				t.Errorf("%s of layer %s: envd makes no user and no environment", f.Path, l.Title)
			}
		}
	}
	a := p.Above
	if a == nil || !slices.Equal(a.Args, []string{"/bin/bash", "-c", "set -euo pipefail\necho 'it'\npip check\n"}) || a.User != "" || slices.Contains(a.Env, "_F_IMG_ID=id") {
		t.Errorf("commands: %+v", a)
	}
}

// Another version of what the base has takes its place, and a lock is installed where the base's packages are.
func TestEnvdReplaces(t *testing.T) {
	in := input(t)
	in.Spec, in.Replaced = spec(t, `{"builder": "envd", "requirements": "uv.lock"}`), []string{"pkg001"}
	in.Base, _ = OnPython(in.Spec, flytekitBase(), "")
	p := mustMake(t, in)
	if l := p.Layers[1]; l.Kind != Replaced || !at(t, l, siteOfBase+"/pkg001").Gone || !at(t, l, siteOfBase+"/pkg001-0.9.dist-info").Gone {
		t.Errorf("%+v", p.Layers[1])
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "pkg001 0.9 of the base gives way") || !strings.Contains(notes, "uv.lock is installed among the base's packages") {
		t.Errorf("notes: %s", notes)
	}
}

func TestEnvdCopies(t *testing.T) {
	in := input(t)
	in.Spec = spec(t, `{"builder": "envd", "copy": ["data"]}`)
	in.Base, _ = OnPython(in.Spec, flytekitBase(), "")
	in.Copies = []imagespec.Copy{{Field: "copy", From: "data", Dest: "data", Files: []imagespec.Copied{{Rel: "a", Mode: 0o644, Path: "/x", Size: 1, Digest: "d"}}}}
	p := mustMake(t, in)
	if f := at(t, p.Layers[len(p.Layers)-1], "/root/data/a"); f.Owner != (Owner{1000, 1001}) {
		t.Errorf("%+v is not the base's user's", f.Owner)
	}
}

func TestEnvdSteps(t *testing.T) {
	s := spec(t, `{"builder": "envd", "apt_packages": ["git"], "python_version": "3.11"}`)
	steps, err := Below(s, flytekitBase(), "3.12")
	if err != nil || len(steps) != 1 || !slices.Contains(steps[0].Env, "DEBIAN_FRONTEND=noninteractive") || len(steps[0].Mounts) != 2 {
		t.Errorf("%+v, %v", steps, err)
	}
}

func TestEnvdRefuses(t *testing.T) {
	system := flytekitBase()
	system.Site = nil
	for name, c := range map[string]struct {
		kwargs      string
		base        base.Info
		invalid     bool
		field, text string
	}{
		"python_exec":       {`"python_exec": "/usr/bin/python3"`, flytekitBase(), true, "python_exec", "not supported with the envd image builder"},
		"cuda alone":        {`"cuda": "11.2.2"`, flytekitBase(), true, "python_version", "is required when cuda"},
		"cuda":              {`"cuda": "11.2.2", "cudnn": "8", "python_version": "3.11"`, flytekitBase(), false, "cuda", "Ubuntu 20.04"},
		"conda":             {`"conda_packages": ["x"]`, flytekitBase(), false, "conda_packages", "beside the base's"},
		"another Python":    {`"python_version": "3.12"`, flytekitBase(), false, "python_version", "has Python 3.11.11"},
		"no Python":         {`"packages": ["x"]`, bare(), false, "base_image", "no Python"},
		"system's Python":   {`"packages": ["x"]`, system, false, "base_image", "belongs to its system"},
		"a variable of pip": {`"packages": ["x"], "env": {"PIP_NO_BINARY": ":all:"}`, flytekitBase(), false, "env", "PIP_NO_BINARY"},
		"a lock, and more":  {`"requirements": "uv.lock", "packages": ["x"]`, flytekitBase(), true, "packages", "beside a lock"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envd(t, c.kwargs, c.base)
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
}
