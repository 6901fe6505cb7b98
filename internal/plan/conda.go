package plan

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// The default builder has micromamba put a Python into every image. Here the base's own is used where it will do; else
// micromamba is executed, as the default builder executes it.

const (
	condaRoot       = "/opt/micromamba"
	micromamba      = "/usr/bin/micromamba"
	micromambaImage = "mambaorg/micromamba:2.0.3-debian12-slim" // the default builder's
)

var (
	plainVersion = regexp.MustCompile(`^\d+(\.\d+)*\.?$`)
	numbers      = regexp.MustCompile(`(3\.\d+)(\.\d+)?`)
)

// needsConda reports whether the base's own Python will not do.
func needsConda(spec imagespec.Spec, b base.Info) bool {
	switch {
	case HasExec(spec), InBase(spec):
		return false
	case len(spec.Texts("conda_packages")) > 0, len(spec.Texts("conda_channels")) > 0, b.Python == nil:
		return true
	}
	return !satisfies(b.Python, spec.PythonVersion())
}

// satisfies reports whether a Python is the version that is asked for; empty: any is. What is more than a version, only
// micromamba understands.
func satisfies(python *base.Python, want string) bool {
	if want == "" {
		return true
	}
	return plainVersion.MatchString(want) && strings.HasPrefix(python.Version+".", strings.TrimSuffix(want, ".")+".")
}

// condaStep installs a Python and conda_packages. python is the minor that flytekit itself would run with; empty: not known.
func condaStep(spec imagespec.Spec, b base.Info, python string) (Step, error) {
	if _, ok := b.Files[runtimeDir]; ok && b.Runtime == nil {
		return Step{}, &Unsupported{Field: condaField(spec), Reason: "the environment " + runtimeDir + " of " + b.Ref + " is none of conda's, and micromamba refuses it; that",
			Hint: `give the base a Python from conda too, with conda_channels=["conda-forge"]`}
	}
	version, err := condaVersion(spec, b, python)
	if err != nil {
		return Step{}, err
	}
	user, err := newTree(b.Files).account() // the one that the image will have: it is made later
	if err != nil {
		return Step{}, err
	}
	what := append([]string{"python=" + version}, spec.Texts("conda_packages")...)
	words := []string{"-n", "runtime", "--root-prefix", condaRoot, "-c", "conda-forge"}
	for _, channel := range spec.Texts("conda_channels") {
		words = append(words, "-c", channel)
	}
	args := strings.Join(append(words, what...), " ")
	image := micromambaImage
	if own, ok := configured(spec, "micromamba_image"); ok {
		image = own
	}
	return Step{
		Kind: StepConda, Title: "conda: " + strings.Join(what, ", "), Platform: b.Platform,
		Args: shell(b, "micromamba config set use_lockfiles False && ( micromamba create "+args+" || micromamba install "+args+" ) && "+
			"chown -R "+strconv.Itoa(user.UID)+" "+condaRoot),
		Env: withPath(b.Env),
		Mounts: []Mount{
			{Target: condaRoot + "/pkgs", Cache: "micromamba"},
			{Target: micromamba, Image: image, Source: micromamba},
		},
	}, nil
}

// condaVersion is the Python that micromamba is asked for.
func condaVersion(spec imagespec.Spec, b base.Info, python string) (string, error) {
	version := cmp.Or(spec.PythonVersion(), python)
	switch {
	case version != "":
		return version, nil
	case b.Python != nil:
		return minor(b.Python.Version), nil
	}
	return "", &Invalid{Field: "python_version", Reason: "nothing says which Python the image shall have, and " + b.Ref + " has none",
		Hint: "set python_version in the ImageSpec, or requires-python in pyproject.toml"}
}

// condaField is the field for whose sake micromamba is executed.
func condaField(spec imagespec.Spec) string {
	for _, field := range []string{"conda_packages", "conda_channels", "python_version"} {
		if isSet(spec, field) {
			return field
		}
	}
	return "base_image"
}

// configured is a text of builder_config.
func configured(spec imagespec.Spec, key string) (string, bool) {
	d, ok := spec.Get("builder_config").(*imagespec.Dict)
	if !ok {
		return "", false
	}
	v, _ := d.Get(key)
	s, ok := v.(imagespec.Str)
	return string(s), ok
}

// Finds is the environment by which programs are found in what a step leaves on a base; nil: the image's own.
func (s Step) Finds(b base.Info) []string {
	if s.Kind != StepConda {
		return nil
	}
	env := variables(slices.Clone(withPath(b.Env)))
	path, _ := env.get("PATH")
	env.set("PATH", runtimeBin+":"+path)
	return env
}

// OnConda reports whether packages go into an environment that the base has, of conda's or its Python's own.
func OnConda(spec imagespec.Spec, b base.Info) bool {
	return (Prefix(spec) == runtimeDir || InBase(spec)) && b.Runtime != nil
}

// Expected is a base as it will be once micromamba has been executed on it, as far as that can be told before.
func Expected(spec imagespec.Spec, b base.Info, python string) (base.Info, error) {
	version, err := condaVersion(spec, b, python)
	if err != nil {
		return b, err
	}
	m := numbers.FindStringSubmatch(version)
	if m == nil {
		return b, &Unsupported{Field: "python_version", Reason: fmt.Sprintf("which Python %q means is known once micromamba has been executed", version)}
	}
	user, err := newTree(b.Files).account()
	if err != nil {
		return b, err
	}
	name := "python" + m[1]
	b.Python = &base.Python{Path: runtimeBin + "/" + name, Link: runtimeBin + "/python3", Version: m[1] + cmp.Or(m[2], ".0")}
	b.Runtime = &base.Runtime{Dirs: map[string]base.Entry{}}
	b.Files = maps.Clone(b.Files)
	site := runtimeDir + "/lib/" + name + "/site-packages"
	for _, dir := range append(parents(site), site, runtimeBin) {
		e := base.Entry{Mode: fs.ModeDir | 0o755}
		if strings.HasPrefix(dir, condaRoot) {
			e.UID = user.UID
		}
		if _, ok := b.Files[dir]; !ok && !strings.HasPrefix(dir, runtimeDir+"/") {
			b.Files[dir] = e
		}
		b.Runtime.Dirs[dir] = e
	}
	return b, nil
}

// know adds what is known of an environment of conda's.
func (t *tree) know(r *base.Runtime) {
	if r == nil {
		return
	}
	for p, e := range r.Dirs {
		if _, ok := t.files[p]; !ok {
			t.files[p] = File{Path: p, Mode: e.Mode, Owner: Owner{e.UID, e.GID}}
		}
	}
}

// replace takes installed packages away that others take the place of, and says so.
func (t *tree) replace(in Input) (notes []string, err error) {
	for _, name := range in.Replaced {
		i := slices.IndexFunc(in.Base.Runtime.Dists, func(d base.Dist) bool { return d.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("replace %s: it is not installed", name)
		}
		d := in.Base.Runtime.Dists[i]
		if d.Stuck != "" {
			return nil, &Invalid{Field: "packages", Reason: fmt.Sprintf("%s %s of %s cannot be replaced: %s", d.Name, d.Version, owner(in.Spec), d.Stuck),
				Hint: "ask whoever installed it (conda_packages, or the base) for the version that the packages need"}
		}
		for _, p := range d.Paths {
			t.remove(p)
		}
		notes = append(notes, d.Name+" "+d.Version+" of "+owner(in.Spec)+" gives way to another version")
	}
	return notes, nil
}

// owner is who installed what is in an environment that packages go into.
func owner(spec imagespec.Spec) string {
	if InBase(spec) {
		return "the base"
	}
	return "conda"
}

// Dir is a directory in the environment that packages go into, as it lies below them.
func (p *Plan) Dir(path string) (File, bool) {
	for _, l := range p.Layers {
		if l.Kind != Venv {
			continue
		}
		if i := slices.IndexFunc(l.Files, func(f File) bool { return f.Path == path && f.Mode.IsDir() }); i >= 0 {
			return l.Files[i], true
		}
	}
	e, ok := p.dirs[path]
	return File{Path: path, Mode: e.Mode, Owner: Owner{e.UID, e.GID}}, ok
}
