package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
)

// dockerEngine looks for the engine that images without a registry go to.
func dockerEngine(ctx context.Context, d Deps) []api.Check {
	const a = area("docker")
	if d.DockerUse == "never" {
		return []api.Check{a.ok("not used (docker.use = never)")}
	}
	missing := a.warn
	if d.DockerUse == "always" {
		missing = a.fail
	}
	host, from, err := d.DockerAt()
	if err != nil {
		return []api.Check{missing("docker context ls lists what there is", "%v", err)}
	}
	i, err := d.Docker(ctx)
	if err != nil {
		return []api.Check{missing("start it, or set docker.host; without one, images that name no registry are kept in the layout only", "%v (named by %s)", err, from)}
	}
	store := "graph driver " + i.Driver
	if i.Containerd {
		store = "containerd image store, " + i.Driver
	}
	return []api.Check{a.ok("engine %s (API %s) at %s (%s), %s, %s", i.Version, i.API, host, from, i.Platform, store)}
}

// buildKit looks for what executes steps.
func buildKit(ctx context.Context, d Deps) []api.Check {
	const a = area("buildkit")
	i, err := d.BuildKit(ctx)
	switch {
	case err != nil && d.BuildKitNamed != "":
		return []api.Check{a.fail("start that buildkitd, or change "+d.BuildKitNamed, "%v", err)}
	case errors.Is(err, buildkit.ErrNone):
		return []api.Check{a.warn("start Docker, or a buildkitd and name it in buildkit.address; only specs with apt_packages, commands, "+
			"conda_packages or source distributions need one", "%v", err)}
	case err != nil:
		return []api.Check{a.fail("", "%v", err)}
	}
	name := i.From
	if name == "docker" {
		name = "the Docker engine's own"
	}
	why := i.Why
	if d.BuildKitNamed != "" {
		why = d.BuildKitNamed + " names it"
	}
	version := i.Version
	if version == "" {
		version = "which does not tell its version"
	}
	differences := "it tells what a step changed"
	if !i.Diff {
		differences = "what a step changed is found by comparing images"
	}
	return []api.Check{a.ok("%s, %s (%s); for %s; %s", name, version, why, strings.Join(plainly(i.Platforms), ", "), differences)}
}

// plainly leaves out the variants of a platform that is there without one.
func plainly(platforms []string) (out []string) {
	for _, p := range platforms {
		if parts := strings.SplitN(p, "/", 3); len(parts) < 3 || !slices.Contains(platforms, parts[0]+"/"+parts[1]) {
			out = append(out, p)
		}
	}
	return out
}
