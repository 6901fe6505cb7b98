package buildkit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// storeName is what BuildKit calls the images that it reads from us.
const storeName = "imgspecd"

// source makes an image the state that a step starts from. A Docker engine gets it under a name of ours, since BuildKit
// in an engine with a graph driver knows no other way. The name is this step's alone, and is taken away by done.
func (m *Machine) source(ctx context.Context, c *conn, img v1.Image, p ocispec.Platform) (state llb.State, stores map[string]content.Store, done func(), err error) {
	d, err := img.Digest()
	if err != nil {
		return llb.State{}, nil, nil, err
	}
	if c.docker == nil {
		s := &imageStore{img: img, blobs: m.deps.Blobs}
		at := "imgspecd.local/image@" + d.String()
		return llb.OCILayout(at, llb.OCIStore("", storeName), llb.Platform(p)), map[string]content.Store{storeName: s}, func() {}, nil
	}
	name := "imgspecd.local/step:" + strings.ToLower(rand.Text())
	if err := c.docker.Load(ctx, name, img); err != nil {
		return llb.State{}, nil, nil, err
	}
	done = func() {
		// The step may have been canceled; the name goes all the same.
		if err := c.docker.Remove(context.WithoutCancel(ctx), name); err != nil {
			m.deps.Log.Debug("remove the image of a step", "image", name, "error", err)
		}
	}
	return llb.Image(name, llb.ResolveModePreferLocal, llb.Platform(p)), nil, done, nil
}

// imageStore is an image as BuildKit reads it: it asks for the blobs that it does not have.
type imageStore struct {
	content.Store // nil: BuildKit only reads
	img           v1.Image
	blobs         blob.Store
}

// Info says how big a blob is.
func (s *imageStore) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	if b, ok, err := s.small(d); ok || err != nil {
		return content.Info{Digest: d, Size: int64(len(b))}, err
	}
	h, err := v1.NewHash(d.String())
	if err != nil {
		return content.Info{}, err
	}
	l, err := s.img.LayerByDigest(h)
	if err != nil {
		return content.Info{}, fmt.Errorf("%w: %w", errdefs.ErrNotFound, err)
	}
	size, err := l.Size()
	return content.Info{Digest: d, Size: size}, err
}

// small is the manifest or the config.
func (s *imageStore) small(d digest.Digest) ([]byte, bool, error) {
	for _, raw := range []func() ([]byte, error){s.img.RawManifest, s.img.RawConfigFile} {
		b, err := raw()
		if err != nil {
			return nil, false, err
		}
		if digest.FromBytes(b) == d {
			return b, true, nil
		}
	}
	return nil, false, nil
}

// ReaderAt opens a blob. A layer that lies elsewhere is brought here first: BuildKit reads in pieces.
func (s *imageStore) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	if b, ok, err := s.small(desc.Digest); err != nil {
		return nil, err
	} else if ok {
		return &bytesReader{strings.NewReader(string(b))}, nil
	}
	h, err := v1.NewHash(desc.Digest.String())
	if err != nil {
		return nil, err
	}
	if _, ok := s.blobs.Has(h.String()); !ok {
		if err := s.bring(ctx, h); err != nil {
			return nil, err
		}
	}
	f, err := s.blobs.OpenBlob(h.String())
	if err != nil {
		return nil, err
	}
	return newFileReader(f)
}

func (s *imageStore) bring(ctx context.Context, h v1.Hash) error {
	l, err := s.img.LayerByDigest(h)
	if err != nil {
		return fmt.Errorf("%w: %w", errdefs.ErrNotFound, err)
	}
	rc, err := blob.Open(ctx, l, nil)
	if err != nil {
		return err
	}
	defer rc.Close()
	// Images from a registry keep what is read of them; others are kept by the copy.
	if _, ok := s.blobs.Has(h.String()); ok {
		return nil
	}
	return blob.Copy(s.blobs, h.String(), rc)
}

type bytesReader struct{ *strings.Reader }

func (*bytesReader) Close() error { return nil }

type fileReader struct {
	*os.File
	size int64
}

func newFileReader(f *os.File) (*fileReader, error) {
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &fileReader{f, st.Size()}, nil
}

func (f *fileReader) Size() int64 { return f.size }

// platform parses "linux/arm64/v8".
func platform(s string) ocispec.Platform {
	p := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	parts := strings.Split(s, "/")
	if len(parts) > 1 {
		p.OS, p.Architecture = parts[0], parts[1]
	}
	if len(parts) > 2 {
		p.Variant = parts[2]
	}
	return p
}

// readJSON reads a small file.
func readJSON(name string, v any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, 16<<20)).Decode(v)
}
