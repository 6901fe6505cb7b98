package plan

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

// What the default builder executes below the packages, and above them. The scripts are its own; a mount of a cache has
// another name, so that no other builder's cache is shared with it.

// Below lists the steps that a spec needs under its packages, in order, for a base. Each runs on what the one before left.
// python is the minor that flytekit itself would run with; empty: not known.
func Below(spec imagespec.Spec, b base.Info, python string) ([]Step, error) {
	var steps []Step
	switch list := spec.Texts("apt_packages"); {
	case len(list) == 0:
	case InBase(spec):
		steps = append(steps, aptEnvd(list, b))
	default:
		steps = append(steps, aptStep(list, b))
	}
	if needsConda(spec, b) {
		conda, err := condaStep(spec, b, python)
		if err != nil {
			return nil, err
		}
		steps = append(steps, conda)
	}
	return steps, nil
}

func aptStep(list []string, b base.Info) Step {
	return Step{
		Kind: StepApt, Title: "apt: " + strings.Join(list, ", "), Platform: b.Platform,
		Args:   shell(b, "apt-get update && apt-get install -y --no-install-recommends "+strings.Join(list, " ")),
		Env:    withPath(b.Env),
		Mounts: []Mount{{Target: "/var/cache/apt", Cache: "apt"}},
	}
}

// shell is how a Dockerfile's RUN executes a line on a base.
func shell(b base.Info, line string) []string {
	if len(b.Shell) > 0 {
		return append(slices.Clone(b.Shell), line)
	}
	return []string{"/bin/sh", "-c", line}
}

// withPath is an environment with a PATH, which BuildKit gives to any that has none.
func withPath(env []string) []string {
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		return env
	}
	return append([]string{"PATH=" + defaultPath}, env...)
}

// On seals a step: it runs on the image with this digest.
func (s Step) On(digest string) Step { return s.seal(digest) }

// above seals the step that runs the spec's commands on top of packages and files; nil: there are none. Its key depends on
// all that lies below, but not on what only the config says: the image's id.
func (p *Plan) above(spec imagespec.Spec, env variables) *Step {
	commands := spec.Texts("commands")
	if len(commands) == 0 {
		return nil
	}
	line := strings.Join(commands, " && ")
	s := Step{
		Kind: StepCommands, Title: "commands: " + strings.Join(strings.Fields(line), " "), Platform: p.Platform,
		Args:   shell(p.Base, line),
		Env:    slices.DeleteFunc(slices.Clone([]string(env)), func(e string) bool { return strings.HasPrefix(e, "_F_IMG_ID=") }),
		Mounts: []Mount{{Target: "/root/.cache/uv", Cache: "uv"}},
	}
	if image, ok := configured(spec, "uv_image"); ok {
		s.Mounts = append(s.Mounts, Mount{Target: uvProgram, Image: image, Source: "/uv"})
	}
	s = s.On(p.below())
	return &s
}

// below is what the plan's layers make of the base's, as far as files go.
func (p *Plan) below() string {
	d := newDigest("below")
	for _, id := range p.Base.DiffIDs {
		if !slices.Contains(p.Without, id) {
			d.text(id)
		}
	}
	for _, l := range p.Layers {
		d.text(l.Key)
	}
	return d.String()
}

// The places in a step that makes a wheel.
const (
	wheelIn   = "/run/imgspecd/in"
	wheelSrc  = "/run/imgspecd/src"
	wheelOut  = "/run/imgspecd/out"
	wheelConf = "/run/imgspecd/uv.toml"
	uvProgram = "/usr/bin/uv"
)

// buildScript unpacks the archive $1, where there is one, and builds the project in its directory $3 with the interpreter $2. An
// archive may hold its files in a directory of their own.
const buildScript = `set -e
archive=$1 python=$2 sub=$3
cd /
if [ -n "$archive" ]; then
  "$python" -c 'import shutil, sys; shutil.unpack_archive(sys.argv[1], sys.argv[2])' "$archive" ` + wheelSrc + `
  cd ` + wheelSrc + `
  set -- *
  if [ $# = 1 ] && [ -d "$1" ] && [ ! -e pyproject.toml ] && [ ! -e setup.py ]; then cd "$1"; fi
else
  cd ` + wheelSrc + `
fi
exec ` + uvProgram + ` build --wheel --no-progress --python "$python" --out-dir ` + wheelOut + ` "./$sub"
`

// LogIn gives the step the login of the repository that it builds.
func (s Step) LogIn(header string) Step {
	s.Mounts = slices.Clone(s.Mounts)
	for i := range s.Mounts {
		if s.Mounts[i].Git != "" {
			s.Mounts[i].Login = header
		}
	}
	return s
}

// Build is the step that makes a wheel of an artifact that is none, on the base that it is for. archive is where its file lies,
// if it is one; conf is a uv.toml, which may hold logins; secrets are the spec's.
func Build(a lockfile.Artifact, b base.Info, archive string, conf []byte, secrets []Secret) Step {
	s := Step{
		Kind: StepWheel, Title: "build " + strings.TrimSpace(a.Name+" "+a.Version), Platform: b.Platform, Output: wheelOut,
		Env:     append(withPath(b.Env), "UV_CONFIG_FILE="+wheelConf, "UV_PYTHON_DOWNLOADS=never", "UV_LINK_MODE=copy"),
		Mounts:  []Mount{{Target: "/root/.cache/uv", Cache: "uv"}},
		Secrets: append(slices.Clone(secrets), Secret{Target: wheelConf, Data: conf}),
	}
	src := a.Source
	in := ""
	if src.Kind == lockfile.FromGit {
		s.Mounts = append(s.Mounts, Mount{Target: wheelSrc, Git: src.Repository, Commit: src.Commit})
	} else {
		name := path.Base(archive)
		in = wheelIn + "/" + a.Filename
		s.Mounts = append(s.Mounts, Mount{Target: in, Local: path.Dir(archive), Source: name, Digest: a.Hash})
	}
	s.Args = []string{"/bin/sh", "-c", buildScript, "build", in, b.Python.Path, src.Subdirectory}
	return s
}

// Resolution is `uv pip compile` as a step. Env, Stdin and Files may hold logins, and are secrets of it.
type Resolution struct {
	Base    base.Info
	Args    []string // of uv; one that is Python stands for the base's interpreter
	Python  string
	Dir     string            // where Args expects Files; uv may write to it
	Files   map[string][]byte // by name
	Env     []byte            // lines for the shell
	Stdin   []byte
	Secrets []Secret
	Now     string // the indexes are asked as of now: no answer of an earlier time will do
}

// ResolvedFile is what a resolution leaves in its Output.
const ResolvedFile = "pylock.toml"

// resolveScript is given the directory that uv works in, then uv's arguments. That directory is in memory: what was mounted
// as a secret is written nowhere else.
const resolveScript = `set -e
dir=$1; shift
mkdir -p "$dir"
cp ` + resolveIn + `/* "$dir/"
. "$dir/env"
cd "$dir"
exec ` + uvProgram + ` "$@" <"$dir/stdin" >` + wheelOut + "/" + ResolvedFile + `
`

const resolveIn = wheelIn

// Resolve is the step that r describes. It is executed each time.
func Resolve(r Resolution) Step {
	s := Step{
		Kind: StepResolve, Title: "resolve packages", Platform: r.Base.Platform, Output: wheelOut,
		Args:    append([]string{"/bin/sh", "-c", resolveScript, "resolve", r.Dir}, slices.Clone(r.Args)...),
		Env:     append(withPath(r.Base.Env), "UV_PYTHON_DOWNLOADS=never", "UV_LINK_MODE=copy", "IMGSPECD_NOW="+r.Now),
		Mounts:  []Mount{{Target: "/root/.cache/uv", Cache: "uv"}},
		Secrets: slices.Clone(r.Secrets),
	}
	for i, a := range s.Args {
		if a == r.Python {
			s.Args[i] = r.Base.Python.Path
		}
	}
	add := func(name string, data []byte) {
		s.Secrets = append(s.Secrets, Secret{Target: resolveIn + "/" + name, Data: data})
	}
	add("env", r.Env)
	add("stdin", r.Stdin)
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		add(name, r.Files[name])
	}
	return s
}

// HasUV reports whether the step comes with a uv.
func (s Step) HasUV() bool {
	return slices.ContainsFunc(s.Mounts, func(m Mount) bool { return m.Target == uvProgram })
}

// WithUV adds uv, from a directory of this machine that holds it. Which release it is changes no key.
func (s Step) WithUV(dir string) Step {
	s.Mounts = append(slices.Clone(s.Mounts), Mount{Target: uvProgram, Local: dir, Source: "uv", Unkeyed: true})
	return s
}
