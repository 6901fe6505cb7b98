package plan

import (
	"maps"
	"slices"
	"strings"
)

// StepKind says what a step executes.
type StepKind string

// The kinds, in the order in which a build takes them.
const (
	StepApt      StepKind = "apt"      // apt_packages, on the base
	StepConda    StepKind = "conda"    // Python and conda_packages, on that
	StepWheel    StepKind = "wheel"    // a source that must become a wheel; its image is thrown away
	StepResolve  StepKind = "resolve"  // packages that must be built to learn what they need; its image is thrown away
	StepCommands StepKind = "commands" // on top of packages and files
)

// Step is what must be executed in a container. It is executed once per Key; what it leaves is kept.
type Step struct {
	Kind     StepKind
	Key      string // hex; of the image it runs on and of all below but Secrets and Title
	Title    string // for people: "apt: curl, git"
	Platform string // linux/amd64
	Args     []string
	Env      []string // the whole, in order
	User     string   // empty: root
	Dir      string   // empty: /
	Mounts   []Mount
	Secrets  []Secret
	// Anew: what BuildKit remembers of an earlier time will not do.
	Anew bool
	// Output is the directory that a step leaves its result in whose image is thrown away.
	Output string
	// Missing are directories above mounts that the image does not have. BuildKit makes them, and an older one leaves them.
	Missing []string
}

// Mount puts something into a step's file system that is not in its result.
type Mount struct {
	Target string
	Cache  string // a directory of this name, kept by BuildKit from step to step and shared by all
	Image  string // or what lies at Source in the image with this reference
	Local  string // or what lies at this path on the host: Source in the directory
	Git    string // or what the repository at this address holds at Commit, with its history
	Commit string
	Login  string // to that repository over HTTP: the value of the Authorization header; a secret, in no key
	Source string
	Digest string // of what Local or Image holds, for Key; empty: the reference says it
	// Unkeyed: what it holds decides nothing that matters.
	Unkeyed bool
}

// Secret is a file that a step sees at Target, and no one after it. What it holds is in no key.
type Secret struct {
	Source string // of the host, absolute
	Data   []byte // or this
	Target string
}

// Missing lists the directories above a step's mounts that the image of the plan does not have.
func (p *Plan) Missing(s Step) []string {
	there := func(dir string) bool {
		if _, ok := p.Base.Files[dir]; ok || !known(dir) {
			return true
		}
		return slices.ContainsFunc(p.Layers, func(l Layer) bool {
			return slices.ContainsFunc(l.Files, func(f File) bool { return f.Path == dir || strings.HasPrefix(f.Path, dir+"/") })
		})
	}
	var out []string
	for _, m := range s.Mounts {
		for _, dir := range parents(m.Target) {
			if !there(dir) {
				out = append(out, dir)
			}
		}
	}
	return out
}

// seal gives a step its key, on an image.
func (s Step) seal(on string) Step {
	d := newDigest("step")
	d.text(string(s.Kind), on, s.Platform, s.User, s.Dir, s.Output)
	for _, list := range [][]string{s.Args, s.Env} {
		d.number(int64(len(list)))
		d.text(list...)
	}
	mounts := map[string]Mount{}
	for _, m := range s.Mounts {
		if !m.Unkeyed {
			mounts[m.Target] = m
		}
	}
	for _, target := range slices.Sorted(maps.Keys(mounts)) {
		m := mounts[target]
		local, source := m.Local, m.Source
		if m.Digest != "" {
			local, source = "", "" // where it lies does not matter then
		}
		d.text(target, m.Cache, m.Image, local, source, m.Git, m.Commit, m.Digest)
	}
	targets := make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		targets[i] = secret.Target
	}
	slices.Sort(targets)
	d.text(targets...)
	s.Key = d.String()
	return s
}
