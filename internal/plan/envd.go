package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// With builder="envd" an image is what flytekit's envd plug-in (1.16.31) has envd (1.x, its v1 language with dev=False) make: a base with
// flytekit, whose own Python gets the packages. No user, no environment of its own, no certificates. envd carries out what the plug-in
// writes in an order of its own: apt, packages, copies, and then commands, wherever they stand in build.envd.

// InBase reports whether a spec's packages go among those of the base's own Python.
func InBase(spec imagespec.Spec) bool { return spec.Builder() == "envd" }

// The defaults of the plug-in.
const (
	envdIndex = "https://pypi.org/simple"
	pipConf   = "/etc/pip.conf"
)

// ignoredByEnvd are the fields that the plug-in does not look at.
var ignoredByEnvd = []string{"pip_secret_mounts", "pip_extra_args", "entrypoint", "builder_options", "builder_config", "registry_config"}

// checkEnvd refuses what envd refuses, and what needs envd's own images.
func checkEnvd(spec imagespec.Spec) error {
	switch {
	case HasExec(spec):
		return &Invalid{Field: "python_exec", Reason: "python_exec is not supported with the envd image builder"} // the plug-in's own text
	case isSet(spec, "cuda") && !empty(spec.Get("cuda")) && spec.PythonVersion() == "":
		return &Invalid{Field: "python_version", Reason: "python_version is required when cuda and cudnn are specified"} // likewise
	case isSet(spec, "cuda") && !empty(spec.Get("cuda")):
		return &Unsupported{Field: "cuda", Reason: "with it envd builds on an image of nvidia's for Ubuntu 20.04 and a Python of conda's, whatever base_image says; that",
			Hint: "leave cuda and cudnn out: a GPU library on PyPI brings cuda along; or set base_image to one that has both"}
	case len(spec.Texts("conda_packages")) > 0:
		return &Unsupported{Field: "conda_packages", Reason: "envd puts them into an environment that it makes beside the base's; that", Hint: "leave builder out: the default builder's conda_packages are supported"}
	}
	for _, field := range spec.Set() {
		known := slices.Contains(harmless, field) || slices.Contains(ignoredByEnvd, field) || field == "cuda" || field == "cudnn"
		if !known && !empty(spec.Get(field)) {
			return &Unsupported{Field: field}
		}
	}
	if Locked(spec) && isSet(spec, "packages") {
		return &Invalid{Field: "packages", Reason: "packages beside a lock", Hint: "add the packages to the lock"}
	}
	return nil
}

// onEnvd is a base as a spec with builder="envd" sees it: packages go into its Python's own environment.
func onEnvd(b base.Info) base.Info {
	if b.Site != nil {
		b.Runtime = b.Site
	}
	return b
}

func checkEnvdBase(in Input) error {
	b := in.Base
	want := in.Spec.PythonVersion()
	switch {
	case b.Python == nil:
		return &Unsupported{Field: "base_image", Reason: "no Python on the PATH of " + b.Ref + ", where envd looks for one; that",
			Hint: "leave base_image out, or set it to one with Python"}
	case b.Runtime == nil:
		return &Unsupported{Field: "base_image", Reason: "what is among the packages of " + b.Python.Link + " of " + b.Ref + " belongs to its system, or is not known here; adding to it",
			Hint: `set base_image to one with a Python of its own, such as "python:3.12-slim-bookworm"`}
	case !satisfies(b.Python, want):
		return &Unsupported{Field: "python_version", Reason: fmt.Sprintf("it is %s, and base image %s has Python %s: envd adds one of conda's, with none of the base's packages; that", want, b.Ref, b.Python.Version),
			Hint: "set one to match the other, or leave builder out"}
	}
	return nil
}

// baseScheme is where pip puts packages among those of the base's own Python.
func baseScheme(b base.Info) wheel.Scheme {
	name := "python" + minor(b.Python.Version)
	headers := path.Join(b.Runtime.Prefix, "include", name+threads(b.Python))
	if b.Runtime.Venv {
		headers = path.Join(b.Runtime.Prefix, "include", "site", name)
	}
	return wheel.Scheme{
		Prefix: b.Runtime.Prefix, SitePackages: b.Runtime.Site, Scripts: b.Runtime.Prefix + "/bin",
		Headers: headers, Interpreter: b.Python.Link,
	}
}

// makeEnvd plans an image of a spec with builder="envd".
func makeEnvd(in Input) (*Plan, error) {
	p := &Plan{
		Name: in.Name, Platform: in.Base.Platform, Base: in.Base, Prefix: baseScheme(in.Base),
		StrictRecord: in.StrictRecord, Bytecode: in.Bytecode, // what is installed is root's, as pip runs as root
	}
	env := envdVariables(in)
	if err := checkPip(env, in.Spec); err != nil {
		return nil, err
	}
	t := newTree(in.Base.Files)
	t.know(in.Base.Runtime)
	conf, notes := envdPip(in.Spec)
	t.edit(pipConf, conf, 0o644, Owner{})
	p.Notes = slices.Concat(in.Notes, envdNotes(in), notes)
	p.Layers = append(p.Layers, ownLayer(System, "pip's index", t.layer()))
	if err := p.environment(in, t, Owner{}); err != nil {
		return nil, err
	}
	dirs := t.dirs(p.Prefix.SitePackages)
	copied, err := copyLayers(in, t, t.baseUser(in.Base.User))
	if err != nil {
		return nil, err
	}
	packages, err := p.packageLayers(in, dirs, len(copied))
	if err != nil {
		return nil, err
	}
	p.Layers = slices.Concat(p.Layers, packages, copied)
	p.Config = config(in, env)
	p.Config.User, p.Config.WorkingDir, p.Config.Shell = in.Base.User, in.Base.WorkingDir, nil
	p.Config.Entrypoint, p.Config.SetEntrypoint = nil, false // the base's stays, whatever the spec says
	p.Above = p.aboveEnvd(in.Spec, env)
	return p, nil
}

// envdVariables is the image's environment. Values are taken as they are: no Dockerfile is between. Where the base has a variable of the
// same name, envd lets the base's stay, and so loses the image's id on a base that flytekit made; here the spec's wins.
func envdVariables(in Input) variables {
	env := variables{}
	for _, e := range withPath(in.Base.Env) {
		name, value, _ := strings.Cut(e, "=")
		env.set(name, value)
	}
	const extra = "/root" // the plug-in's extra_path
	if at, _ := env.get("PATH"); !slices.Contains(strings.Split(at, ":"), extra) {
		env.set("PATH", at+":"+extra)
	}
	env.set("PYTHONPATH", "/root:")
	env.set("_F_IMG_ID", in.ID)
	for _, kv := range in.Spec.Env() {
		if kv[0] != "PATH" {
			env.set(kv[0], kv[1])
		}
	}
	env.set("LC_ALL", "C.UTF-8")
	env.set("LANG", "C.UTF-8")
	return env
}

// decidingPip are variables by which pip installs something else, or elsewhere.
var decidingPip = []string{
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_PRE", "PIP_CONSTRAINT", "PIP_REQUIREMENT",
	"PIP_NO_DEPS", "PIP_REQUIRE_HASHES", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_CONFIG_FILE", "PIP_REQUIRE_VIRTUALENV", "PYTHONUSERBASE",
}

// checkPip refuses what would change what pip does: it is not run here. With a lock it has no say.
func checkPip(env variables, spec imagespec.Spec) error {
	for _, name := range decidingPip {
		if value, ok := env.get(name); !ok || value == "" || value == "0" || Locked(spec) {
			continue
		}
		field := "base_image"
		if slices.ContainsFunc(spec.Env(), func(kv [2]string) bool { return kv[0] == name }) {
			field = "env"
		}
		return &Unsupported{Field: field, Reason: "it sets " + name + ", which changes what pip installs, and pip is not run here; that", Hint: "use a lock, or leave it out"}
	}
	return nil
}

// indexLogin is what stands before the host in an index's address.
var indexLogin = regexp.MustCompile(`://[^/\s]*@`)

// envdPip is pip's settings as envd writes them, without logins.
func envdPip(spec imagespec.Spec) (conf []byte, notes []string) {
	index := spec.Str("pip_index")
	if index == "" {
		index = envdIndex
	}
	extra := strings.Join(spec.Texts("pip_extra_index_url"), " ")
	if extra != "" {
		extra = "extra-index-url=" + extra
	}
	text := "\n[global]\nindex-url=" + index + "\n" + extra + "\n\n\n[install]\nsrc = /tmp\n"
	public := indexLogin.ReplaceAllString(text, "://")
	if public != text {
		notes = append(notes, pipConf+" names the index without its login, which would be in the image for anyone to read")
	}
	return []byte(public), notes
}

// baseUser is who a base's config says it runs as; what is copied belongs to them.
func (t *tree) baseUser(user string) Owner {
	name, group, _ := strings.Cut(user, ":")
	var o Owner
	if line := t.table("/etc/passwd").find(name); len(line) >= 4 {
		o.UID, _ = strconv.Atoi(line[2]) // a line that is damaged is root's
		o.GID, _ = strconv.Atoi(line[3])
	} else if id, err := strconv.Atoi(name); err == nil {
		o.UID = id
	}
	if line := t.table("/etc/group").find(group); len(line) >= 3 {
		o.GID, _ = strconv.Atoi(line[2])
	} else if id, err := strconv.Atoi(group); err == nil {
		o.GID = id
	}
	return o
}

// aptEnvd is aptStep as envd has it: the lists of packages are in a cache too, and not in the image.
func aptEnvd(list []string, b base.Info) Step {
	s := aptStep(list, b)
	s.Env = append(slices.Clone(s.Env), "DEBIAN_FRONTEND=noninteractive")
	s.Mounts = append(s.Mounts, Mount{Target: "/var/lib/apt", Cache: "apt-lists"})
	return s
}

// aboveEnvd seals the step that runs the spec's commands, as root, on top of all else.
func (p *Plan) aboveEnvd(spec imagespec.Spec, env variables) *Step {
	commands := spec.Texts("commands")
	if len(commands) == 0 {
		return nil
	}
	s := Step{
		Kind: StepCommands, Title: "commands: " + strings.Join(strings.Fields(strings.Join(commands, "; ")), " "), Platform: p.Platform,
		Args: []string{"/bin/bash", "-c", "set -euo pipefail\n" + strings.Join(commands, "\n") + "\n"},
		Env: append(slices.DeleteFunc(slices.Clone([]string(env)), func(e string) bool { return strings.HasPrefix(e, "_F_IMG_ID=") }),
			"DEBIAN_FRONTEND=noninteractive"),
	}
	s = s.On(p.below())
	return &s
}

// envdNotes says what the plug-in or envd would do otherwise.
func envdNotes(in Input) []string {
	var out []string
	for _, field := range ignoredByEnvd {
		if isSet(in.Spec, field) && !empty(in.Spec.Get(field)) {
			out = append(out, field+" is not used, as the envd plug-in does not use it")
		}
	}
	if slices.ContainsFunc(in.Spec.Env(), func(kv [2]string) bool { return kv[0] == "PATH" }) {
		out = append(out, "PATH of env is not used, as envd does not use it")
	}
	if Locked(in.Spec) {
		out = append(out, path.Base(in.Spec.Requirements())+" is installed among the base's packages; the envd plug-in hands it to pip, which cannot read it")
	}
	return out
}
