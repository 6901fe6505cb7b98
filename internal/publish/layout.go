package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// refName is the OCI annotation of a name in a layout. With it, an image foo/bar:tag
// is `skopeo inspect oci:DIR:foo/bar:tag`: skopeo ends DIR at the first colon, so DIR
// must hold none, and the name may.
//
// The OCI grammar for it allows no two separators in a row and none at an end, which
// flytekit's tags have now and then (a tag is base64 with "_"). Skopeo then refuses the
// name unseen, so such an image has a second entry, named by its digest:
// `skopeo inspect oci:DIR:sha256:<hex>`. aliasOf marks that entry.
const (
	refName = blob.RefName
	aliasOf = blob.AliasOf
)

var refGrammar = regexp.MustCompile(`^[A-Za-z0-9]+(?:(?:[-._:@/+]|--)[A-Za-z0-9]+)*$`)

const maxManifest = 16 << 20

// Index is a layout's index.json. UpdateIndex is atomic and durable, and writes
// nothing if change fails.
type Index interface {
	ReadIndex() (*v1.IndexManifest, error)
	UpdateIndex(change func(*v1.IndexManifest) error) error
}

// NewLayout returns the target that is an OCI layout on disk: its blobs, and the
// index that names images in it.
func NewLayout(blobs blob.Store, index Index) Target { return &layout{blobs: blobs, index: index} }

// Elsewhere remembers of blobs that are not kept in which repositories they lie ("registry/repository").
type Elsewhere interface {
	Elsewhere(digest string) (size int64, repositories []string)
	PutElsewhere(repository string, blobs []v1.Descriptor) error
}

// NewThinLayout returns the target that is the same layout, for images that go to a registry: a layer that lies in one
// already is not brought here. It counts as there for as long as it is remembered where it lies, and whoever reads the
// image from the layout gets it from there.
func NewThinLayout(blobs blob.Store, index Index, e Elsewhere) Target {
	return &layout{blobs, index, e}
}

type layout struct {
	blobs     blob.Store
	index     Index
	elsewhere Elsewhere // nil: all blobs are kept
}

func (l *layout) Name() string { return "layout" }

// Publish writes blobs first, then the name: whoever reads the index finds all it leads to.
func (l *layout) Publish(ctx context.Context, name string, content Content, report progress.Func) (Receipt, error) {
	parts, err := PartsOf(content)
	if err != nil {
		return Receipt{}, fmt.Errorf("write %s: %w", name, err)
	}
	sent := NewTally(l.Name(), report)
	absent, err := l.leave(parts)
	if err == nil {
		err = l.writeBlobs(ctx, parts, absent, sent)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("write %s: %w", name, err)
	}
	for _, p := range append(parts.Images, parts) {
		if err := blob.Put(l.blobs, p.Manifest); err != nil {
			return Receipt{}, fmt.Errorf("write %s: manifest: %w", name, err)
		}
	}
	d := parts.Descriptor()
	d.Annotations, d.Platform = map[string]string{refName: name}, parts.Platform
	if err := l.index.UpdateIndex(func(m *v1.IndexManifest) error {
		m.Manifests = append(slices.DeleteFunc(m.Manifests, entryOf(name)), d)
		if !refGrammar.MatchString(name) {
			d.Annotations = map[string]string{refName: d.Digest.String(), aliasOf: name}
			m.Manifests = append(m.Manifests, d)
		}
		return nil
	}); err != nil {
		return Receipt{}, fmt.Errorf("write %s: %w", name, err)
	}
	r, err := l.Check(ctx, name)
	if err != nil {
		return r, err
	}
	if r.Digest != d.Digest.String() {
		return Receipt{}, fmt.Errorf("write %s: read back as %q, expected %s", name, r.Digest, d.Digest)
	}
	sent.Done(&r)
	return r, nil
}

// parallelCopy is low: the disk is one.
const parallelCopy = 3

// leave notes of the layers that need not be brought here where they lie, and returns their digests.
func (l *layout) leave(p *Parts) (map[v1.Hash]bool, error) {
	if l.elsewhere == nil {
		return nil, nil
	}
	absent, learned := map[v1.Hash]bool{}, map[string][]v1.Descriptor{}
	for _, part := range p.Blobs {
		if l.has(part.Descriptor) {
			continue
		}
		if m, ok := part.Layer.(*remote.MountableLayer); ok {
			at := m.Reference.Context().Name()
			absent[part.Digest], learned[at] = true, append(learned[at], part.Descriptor)
		} else if l.lies(part.Descriptor) {
			absent[part.Digest] = true
		}
	}
	for at, blobs := range learned {
		if err := l.elsewhere.PutElsewhere(at, blobs); err != nil {
			return nil, err
		}
	}
	return absent, nil
}

func (l *layout) has(d v1.Descriptor) bool {
	size, ok := l.blobs.Has(d.Digest.String())
	return ok && size == d.Size
}

// lies reports whether a blob is known to lie elsewhere.
func (l *layout) lies(d v1.Descriptor) bool {
	if l.elsewhere == nil {
		return false
	}
	size, at := l.elsewhere.Elsewhere(d.Digest.String())
	return len(at) > 0 && size == d.Size
}

func (l *layout) writeBlobs(ctx context.Context, p *Parts, absent map[v1.Hash]bool, sent *Tally) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCopy)
	for _, part := range p.Blobs {
		if absent[part.Digest] || l.has(part.Descriptor) {
			continue
		}
		sent.Expect(part)
		g.Go(func() error {
			if err := l.write(ctx, part, sent); err != nil {
				return fmt.Errorf("%s: %w", part, err)
			}
			sent.Part(part)
			return nil
		})
	}
	return g.Wait()
}

func (l *layout) write(ctx context.Context, p Part, sent *Tally) error {
	rc, err := blob.Open(ctx, p, sent.Bytes)
	if err != nil {
		return err
	}
	defer rc.Close()
	digest := p.Digest.String()
	if _, ok := l.blobs.Has(digest); !ok {
		return blob.Copy(l.blobs, digest, rc)
	}
	_, err = io.Copy(io.Discard, rc) // a layer that keeps itself as it is read
	return err
}

// Check reads back what the index and the blobs say. A name whose image has lost
// blobs is not there.
func (l *layout) Check(_ context.Context, name string) (Receipt, error) {
	index, err := l.index.ReadIndex()
	if err != nil {
		return Receipt{}, fmt.Errorf("check %s: %w", name, err)
	}
	i := slices.IndexFunc(index.Manifests, named(name))
	if i < 0 {
		return Receipt{}, nil
	}
	digest := index.Manifests[i].Digest.String()
	if configs, ok := l.whole(digest, true); ok {
		return Receipt{Digest: digest, Configs: configs}, nil
	}
	return Receipt{}, nil
}

// whole reads which images a manifest leads to, if all their blobs are there: their configs' digests. A damaged manifest
// is one that is not there.
func (l *layout) whole(digest string, outer bool) (configs []string, ok bool) {
	raw, ok := blob.Read(l.blobs, digest, maxManifest)
	var m struct {
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if !ok || json.Unmarshal(raw, &m) != nil {
		return nil, false
	}
	for _, d := range m.Manifests {
		one, ok := l.whole(d.Digest.String(), false)
		if !ok || !outer { // ours are one level deep
			return nil, false
		}
		configs = append(configs, one...)
	}
	if len(m.Manifests) > 0 {
		return configs, true
	}
	for _, d := range m.Layers {
		if !l.has(d) && !l.lies(d) {
			return nil, false
		}
	}
	if !l.has(m.Config) {
		return nil, false
	}
	return []string{m.Config.Digest.String()}, true
}

// entryOf finds all entries of a name.
func entryOf(name string) func(v1.Descriptor) bool {
	return func(d v1.Descriptor) bool { return named(name)(d) || d.Annotations[aliasOf] == name }
}

func named(name string) func(v1.Descriptor) bool {
	return func(d v1.Descriptor) bool { return d.Annotations[refName] == name }
}
