package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
)

// A spec may name several platforms. Each has a base, packages and an image of its own; what the name means is then an index
// of the images.

// planned is the image for one platform, before it is made.
type planned struct {
	spec Spec // with this platform alone
	in   plan.Input
	plan *plan.Plan
	base *base.Base
	bare string // digest of the base as it was before anything was executed on it
	// steps are executed below the packages or make some of them. What one leaves that is still to be executed, the plan is without.
	steps []executed
}

// plans reads everything that decides the bytes of the images, in the order in which the spec names their platforms.
func (p *Pipeline) plans(ctx context.Context, s Spec, step stepper) ([]planned, error) {
	if err := plan.Check(s.Fields); err != nil {
		return nil, err
	}
	platforms, err := base.Platforms(s.Fields.Platform())
	if err != nil {
		return nil, &api.Error{Code: api.CodeInvalid, Message: err.Error(), Hint: `write it as in "linux/arm64", or "linux/amd64,linux/arm64"`}
	}
	pins, err := p.pins(ctx, s)
	if err != nil {
		return nil, err
	}
	all := make([]planned, len(platforms))
	for i, platform := range platforms {
		if all[i], err = p.read(ctx, s.on(platform), pins, step); err != nil {
			return nil, ofPlatform(platforms, i, err)
		}
	}
	for i := range all {
		all[i].in.Beside = beside(all, i)
		if all[i].plan, err = plan.Make(all[i].in); err != nil {
			return nil, ofPlatform(platforms, i, err)
		}
	}
	return all, nil
}

// on is the spec for one of its platforms.
func (s Spec) on(platform string) Spec {
	if fields, err := s.Fields.With("platform", imagespec.Str(platform)); err == nil { // a field of every release
		s.Fields = fields
	}
	return s
}

// beside lists the packages of the other platforms.
func beside(all []planned, i int) [][]lockfile.Artifact {
	var out [][]lockfile.Artifact
	for j, one := range all {
		if j != i {
			out = append(out, one.in.Artifacts)
		}
	}
	return out
}

// ofPlatform says for which of several platforms something failed.
func ofPlatform(platforms []string, i int, err error) error {
	if len(platforms) == 1 {
		return err
	}
	return fmt.Errorf("%s: %w", platforms[i], err)
}

// make makes the image for one platform.
func (p *Pipeline) make(ctx context.Context, one planned, step stepper, out *Outcome, obs Observer) (v1.Image, error) {
	pl, b := one.plan, one.base
	obs.Logf("base %s for %s (%s, from %s), %d layers on it", b.Info.Ref, b.Info.Platform, b.Info.Digest, b.Info.From, len(pl.Layers))
	if code := pl.Bytecode; code != nil {
		obs.Logf("packages are compiled with Python %s (%s)", code.Python.Version, cmp.Or(code.Python.Path, "the image's own, in BuildKit"))
	}
	for _, note := range pl.Notes {
		obs.Logf("note: %s", note)
	}
	img, stats, err := p.Builder.Build(ctx, pl, b.Image, obs.Progress)
	addStats(&out.Stats, stats)
	if err != nil {
		return nil, err
	}
	if img, err = p.finish(ctx, pl, img, step); err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, fmt.Errorf("digest of %s: %w", pl.Name, err)
	}
	if pl.Above == nil { // else what was executed may have changed the environment
		if err := p.remember(one.spec, pl, img); err != nil {
			return nil, err
		}
	}
	for _, w := range p.Builder.Warnings(pl) {
		if !slices.Contains(out.Warnings, w) {
			out.Warnings = append(out.Warnings, w)
			obs.Logf("warning: %s", w)
		}
	}
	if stats.LayersShared > 0 {
		obs.Logf("%d layers are from the team cache (%d bytes)", stats.LayersShared, stats.SharedBytes)
	}
	obs.Logf("%d packages, %d layers, %d made, %d wheels fetched (%d bytes): %s",
		stats.Packages, stats.Layers, stats.LayersMade, stats.Fetched, stats.FetchedBytes, digest)
	return img, nil
}

// addStats sums up what the images cost.
func addStats(sum *api.Stats, s api.Stats) {
	sum.Packages += s.Packages
	sum.Layers += s.Layers
	sum.LayersMade += s.LayersMade
	sum.LayersShared += s.LayersShared
	sum.SharedBytes += s.SharedBytes
	sum.Fetched += s.Fetched
	sum.FetchedBytes += s.FetchedBytes
	sum.InstalledBytes += s.InstalledBytes
}
