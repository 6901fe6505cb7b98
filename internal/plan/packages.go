package plan

import (
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

// packageLayers divides the packages among layers: see layer.Group. dirs are the folders that they go into, and copied
// is how many layers lie above.
func (p *Plan) packageLayers(in Input, dirs []File, copied int) ([]Layer, error) {
	byName := make(map[string]lockfile.Artifact, len(in.Artifacts))
	for _, a := range in.Artifacts {
		if _, twice := byName[a.Name]; twice {
			return nil, &Invalid{Field: "requirements", Reason: "the lock chooses two versions of " + a.Name}
		}
		byName[a.Name] = a
	}
	var layers []Layer
	for _, share := range layer.Group(sized(in), budget(in.Base.Layers+copied)) {
		l := Layer{Kind: Packages, Files: dirs, Part: share.Part, Parts: share.Parts}
		for _, name := range share.Names {
			if a, ok := byName[name]; ok { // else it is another platform's
				l.Packages = append(l.Packages, a)
			}
		}
		if len(l.Packages) == 0 {
			continue
		}
		l.Title = title(l)
		l.Key = p.packagesKey(l)
		layers = append(layers, l)
	}
	return layers, nil
}

// sized are the packages as layers are chosen for them: over all platforms of the image, so that it comes out alike for each.
func sized(in Input) []layer.Sized {
	all := append([][]lockfile.Artifact{in.Artifacts}, in.Beside...)
	size, hashes, times := map[string]int64{}, map[string]string{}, map[string]int{}
	for _, list := range all {
		for _, a := range list {
			size[a.Name] = max(size[a.Name], a.Size)
			if have, ok := hashes[a.Name]; !ok || have == a.Hash {
				hashes[a.Name] = a.Hash
				times[a.Name]++
			}
		}
	}
	out := make([]layer.Sized, 0, len(size))
	for name, n := range size {
		out = append(out, layer.Sized{Name: name, Size: n, Apart: times[name] < len(all)})
	}
	return out
}

// budget divides what the base and copied files leave of an image's layers.
func budget(others int) layer.Budget {
	b := layer.DefaultBudget()
	room := min(MaxLayers, MaxImageLayers-others) - 2 // two lie below the packages
	if all := b.Own + b.Buckets; room < all {
		b.Buckets = max(1, b.Buckets*room/all)
		b.Own = room - b.Buckets
	}
	return b
}

// titleNames is how many packages of a group its title names.
const titleNames = 3

func title(l Layer) string {
	if len(l.Packages) == 1 {
		p := l.Packages[0]
		s := p.Name + " " + p.Version
		if l.Parts > 1 {
			s += fmt.Sprintf(" (part %d of %d)", l.Part, l.Parts)
		}
		return s
	}
	names := make([]string, 0, titleNames)
	for _, p := range l.Packages[:min(titleNames, len(l.Packages))] {
		names = append(names, p.Name)
	}
	s := fmt.Sprintf("%d packages: %s", len(l.Packages), strings.Join(names, ", "))
	if len(l.Packages) > titleNames {
		s += ", ..."
	}
	return s
}
