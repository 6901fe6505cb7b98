package publish

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Published guesses from a layout where blobs lie in registries: what an image there has is likely to lie in the
// repository that its name says. It may not, for an image in the layout need not have been pushed, so this is only
// where to ask. The result is for RegistryDeps.Elsewhere; it is safe for concurrent use.
func Published(index Index, blobs blob.Store) func(registry string, h v1.Hash) []string {
	p := &published{index: index, blobs: blobs}
	return p.at
}

type published struct {
	index Index
	blobs blob.Store

	mu     sync.Mutex
	of     string                          // the names and digests that where was made from
	where  map[string]map[v1.Hash][]string // registry → blob → repositories, the one named last first
	layers map[string][]v1.Hash            // of manifests, by digest: they never change
}

// at lists repositories; none when the index cannot be read, which its owner tells of.
func (p *published) at(registry string, h v1.Hash) []string {
	m, err := p.index.ReadIndex()
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if of := fingerprint(m); p.where == nil || of != p.of {
		p.read(m)
		p.of = of
	}
	return p.where[registry][h]
}

func fingerprint(m *v1.IndexManifest) string {
	var b strings.Builder
	for _, d := range m.Manifests {
		b.WriteString(d.Annotations[refName] + " " + d.Digest.Hex + "\n")
	}
	return b.String()
}

func (p *published) read(m *v1.IndexManifest) {
	before := p.layers
	p.where, p.layers = map[string]map[v1.Hash][]string{}, map[string][]v1.Hash{}
	for _, d := range slices.Backward(m.Manifests) {
		called := d.Annotations[refName]
		ref, err := name.ParseReference(called)
		if err != nil || d.Annotations[aliasOf] != "" || !strings.Contains(called, "/") { // no registry's
			continue
		}
		digest := d.Digest.String()
		layers, ok := before[digest]
		if !ok {
			layers = p.layersOf(digest, true)
		}
		p.layers[digest] = layers
		registry, repository := ref.Context().RegistryStr(), ref.Context().RepositoryStr()
		if p.where[registry] == nil {
			p.where[registry] = map[v1.Hash][]string{}
		}
		for _, h := range layers {
			if at := p.where[registry]; !slices.Contains(at[h], repository) {
				at[h] = append(at[h], repository)
			}
		}
	}
}

// layersOf reads the layers of an image, or of an index's images. A manifest that is damaged has none.
func (p *published) layersOf(digest string, outer bool) []v1.Hash {
	raw, ok := blob.Read(p.blobs, digest, maxManifest)
	var m struct {
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if !ok || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	var out []v1.Hash
	for _, d := range m.Layers {
		out = append(out, d.Digest)
	}
	if outer { // ours are one level deep
		for _, d := range m.Manifests {
			out = append(out, p.layersOf(d.Digest.String(), false)...)
		}
	}
	return out
}
