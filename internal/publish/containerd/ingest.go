package containerd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
)

const (
	// leaseFor is how long what was sent is kept if this process dies before it has a name. It is longer than any push.
	leaseFor = time.Hour
	parallel = 4
)

// ingest is one image on its way into a containerd.
type ingest struct {
	*Containerd
	api   *client.Client
	name  string // in full
	parts *publish.Parts
	sent  *publish.Tally
}

// run has the name last: until then it means what it did.
func (in *ingest) run(ctx context.Context) error {
	ctx, done, err := in.api.WithLease(ctx, leases.WithRandomID(), leases.WithExpiration(leaseFor))
	if err != nil {
		return in.explain(ctx, "take a lease", err)
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }() // it expires
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, b := range in.parts.Blobs {
		g.Go(func() error { return in.blob(gctx, b) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range append(in.parts.Images, in.parts) {
		if err := in.manifest(ctx, p); err != nil {
			return err
		}
	}
	rec := images.Image{Name: in.name, Target: descriptor(in.parts.Descriptor())}
	if err := in.unpack(ctx, rec); err != nil {
		return err
	}
	_, err = in.api.ImageService().Create(ctx, rec)
	if errdefs.IsAlreadyExists(err) {
		_, err = in.api.ImageService().Update(ctx, rec, "target")
	}
	if err != nil {
		return in.explain(ctx, "name the image", err)
	}
	return nil
}

// blob sends a layer or config, unless it is there.
func (in *ingest) blob(ctx context.Context, b publish.Part) error {
	there, err := in.holds(ctx, b.Descriptor)
	if there || err != nil {
		return err
	}
	in.sent.Expect(b)
	rc, err := blob.Open(ctx, b, in.sent.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	defer rc.Close()
	src := &blob.Source{R: rc}
	err = in.write(ctx, b.Descriptor, src, nil)
	if src.Err != nil {
		return fmt.Errorf("%s: %w", b, src.Err) // ours, not containerd's
	}
	if err != nil {
		return in.explain(ctx, b.String(), err)
	}
	in.sent.Part(b)
	return nil
}

// holds reports whether a blob is there; if so, the lease keeps it.
func (in *ingest) holds(ctx context.Context, d v1.Descriptor) (bool, error) {
	info, err := in.api.ContentStore().Info(ctx, digest.Digest(d.Digest.String()))
	if errdefs.IsNotFound(err) || (err == nil && info.Size != d.Size) {
		return false, nil
	}
	if err != nil {
		return false, in.explain(ctx, "ask for a blob", err)
	}
	if id, ok := leases.FromContext(ctx); ok {
		err = in.api.LeasesService().AddResource(ctx, leases.Lease{ID: id}, leases.Resource{ID: d.Digest.String(), Type: "content"})
	}
	if errdefs.IsNotFound(err) { // collected meanwhile
		return false, nil
	}
	if err != nil {
		return false, in.explain(ctx, "keep a blob", err)
	}
	return true, nil
}

// write puts one blob there. Its ingest has a name of this attempt's own: under one that an earlier attempt had, what that
// left may be locked, or not be the blob's bytes (after a power cut). content.WriteBlob is not used, for it waits without end
// for a lock, and just so for a containerd that is gone.
func (in *ingest) write(ctx context.Context, d v1.Descriptor, r io.Reader, labels map[string]string) error {
	lease, _ := leases.FromContext(ctx)
	w, err := in.api.ContentStore().Writer(ctx, content.WithRef("imgspecd-"+lease+"-"+d.Digest.Hex), content.WithDescriptor(descriptor(d)))
	if errdefs.IsAlreadyExists(err) {
		return nil // another sent it meanwhile
	}
	if err != nil {
		return err
	}
	defer w.Close()
	return content.Copy(ctx, w, r, d.Size, digest.Digest(d.Digest.String()), content.WithLabels(labels))
}

// manifest sends a manifest or index with labels that keep what it names: without them the next collection takes it.
func (in *ingest) manifest(ctx context.Context, p *publish.Parts) error {
	d, labels := p.Descriptor(), map[string]string{}
	for i, one := range p.Images {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.m.%d", i)] = one.Digest.String()
	}
	if p.Parsed != nil {
		labels["containerd.io/gc.ref.content.config"] = p.Parsed.Config.Digest.String()
		for i, l := range p.Parsed.Layers {
			labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = l.Digest.String()
		}
	}
	there, err := in.holds(ctx, d)
	if err != nil {
		return err
	}
	if !there {
		if err := in.write(ctx, d, bytes.NewReader(p.Manifest), labels); err != nil {
			return in.explain(ctx, "manifest", err)
		}
		in.sent.Bytes(int64(len(p.Manifest)))
		return nil
	}
	var paths []string
	for l := range labels {
		paths = append(paths, "labels."+l)
	}
	if _, err := in.api.ContentStore().Update(ctx, content.Info{Digest: digest.Digest(d.Digest.String()), Labels: labels}, paths...); err != nil {
		return in.explain(ctx, "label the manifest", err)
	}
	return nil
}

// unpack makes snapshots of the layers, of which those that are there are not made again.
func (in *ingest) unpack(ctx context.Context, rec images.Image) error {
	img := client.NewImageWithPlatform(in.api, rec, choose(platformsOf(in.parts)))
	if err := img.Unpack(ctx, in.deps.Snapshotter); err != nil {
		return in.explain(ctx, "unpack", err)
	}
	return nil
}

func platformsOf(p *publish.Parts) []ocispec.Platform {
	var out []ocispec.Platform
	for _, one := range append(p.Images, p) {
		if one.Platform != nil {
			out = append(out, ocispec.Platform{OS: one.Platform.OS, Architecture: one.Platform.Architecture, Variant: one.Platform.Variant, OSVersion: one.Platform.OSVersion})
		}
	}
	return out
}

// choose is which of several platforms is unpacked: this machine's, else the first.
func choose(all []ocispec.Platform) platforms.MatchComparer {
	host := platforms.Default()
	for _, p := range all {
		if host.Match(p) {
			return host
		}
	}
	if len(all) == 0 {
		return host
	}
	return platforms.OnlyStrict(all[0])
}

func descriptor(d v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}
