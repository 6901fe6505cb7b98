package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// An environment of conda's may be anyone's: what is in it is read from the image. Packages lie on it as `uv pip install`
// would lay them into it: what is installed stays where it satisfies, and is taken away where another version comes.

// environment is what is in the environment that a spec's packages go into; nil: nothing, or it is not known.
func (p *Pipeline) environment(s Spec, b base.Info) *installed {
	if !plan.OnConda(s.Fields, b) {
		return p.inside(b.Digest)[plan.Prefix(s.Fields)]
	}
	e := &installed{foreign: true}
	for i, d := range b.Runtime.Dists {
		if i > 0 && b.Runtime.Dists[i-1].Name == d.Name {
			continue // there twice: one is what is left of another
		}
		e.Packages = append(e.Packages, lockfile.Artifact{Name: d.Name, Version: d.Version})
	}
	return e
}

// late lists what micromamba left in the homes: the default builder gives them to the user before. What apt left there is not
// told from it, where both are executed.
func late(before, after base.Info, steps []executed) map[string]bool {
	if !slices.ContainsFunc(steps, func(x executed) bool { return x.Kind == plan.StepConda && x.done }) {
		return nil
	}
	out := map[string]bool{}
	for path := range after.Files {
		if _, there := before.Files[path]; !there && (strings.HasPrefix(path, "/root/") || strings.HasPrefix(path, "/home/")) {
			out[path] = true
		}
	}
	return out
}

// foreseen says what is not known before micromamba has been executed.
func foreseen(steps []executed) []string {
	if !slices.ContainsFunc(steps, func(x executed) bool { return x.Kind == plan.StepConda && !x.done }) {
		return nil
	}
	return []string{"which release of Python conda brings, and which packages, is known once micromamba has been executed; till then none of them are counted on"}
}

// ours is what of an environment we made ourselves, so that its layers can be left out.
func (e *installed) ours() *plan.Installed {
	if e == nil || e.foreign {
		return nil
	}
	return &plan.Installed{Layers: e.Layers}
}

// come splits what is in an environment of somebody else's after packages were added: those that come, and the names of what
// they take the place of. What stays is in neither.
func (e *installed) come(all []lockfile.Artifact) (come []lockfile.Artifact, replaced []string) {
	if e == nil || !e.foreign {
		return all, nil
	}
	for _, a := range all {
		if a.Hash == "" && a.URL == "" && a.Path == "" && a.Source == nil {
			continue // as it is in the image
		}
		i := slices.IndexFunc(e.Packages, func(old lockfile.Artifact) bool { return old.Name == a.Name })
		if i >= 0 && a.Direct == nil && satisfied(e.Packages[i], a) {
			continue // a lock names it in the version that is there
		}
		come = append(come, a)
		if i >= 0 {
			replaced = append(replaced, a.Name)
		}
	}
	return come, replaced
}

// chosen checks that another version was chosen because the installed one does not satisfy, and not because no index has it:
// uv looks at what is installed before it looks at an index.
func (p *Pipeline) chosen(ctx context.Context, e *installed, all []lockfile.Artifact, env pypa.Environment, indexes []string) error {
	if e == nil || !e.foreign {
		return nil
	}
	for _, old := range e.Packages {
		i := slices.IndexFunc(all, func(a lockfile.Artifact) bool { return a.Name == old.Name })
		if i < 0 || all[i].Direct != nil || satisfied(old, all[i]) {
			continue
		}
		offered, err := p.Builder.Offers(ctx, indexes, old, env)
		if err != nil {
			return fmt.Errorf("ask whether %s %s is offered: %w", old.Name, old.Version, err)
		}
		if !offered {
			return &plan.Unsupported{
				Field: "packages", Hint: fmt.Sprintf("leave it as it is there, or name the version in packages: %q", all[i].Name+"=="+all[i].Version),
				Reason: fmt.Sprintf("whether %s %s of the image would stay is not known: no wheel of it is at %s, where %s is chosen",
					old.Name, old.Version, strings.Join(indexes, ", "), all[i].Version),
			}
		}
	}
	return nil
}
