package plan

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
)

const systemPython = "/usr/bin/python3"

// withExec is a base that has another Python besides the one on PATH, and a spec that is for that.
func withExec(t *testing.T, kwargs, flytekit string) (Input, error) {
	t.Helper()
	in := input(t)
	in.Spec, in.Flytekit = spec(t, kwargs), flytekit
	in.Base.Pythons = []base.Python{
		{Path: "/usr/local/bin/python3.11", Link: "/usr/local/bin/python3", Version: "3.11.11"},
		{Path: "/usr/bin/python3.9", Link: systemPython, Version: "3.9.2"},
	}
	var err error
	in.Base, err = OnPython(in.Spec, in.Base, flytekit)
	return in, err
}

// The environment is one of that Python, and sees what it has installed.
func TestPythonExec(t *testing.T) {
	for _, exec := range []string{systemPython, "/bin/python3", "/usr/bin/python3.9", "/usr//bin/./python3"} {
		in, err := withExec(t, `{"packages": ["x"], "python_exec": "`+exec+`", "python_version": "3.12"}`, "1.16.31")
		if err != nil {
			t.Fatal(err)
		}
		p := mustMake(t, in)
		if p.Prefix.SitePackages != "/root/.venv/lib/python3.9/site-packages" || p.Owner != (Owner{1000, 0}) {
			t.Errorf("%s: %+v, %v", exec, p.Prefix, p.Owner)
		}
		venv := p.Layers[1]
		if f := at(t, venv, "/root/.venv/bin/python"); f.Link != path.Clean(exec) {
			t.Errorf("%s: python is %s", exec, f.Link)
		}
		if cfg := string(at(t, venv, "/root/.venv/pyvenv.cfg").Data); !strings.Contains(cfg, "home = "+path.Dir(path.Clean(exec))+"\n") || !strings.Contains(cfg, "include-system-site-packages = true\n") {
			t.Errorf("%s: pyvenv.cfg:\n%s", exec, cfg)
		}
		env := variables(p.Config.Env)
		search, _ := env.get("PATH")
		python, _ := env.get("UV_PYTHON")
		if search != "/root/.venv/bin:"+basePath+":/usr/local/nvidia/bin:/usr/local/cuda/bin" || python != "/root/.venv/bin/python" {
			t.Errorf("%s: PATH %s, UV_PYTHON %s", exec, search, python)
		}
		if !slices.ContainsFunc(p.Notes, func(s string) bool { return strings.HasPrefix(s, "python_version is not used") }) {
			t.Errorf("%s: notes %q", exec, p.Notes)
		}
	}
}

// Before flytekit 1.16.16 a lock was installed by that Python, whose directory did not come to PATH.
func TestPythonExecOfOldFlytekits(t *testing.T) {
	in, err := withExec(t, `{"requirements": "uv.lock", "python_exec": "/usr/bin/python3"}`, "1.16.15")
	if err != nil {
		t.Fatal(err)
	}
	p := mustMake(t, in)
	path, _ := variables(p.Config.Env).get("PATH")
	if path != "/root/.venv/bin::"+basePath+":/usr/local/nvidia/bin:/usr/local/cuda/bin" || p.Prefix.SitePackages != "/root/.venv/lib/python3.9/site-packages" {
		t.Errorf("PATH %s, %s", path, p.Prefix.SitePackages)
	}
	if cfg := string(at(t, p.Layers[1], "/root/.venv/pyvenv.cfg").Data); !strings.Contains(cfg, "include-system-site-packages = false\n") {
		t.Errorf("pyvenv.cfg:\n%s", cfg)
	}
}

func TestPythonExecThatCannotBe(t *testing.T) {
	for _, c := range []struct{ kwargs, flytekit, text, hint string }{
		{`{"python_exec": "/opt/python"}`, "", "has no CPython at /opt/python", "it has /usr/local/bin/python3, /usr/bin/python3"},
		{`{"python_exec": "/usr/bin/python3", "requirements": "uv.lock"}`, "1.16.16", "not made yet", "base_image"},
		{`{"python_exec": "/usr/bin/python3"}`, "1.16.15", "field python_exec is not supported: flytekit 1.16.15 installs packages among those of the base's Python itself", "1.16.16"},
		{`{"python_exec": "/usr/bin/python3", "conda_packages": ["x"]}`, "", "conda_packages is not supported with python_exec", ""},
		{`{"python_exec": "/usr/bin/python3", "conda_channels": ["x"]}`, "", "conda_channels is not supported with python_exec", ""},
	} {
		_, err := withExec(t, c.kwargs, c.flytekit)
		var invalid *Invalid
		var unsupported *Unsupported
		hint := ""
		switch {
		case errors.As(err, &invalid):
			hint = invalid.Hint
		case errors.As(err, &unsupported):
			hint = unsupported.Hint
		}
		if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %v (%s)", c.kwargs, err, hint)
		}
	}
}
