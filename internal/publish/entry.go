package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/progress"
)

const (
	// maxEntry bounds the manifest of an entry, and what it says.
	maxEntry = 2 << 20
	// maxData bounds what stands in the manifest itself: registries take 4 MiB at least, some by the letter.
	maxData = 256 << 10
)

// Entry is what stands in a repository under a tag of its own: an OCI image manifest whose config is About, of a media type
// that is the entry's artifact type too, and whose layers are what About is about. About stands in the manifest besides
// (OCI 1.1's data), so that it is read in one request.
type Entry struct {
	Type   string
	About  []byte // JSON
	Layers []v1.Descriptor
}

// Depot is a repository of entries. Safe for concurrent use.
type Depot struct {
	name        name.Repository
	reads, puts *repo // who may only read may be refused a token to push
}

// NewDepot returns the depot of a repository ("registry/repository").
func NewDepot(d RegistryDeps, repository string) (*Depot, error) {
	n, err := parseRepository(d, repository)
	if err != nil {
		return nil, err
	}
	r := &Depot{name: n, reads: newRepo(n, d.Keychain, d.Transport), puts: newRepo(n, d.Keychain, d.Transport)}
	r.reads.scope = transport.PullScope
	return r, nil
}

func parseRepository(d RegistryDeps, repository string) (name.Repository, error) {
	n, err := name.NewRepository(repository)
	if err == nil && d.Insecure != nil && d.Insecure(n.RegistryStr()) {
		n, err = name.NewRepository(repository, name.Insecure)
	}
	if err != nil {
		return n, fmt.Errorf("not a repository: %w", err)
	}
	return n, nil
}

// Repository is where the entries are.
func (d *Depot) Repository() name.Repository { return d.name }

// entryManifest is the manifest of an entry. go-containerregistry's has no artifact type.
type entryManifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	ArtifactType  string          `json:"artifactType"`
	Config        v1.Descriptor   `json:"config"`
	Layers        []v1.Descriptor `json:"layers"`
}

// Get reads the entry of a type under a tag; false when there is none. It asks once.
func (d *Depot) Get(ctx context.Context, tag, mediaType string) (Entry, bool, error) {
	raw, ok, err := d.read(ctx, "manifests/"+tag)
	if !ok || err != nil {
		return Entry{}, false, err
	}
	var m entryManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Entry{}, false, &EntryError{Tag: tag, Reason: "its manifest is not JSON"}
	}
	if string(m.Config.MediaType) != mediaType {
		return Entry{}, false, &EntryError{Tag: tag, Reason: fmt.Sprintf("its config is a %s, not a %s", m.Config.MediaType, mediaType)}
	}
	about := m.Config.Data
	if len(about) == 0 { // it was long, or the registry has made the manifest anew
		if about, ok, err = d.read(ctx, "blobs/"+m.Config.Digest.String()); err != nil {
			return Entry{}, false, err
		} else if !ok {
			return Entry{}, false, &EntryError{Tag: tag, Reason: "its config is not there"}
		}
	}
	if got := blob.Digest(about); got != m.Config.Digest.String() {
		return Entry{}, false, &EntryError{Tag: tag, Reason: fmt.Sprintf("its config has the digest %s, not %s", got, m.Config.Digest)}
	}
	e := Entry{Type: mediaType, About: about, Layers: m.Layers}
	if len(m.Layers) == 1 && m.Layers[0].Digest == m.Config.Digest {
		e.Layers = nil
	}
	return e, true, nil
}

// EntryError is an entry that makes no sense.
type EntryError struct{ Tag, Reason string }

func (e *EntryError) Error() string { return "entry " + e.Tag + ": " + e.Reason }

func (d *Depot) read(ctx context.Context, path string) ([]byte, bool, error) {
	resp, err := d.reads.do(ctx, request{
		method: http.MethodGet, url: d.reads.url(path), header: http.Header{"Accept": {string(types.OCIManifestSchema1)}},
		accept: []int{http.StatusOK, http.StatusNotFound},
	})
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		drain(resp)
		return nil, false, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxEntry+1))
	if err == nil && len(b) > maxEntry {
		err = fmt.Errorf("%s of %s is longer than %d bytes", path, d.name, maxEntry)
	}
	return b, err == nil, err
}

// Put puts an entry with its layers under a tag, unless there is one. A layer is mounted from a repository of the same
// registry when from names one ("registry/repository"), else sent.
func (d *Depot) Put(ctx context.Context, tag string, e Entry, layers []v1.Layer, from string) (sent int64, err error) {
	there, err := d.puts.digest(ctx, tag)
	if there != "" || err != nil {
		return 0, err
	}
	mount := ""
	if n, err := name.NewRepository(from); err == nil && n.RegistryStr() == d.name.RegistryStr() && n.RepositoryStr() != d.name.RepositoryStr() {
		mount = n.RepositoryStr()
	}
	tally := NewTally("cache", progress.Discard)
	for i, l := range layers {
		part := Part{Descriptor: e.Layers[i], Layer: l}
		if err := d.bring(ctx, part, mount, tally); err != nil {
			return 0, fmt.Errorf("%s: %w", part, err)
		}
	}
	m, err := e.parts()
	if err != nil {
		return 0, err
	}
	if err := d.puts.upload(ctx, m.Blobs[0], nil, false, tally); err != nil {
		return 0, fmt.Errorf("config: %w", err)
	}
	var r Receipt
	tally.Done(&r)
	return r.SentBytes, d.puts.putManifest(ctx, tag, m)
}

// bring makes the blob of a layer be in the repository.
func (d *Depot) bring(ctx context.Context, p Part, mount string, tally *Tally) error {
	if mount != "" {
		return d.puts.upload(ctx, p, []string{mount}, false, tally)
	}
	if there, err := d.puts.has(ctx, p.Digest); there || err != nil {
		return err
	}
	return d.puts.upload(ctx, p, nil, true, tally)
}

// parts is the entry as it is sent. Not all registries take a manifest without a layer: then it is its config.
func (e Entry) parts() (*Parts, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(e.About))
	if err != nil {
		return nil, err
	}
	config := v1.Descriptor{MediaType: types.MediaType(e.Type), Digest: digest, Size: size}
	p := &Parts{MediaType: types.OCIManifestSchema1, Blobs: []Part{{Descriptor: config, Bytes: e.About}}}
	m := entryManifest{SchemaVersion: 2, MediaType: p.MediaType, ArtifactType: e.Type, Config: config, Layers: e.Layers}
	if len(e.Layers) == 0 {
		m.Layers = []v1.Descriptor{config}
	}
	if size <= maxData {
		m.Config.Data = e.About
	}
	if p.Manifest, err = json.Marshal(m); err != nil {
		return nil, err
	}
	p.Digest, err = v1.NewHash(blob.Digest(p.Manifest))
	return p, err
}

// Writable reports whether an entry could be put here: an upload is begun and given up.
func (d *Depot) Writable(ctx context.Context) error { return d.puts.probe(ctx) }

// Readable reports whether entries can be read here: one that cannot be there is asked for.
func (d *Depot) Readable(ctx context.Context) error {
	_, _, err := d.read(ctx, "manifests/"+emptyHash)
	return err
}

// Puller opens blobs that lie in repositories. Safe for concurrent use.
type Puller struct{ repos *registry }

// NewPuller returns a Puller.
func NewPuller(d RegistryDeps) *Puller {
	return &Puller{&registry{deps: d, repos: map[string]*repo{}, scope: transport.PullScope}}
}

// ErrNoBlob says that a repository does not have a blob.
var ErrNoBlob = errors.New("the blob is not there")

// Open opens a blob of a repository ("registry/repository"), until ctx ends. Its digest is for the reader to check.
func (p *Puller) Open(ctx context.Context, repository string, h v1.Hash) (io.ReadCloser, error) {
	n, err := parseRepository(p.repos.deps, repository)
	if err != nil {
		return nil, err
	}
	from := p.repos.repo(n)
	var resp *http.Response
	err = retry(ctx, func() (err error) {
		resp, err = from.do(ctx, request{ //nolint:bodyclose // its body is what is returned
			method: http.MethodGet, url: from.url("blobs/" + h.String()), accept: []int{http.StatusOK, http.StatusNotFound},
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read blob %s of %s: %w", h, repository, err)
	}
	if resp.StatusCode == http.StatusNotFound {
		drain(resp)
		return nil, fmt.Errorf("read blob %s of %s: %w", h, repository, ErrNoBlob)
	}
	return resp.Body, nil
}
