package plan

import (
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// What the default builder executes below the packages, and above them. The scripts are its own; a mount of a cache has
// another name, so that no other builder's cache is shared with it.

// Below lists the steps that a spec needs under its packages, in order, for a base. Each runs on what the one before left.
func Below(spec imagespec.Spec, b base.Info) []Step {
	var steps []Step
	if list := spec.Texts("apt_packages"); len(list) > 0 {
		steps = append(steps, aptStep(list, b))
	}
	return steps
}

func aptStep(list []string, b base.Info) Step {
	return Step{
		Kind: StepApt, Title: "apt: " + strings.Join(list, ", "), Platform: b.Platform,
		Args:   shell("apt-get update && apt-get install -y --no-install-recommends " + strings.Join(list, " ")),
		Env:    withPath(b.Env),
		Mounts: []Mount{{Target: "/var/cache/apt", Cache: "apt"}},
	}
}

// shell is how a Dockerfile's RUN executes a line.
func shell(line string) []string { return []string{"/bin/sh", "-c", line} }

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
		Args:   shell(line),
		Env:    slices.DeleteFunc(slices.Clone([]string(env)), func(e string) bool { return strings.HasPrefix(e, "_F_IMG_ID=") }),
		Mounts: []Mount{{Target: "/root/.cache/uv", Cache: "uv"}},
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
