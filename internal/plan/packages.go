package plan

import (
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// packageLayers divides the packages among layers: see layer.Group. dirs are the folders that they go into, and copied
// is how many layers lie above.
func packageLayers(in Input, dirs []File, s wheel.Scheme, owner Owner, copied int) ([]Layer, error) {
	byName := make(map[string]lockfile.Artifact, len(in.Artifacts))
	sized := make([]layer.Sized, 0, len(in.Artifacts))
	for _, a := range in.Artifacts {
		if _, twice := byName[a.Name]; twice {
			return nil, &Invalid{Field: "requirements", Reason: "the lock chooses two versions of " + a.Name}
		}
		byName[a.Name] = a
		sized = append(sized, layer.Sized{Name: a.Name, Size: a.Size})
	}
	var layers []Layer
	for _, share := range layer.Group(sized, budget(in.Base.Layers+copied)) {
		l := Layer{Kind: Packages, Files: dirs, Part: share.Part, Parts: share.Parts}
		for _, name := range share.Names {
			l.Packages = append(l.Packages, byName[name])
		}
		l.Title = title(l)
		l.Key = packagesKey(l, s, owner, in.Bytecode)
		layers = append(layers, l)
	}
	return layers, nil
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
