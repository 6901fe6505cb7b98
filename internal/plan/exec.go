package plan

import (
	"fmt"
	"path"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// With python_exec the default builder installs no Python: it makes an environment of the base's that sees what the base has
// installed. What is there counts for nothing when packages are chosen: uv looks only at the environment itself (seen with 0.5.1, the
// default builder's, and 0.13.9).

// HasExec reports whether a spec says which of the base's interpreters it is for.
func HasExec(spec imagespec.Spec) bool { return spec.Str("python_exec") != "" }

// OnPython is a base as a spec with python_exec, or for envd, sees it: with that interpreter, or with its own packages.
func OnPython(spec imagespec.Spec, b base.Info, flytekit string) (base.Info, error) {
	if InBase(spec) {
		return onEnvd(b), nil
	}
	if !HasExec(spec) {
		return b, nil
	}
	if err := checkExec(spec, flytekit); err != nil {
		return b, err
	}
	exec := path.Clean(spec.Str("python_exec"))
	for _, p := range b.Pythons {
		if exec == p.Link || exec == p.Path || usr(exec) == usr(p.Link) {
			p.Path = exec // uv's environments name it as it was called
			b.Python = &p
			return b, nil
		}
	}
	if !path.IsAbs(exec) && b.Python != nil && path.Base(b.Python.Link) == exec {
		p := *b.Python // a name, which PATH finds
		p.Path = p.Link
		b.Python = &p
		return b, nil
	}
	var found []string
	for _, p := range b.Pythons {
		found = append(found, p.Link)
	}
	hint := "the base has none"
	if len(found) > 0 {
		hint = "it has " + strings.Join(found, ", ")
	}
	return b, &Invalid{Field: "python_exec", Reason: fmt.Sprintf("%s has no CPython at %s", b.Ref, exec), Hint: hint}
}

// usr is a path with the directories that most systems have moved.
func usr(p string) string {
	if strings.HasPrefix(p, "/bin/") || strings.HasPrefix(p, "/sbin/") {
		return "/usr" + p
	}
	return p
}

func checkExec(spec imagespec.Spec, flytekit string) error {
	for _, field := range []string{"conda_channels", "conda_packages"} {
		if len(spec.Texts(field)) > 0 {
			return &Invalid{Field: field, Reason: field + " is not supported with python_exec"} // flytekit's own text
		}
	}
	own := imagespec.ExecEnvironment(flytekit)
	switch {
	case own && Locked(spec):
		return &Invalid{Field: "python_exec", Reason: "with " + path.Base(spec.Requirements()) + " flytekit's builder looks for the interpreter of an environment that is not made yet",
			Hint: "leave python_exec out, and set base_image to one whose PATH finds that Python"}
	case !own && !Locked(spec):
		return &Unsupported{Field: "python_exec", Reason: "flytekit " + flytekit + " installs packages among those of the base's Python itself; that",
			Hint: "flytekit 1.16.16 and newer make an environment for them"}
	}
	return nil
}

// pythonPath is what the default builder puts before PATH for the Python it installs packages for, and UV_PYTHON.
func pythonPath(in Input) (bin, python string) {
	switch {
	case !HasExec(in.Spec):
		return runtimeBin, runtimeBin + "/python"
	case imagespec.ExecEnvironment(in.Flytekit):
		return venvDir + "/bin", venvDir + "/bin/python"
	}
	return "", in.Spec.Str("python_exec")
}
