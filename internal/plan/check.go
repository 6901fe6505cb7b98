package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

// harmless are the fields that are understood, or that do not change what the
// default builder makes of a lock: they only name it, or are none of its business.
var harmless = []string{
	"name", "python_version", "builder", "env", "registry", "packages", "requirements", "base_image", "platform",
	"pip_index", "pip_extra_index_url", "pip_extra_args", "registry_config", "entrypoint", "tag_format", "runtime_packages",
	"builder_options", "builder_config", "apt_packages", "commands", "copy", "source_root", "source_copy_mode", "python_exec",
	"conda_packages", "conda_channels", "pip_secret_mounts",
}

// cudaText is flytekit's own.
const cudaText = "cuda and cudnn do not need to be specified: a GPU library on PyPI brings cuda along; " +
	"for other needs set a base_image that has it"

// Check refuses a spec that cannot be planned, whatever its base and packages are.
func Check(spec imagespec.Spec) error {
	if InBase(spec) {
		return checkEnvd(spec)
	}
	if err := checkFields(spec); err != nil {
		return err
	}
	return checkRequirements(spec)
}

// check refuses what cannot be planned.
func check(in Input) error {
	if err := Check(in.Spec); err != nil {
		return err
	}
	for _, step := range []func(Input) error{checkCopies, checkBase, checkLayers, checkArtifacts} {
		if err := step(in); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(spec imagespec.Spec) error {
	for _, field := range spec.Set() {
		switch {
		case field == "cuda", field == "cudnn":
			return &Invalid{Field: field, Reason: cudaText}
		case slices.Contains(harmless, field), empty(spec.Get(field)):
		default:
			return &Unsupported{Field: field}
		}
	}
	return nil
}

// empty says whether a value is one that flytekit's builder treats as not given.
func empty(v imagespec.Value) bool {
	switch v := v.(type) {
	case imagespec.List:
		return len(v) == 0
	case imagespec.Str:
		return v == ""
	}
	return false
}

func checkRequirements(spec imagespec.Spec) error {
	if !Locked(spec) {
		return nil
	}
	file := path.Base(spec.Requirements())
	if isSet(spec, "packages") {
		return &Invalid{Field: "packages", Reason: "Support for " + file + " files and packages is mutually exclusive", // flytekit's own text
			Hint: "add the packages to the lock"}
	}
	_, err := Choice(spec)
	return err
}

// Choice is what pip_extra_args choose of a lock: there, they are arguments of uv or poetry.
func Choice(spec imagespec.Spec) (lockfile.Choice, error) {
	if InBase(spec) || !Locked(spec) { // the envd plug-in does not look at them
		return lockfile.Choice{}, nil
	}
	choice, err := lockfile.ParseArgs(lockfile.Kind(spec.Requirements()), spec.Str("pip_extra_args"))
	var e *lockfile.ArgsError
	switch {
	case !errors.As(err, &e):
		return choice, err
	case e.Unsupported:
		return choice, &Unsupported{Field: "pip_extra_args", Reason: e.Reason, Hint: e.Hint}
	}
	return choice, &Invalid{Field: "pip_extra_args", Reason: e.Reason, Hint: e.Hint}
}

func isSet(spec imagespec.Spec, field string) bool { return slices.Contains(spec.Set(), field) }

func checkBase(in Input) error {
	b := in.Base
	if want := in.Spec.Platform(); want != "" && b.Platform != "" && want != b.Platform {
		return &Invalid{Field: "platform", Reason: fmt.Sprintf("is %s, but base image %s is for %s", want, b.Ref, b.Platform)}
	}
	if InBase(in.Spec) {
		return checkEnvdBase(in)
	}
	if b.Python == nil {
		return &Unsupported{Field: "base_image", Reason: "no Python on the PATH of " + b.Ref,
			Hint: `set base_image to one with Python, such as "python:3.12-slim-bookworm"`}
	}
	if f, ok := b.Files[venvDir]; ok && !f.Mode.IsDir() {
		return &Unsupported{Field: "base_image", Reason: venvDir + " of " + b.Ref + " is no directory", Hint: "choose a base without it"}
	}
	if choice, err := Choice(in.Spec); err != nil {
		return err
	} else if choice.Inexact && b.Files[venvDir].Mode.IsDir() {
		return &Unsupported{Field: "pip_extra_args", Reason: "--inexact keeps what " + b.Ref + " has in " + venvDir, Hint: "leave it out"}
	}
	if _, ok := b.Files[runtimeDir]; ok && Prefix(in.Spec) == runtimeDir && b.Runtime == nil {
		return unknownInside(b)
	}
	want := in.Spec.PythonVersion()
	if want == "" || HasExec(in.Spec) || b.Runtime != nil { // which then is what micromamba made of it
		return nil
	}
	if strings.Trim(want, "0123456789.") != "" {
		return &Unsupported{Field: "python_version", Reason: fmt.Sprintf("%q is not a plain version", want), Hint: `write it as in "3.12"`}
	}
	if !strings.HasPrefix(b.Python.Version+".", strings.TrimSuffix(want, ".")+".") {
		return &Invalid{Field: "python_version", Reason: fmt.Sprintf("is %s, but base image %s has Python %s", want, b.Ref, b.Python.Version),
			Hint: "set one to match the other"}
	}
	return nil
}

// unknownInside says why packages cannot be added to an environment: which of them stay depends on what is in it.
func unknownInside(b base.Info) error {
	hint := "make the base an ImageSpec that is built here, name all packages in one spec, or use a lock"
	if b.From == "nested" {
		hint = "build the base again (imgspecd build BASE --force), name all packages in one spec, or use a lock"
	}
	return &Unsupported{Field: "base_image", Hint: hint, Reason: b.Ref + " already has the environment " + runtimeDir +
		", and what is installed there is not known here; adding packages to it"}
}

// leastLayers is what a plan must have room for: the two below the packages, and
// enough for packages that a change of one is still cheap.
const leastLayers = 10

func checkLayers(in Input) error {
	if MaxImageLayers-in.Base.Layers < leastLayers {
		return &Unsupported{Field: "base_image", Reason: fmt.Sprintf("%s has %d layers, and engines fail past about 125", in.Base.Ref, in.Base.Layers),
			Hint: "squash the base"}
	}
	return nil
}

func checkArtifacts(in Input) error {
	var sdists, loose, elsewhere []string
	for _, a := range in.Artifacts {
		switch {
		case a.Sdist:
			sdists = append(sdists, describe(a))
		case !strings.HasPrefix(a.Hash, "sha256:"):
			loose = append(loose, a.Name+" "+a.Version)
		case a.Path != "" && !path.IsAbs(a.Path):
			elsewhere = append(elsewhere, fmt.Sprintf("%s %s (%s)", a.Name, a.Version, a.Path))
		}
	}
	if len(sdists) > 0 {
		return &Unsupported{Field: "requirements", Reason: "what lies in a directory of this machine is not built, and flytekit's builder does not see it either: " + strings.Join(sdists, "; "),
			Hint: "lock it from an index, a URL or git"}
	}
	if len(loose) > 0 {
		return &Unsupported{Field: "requirements", Reason: "the lock has no sha256 for " + strings.Join(loose, ", "), Hint: "run uv lock again"}
	}
	if len(elsewhere) > 0 {
		return &Unsupported{Field: "requirements", Reason: "files beside the lock, which flytekit's builder does not see either: " + strings.Join(elsewhere, ", "),
			Hint: "lock them from an index or a URL"}
	}
	return nil
}

func describe(a lockfile.Artifact) string {
	s := a.Name + " " + a.Version
	if a.Reason != "" {
		s += " (" + a.Reason + ")"
	}
	return s
}

// notes says what flytekit itself would do otherwise.
func notes(in Input) []string {
	var out []string
	for _, field := range []string{"pip_index", "pip_extra_index_url"} {
		if isSet(in.Spec, field) && Locked(in.Spec) {
			out = append(out, field+" is not used: the lock says where each package comes from")
		}
	}
	if isSet(in.Spec, "python_version") && HasExec(in.Spec) {
		out = append(out, "python_version is not used: python_exec says which Python it is")
	}
	for _, field := range []string{"registry_config", "builder_options"} {
		if isSet(in.Spec, field) {
			out = append(out, field+" is not used, as flytekit's default builder does not use it")
		}
	}
	if len(in.Spec.Texts("runtime_packages")) > 0 && !OnConda(in.Spec, in.Base) && !slices.ContainsFunc(in.Artifacts, func(a lockfile.Artifact) bool { return a.Name == "pip" }) {
		out = append(out, "runtime_packages are installed by pip when a task starts, and no pip is among the packages")
	}
	if b := in.Spec.Builder(); b != "" && b != "default" && b != "imgspecd" {
		out = append(out, "the image is what flytekit's default builder makes, not builder "+b)
	}
	return out
}
