package docker

import (
	"context"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	api "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
)

const (
	maxManifest = 16 << 20
	// notWorthAsking is how much may be sent rather than ask about every image there is.
	notWorthAsking = 8 << 20
	maxRecent      = 8
	parallelAsk    = 8
)

// present collects which blobs of an image an engine has.
//
// What an engine has of layers it says only by image, so images that are likely to
// share layers are asked about first: the one under the same name, and those that
// were published last. Only if much would still be sent, all are.
type present struct {
	*load
	have map[v1.Hash]bool
}

func (p *present) missing() (bytes int64) {
	for _, b := range p.parts.Blobs {
		if b.Layer != nil && !p.have[b.Digest] {
			bytes += b.Size
		}
	}
	return bytes
}

// find asks the engine. old is what the name means there now; nil for nothing.
func (p *present) find(ctx context.Context, old *image) error {
	if old != nil {
		p.see(old)
	}
	for _, id := range p.latest() {
		if p.missing() <= notWorthAsking {
			return nil
		}
		i, err := p.inspect(ctx, id)
		if err != nil {
			return err
		}
		if i != nil {
			p.see(i)
		}
	}
	if p.missing() <= notWorthAsking {
		return nil
	}
	return p.all(ctx)
}

// see takes into account one image that the engine has.
func (p *present) see(i *image) {
	if !p.info.Containerd {
		p.chain(i.diffIDs)
		return
	}
	for _, m := range i.manifests {
		p.manifest(m)
	}
	if len(i.manifests) == 0 && i.whole { // an API that does not tell
		if h, err := v1.NewHash(i.id); err == nil {
			p.manifest(h)
		}
	}
}

// chain marks layers that a graph driver has: those up to where the diff IDs part.
func (p *present) chain(theirs []v1.Hash) {
	for n, h := range p.parts.DiffIDs {
		if n >= len(theirs) || theirs[n] != h {
			return
		}
		p.have[p.parts.Parsed.Layers[n].Digest] = true
	}
}

// manifest marks the blobs of a manifest that a containerd store holds wholly, if we
// know what they are. Base images and our own we know.
func (p *present) manifest(h v1.Hash) {
	raw, ok := blob.Read(p.deps.Blobs, h.String(), maxManifest)
	if !ok {
		return
	}
	var m v1.Manifest
	if json.Unmarshal(raw, &m) != nil {
		return
	}
	for _, l := range m.Layers {
		p.have[l.Digest] = true
	}
}

// all asks about every image.
func (p *present) all(ctx context.Context) error {
	list, err := p.api.ImageList(ctx, client.ImageListOptions{Manifests: p.info.Containerd})
	if err != nil {
		return p.explain(ctx, "list images", err)
	}
	if !p.info.Containerd {
		return p.allChains(ctx, list.Items)
	}
	for _, i := range list.Items {
		ms, _, err := available(i.Manifests)
		if err != nil {
			return err
		}
		p.see(&image{id: i.ID, manifests: ms, whole: i.Manifests == nil})
	}
	return nil
}

// allChains learns the diff IDs of images not met before.
func (p *present) allChains(ctx context.Context, images []api.Summary) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelAsk)
	p.keepChains(images)
	for _, i := range images {
		if p.chainOf(i.ID) != nil {
			continue
		}
		g.Go(func() error {
			got, err := p.inspect(gctx, i.ID)
			if err == nil && got != nil { // else it was removed meanwhile
				p.learn(got)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, i := range images {
		p.chain(p.chainOf(i.ID))
	}
	return nil
}

// keepChains forgets images that are gone.
func (d *Docker) keepChains(images []api.Summary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := map[string][]v1.Hash{}
	for _, i := range images {
		if c, ok := d.chains[i.ID]; ok {
			kept[i.ID] = c
		}
	}
	d.chains = kept
}

func (d *Docker) chainOf(id string) []v1.Hash {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.chains[id]
}

func (d *Docker) learn(i *image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chains[i.id] = i.diffIDs
}

func (d *Docker) latest() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.recent...)
}

func (d *Docker) published(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	recent := []string{id}
	for _, r := range d.recent {
		if r != id && len(recent) < maxRecent {
			recent = append(recent, r)
		}
	}
	d.recent = recent
}

// available lists the images among manifests that are wholly there, and says whether all are.
func available(all []api.ManifestSummary) (there []v1.Hash, whole bool, err error) {
	whole = true
	for _, m := range all {
		if m.Kind != api.ManifestKindImage {
			continue
		}
		if !m.Available {
			whole = false
			continue
		}
		h, err := v1.NewHash(m.Descriptor.Digest.String())
		if err != nil {
			return nil, false, fmt.Errorf("list manifests: %w", err)
		}
		there = append(there, h)
	}
	return there, whole && len(there) > 0, nil
}

// thin are the blobs to send: the config always, as it is small.
func (p *present) thin() []publish.Part {
	var send []publish.Part
	for _, b := range p.parts.Blobs {
		if b.Layer == nil || !p.have[b.Digest] {
			send = append(send, b)
		}
	}
	return send
}
