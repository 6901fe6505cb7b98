package builder

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Stack puts layers of the store on an image. Its config says, besides, what made them, and has the variables of env
// in place of those it had, unless env is nil.
func (b *Builder) Stack(on v1.Image, records []store.LayerRecord, by string, env []string) (v1.Image, error) {
	img := &image{}
	lower, err := on.Layers()
	if err != nil {
		return nil, fmt.Errorf("read the image below: %w", err)
	}
	for _, l := range lower {
		if l, err = ociLayer(l); err != nil {
			return nil, fmt.Errorf("read the image below: %w", err)
		}
		img.layers = append(img.layers, l)
	}
	below, err := on.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image below: %w", err)
	}
	cfg := below.DeepCopy()
	made := v1.Time{Time: layer.Epoch}
	for _, r := range records {
		l, err := newBlobLayer(b.deps.Store, r)
		if err != nil {
			return nil, err
		}
		img.layers = append(img.layers, l)
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, l.diffID)
		cfg.History = append(cfg.History, v1.History{Created: made, CreatedBy: by})
	}
	if env != nil {
		cfg.Config.Env = env
	}
	if img.config, err = json.Marshal(cfg); err != nil {
		return nil, err
	}
	img.manifest, err = img.makeManifest()
	return img, err
}
