package buildkit

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Layer is one that a step left, kept as a blob.
type Layer struct {
	Digest    string
	DiffID    string
	Size      int64 // of the blob
	Installed int64 // of the tar
	Files     int
}

// layers executes the step and takes what it added.
//
// A BuildKit that has its images in a containerd store exports the difference to the image alone. One in an engine with a
// graph driver knows neither differences nor the OCI exporter: there the result becomes an image of the engine, is saved,
// and the layers that are not the image's own are taken.
func (r *run) layers(ctx context.Context) ([]Layer, error) {
	dir, err := os.MkdirTemp(r.m.deps.Tmp, "step-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var tars []string
	if r.c.info.Diff {
		tars, err = r.exportDiff(ctx, dir)
	} else {
		tars, err = r.exportImage(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	var out []Layer
	for _, name := range tars {
		l, err := r.keep(name)
		if err != nil {
			return nil, fmt.Errorf("keep a layer: %w", err)
		}
		if l.Files > 0 {
			out = append(out, l)
		}
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// exportDiff has BuildKit write an OCI layout with nothing in it but what the step added.
func (r *run) exportDiff(ctx context.Context, dir string) ([]string, error) {
	pr, pw := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := unpack(pr, dir, nil)
		pr.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		unpacked <- err
	}()
	err := r.solve(ctx, llb.Diff(r.base, r.result), client.ExportEntry{
		Type: client.ExporterOCI, Attrs: map[string]string{"compression": "uncompressed", "force-compression": "true"},
		Output: func(map[string]string) (io.WriteCloser, error) { return pw, nil },
	})
	pw.CloseWithError(err) // nil: the end
	if uerr := <-unpacked; err == nil && uerr != nil {
		err = fmt.Errorf("read what BuildKit exports: %w", uerr)
	}
	if err != nil {
		return nil, err
	}
	return layoutLayers(dir)
}

// layoutLayers lists the layers of the one image in an OCI layout.
func layoutLayers(dir string) ([]string, error) {
	var index ocispec.Index
	if err := readJSON(filepath.Join(dir, "index.json"), &index); err != nil {
		return nil, fmt.Errorf("read what BuildKit exports: %w", err)
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("read what BuildKit exports: %d images", len(index.Manifests))
	}
	at := func(d string) string { return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:")) }
	var m ocispec.Manifest
	if err := readJSON(at(index.Manifests[0].Digest.String()), &m); err != nil {
		return nil, fmt.Errorf("read what BuildKit exports: %w", err)
	}
	var out []string
	for _, l := range m.Layers {
		out = append(out, at(l.Digest.String()))
	}
	return out, nil
}

// exportImage has BuildKit make an image in the engine, and saves it.
func (r *run) exportImage(ctx context.Context, dir string) ([]string, error) {
	cfg, err := r.on.ConfigFile()
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, d := range cfg.RootFS.DiffIDs {
		own[d.Hex] = true
	}
	name := "imgspecd.local/result:" + strings.ToLower(rand.Text())
	defer func() { // also where a step was canceled just when its image was there
		if err := r.c.docker.Remove(context.WithoutCancel(ctx), name); err != nil {
			r.m.deps.Log.Debug("remove the image of a step's result", "image", name, "error", err)
		}
	}()
	err = r.solve(ctx, r.result, client.ExportEntry{Type: "moby", Attrs: map[string]string{"name": name}})
	if err != nil {
		return nil, err
	}
	rc, err := r.c.docker.Save(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if err := unpack(rc, dir, own); err != nil {
		return nil, fmt.Errorf("read what the engine saves: %w", err)
	}
	var images []struct{ Layers []string }
	if err := readJSON(filepath.Join(dir, "manifest.json"), &images); err != nil {
		return nil, fmt.Errorf("read what the engine saves: %w", err)
	}
	if len(images) != 1 || len(images[0].Layers) < len(cfg.RootFS.DiffIDs) {
		return nil, errors.New("read what the engine saves: it is not the step's image")
	}
	var out []string
	for _, l := range images[0].Layers[len(cfg.RootFS.DiffIDs):] {
		out = append(out, filepath.Join(dir, filepath.FromSlash(path.Clean("/"+l))))
	}
	return out, nil
}

// unpack writes the regular files of an archive below dir, but those whose SHA-256 is in skip.
func unpack(r io.Reader, dir string, skip map[string]bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only written through
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// What follows the archive's end is padding; its writer waits for it to be read.
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		name := filepath.FromSlash(path.Clean(h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			if err := root.MkdirAll(name, 0o755); err != nil {
				return err
			}
		case tar.TypeReg:
			if err := unpackFile(root, name, tr, skip); err != nil {
				return err
			}
		case tar.TypeSymlink: // of an older engine, for a layer that it saves twice
			if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			if err := root.Symlink(h.Linkname, name); err != nil {
				return err
			}
		}
	}
}

func unpackFile(root *os.Root, name string, r io.Reader, skip map[string]bool) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), r)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if skip[hex.EncodeToString(sum.Sum(nil))] {
		return root.Remove(name)
	}
	return nil
}

// keep writes a layer's tar as a blob, without what was mounted in the step.
func (r *run) keep(name string) (Layer, error) {
	f, err := os.Open(name)
	if err != nil {
		return Layer{}, err
	}
	defer f.Close()
	in, err := blob.Decompress(f)
	if err != nil {
		return Layer{}, err
	}
	defer in.Close()
	w, err := r.m.deps.Blobs.NewBlob()
	if err != nil {
		return Layer{}, err
	}
	defer w.Abort()
	size := &counter{w: w}
	z := gzip.NewWriter(size)
	diff := sha256.New()
	installed := &counter{w: io.MultiWriter(z, diff)}
	files, err := copyTar(installed, in, r.hidden(), r.missing())
	if err != nil {
		return Layer{}, err
	}
	if err := z.Close(); err != nil {
		return Layer{}, err
	}
	l := Layer{Digest: w.Digest(), DiffID: "sha256:" + hex.EncodeToString(diff.Sum(nil)), Size: size.n, Installed: installed.n, Files: files}
	if files == 0 {
		return l, nil
	}
	return l, w.Commit(l.Digest)
}

// copyTar copies an archive but for hidden paths, and for directories that are optional and have nothing in them. It counts entries.
func copyTar(w io.Writer, r io.Reader, hidden, optional map[string]bool) (int, error) {
	tr, tw := tar.NewReader(r), tar.NewWriter(w)
	n := 0
	var waiting []*tar.Header // directories that come along if anything in them does
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return n, tw.Close()
		}
		if err != nil {
			return n, err
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		if hidden[name] {
			continue
		}
		if optional[name] && h.Typeflag == tar.TypeDir {
			waiting = append(waiting, h)
			continue
		}
		waiting = slices.DeleteFunc(waiting, func(dir *tar.Header) bool {
			if !strings.HasPrefix(name, strings.Trim(path.Clean("/"+dir.Name), "/")+"/") {
				return false
			}
			if err == nil {
				err = tw.WriteHeader(dir)
				n++
			}
			return true
		})
		if err != nil {
			return n, err
		}
		if err := tw.WriteHeader(h); err != nil {
			return n, fmt.Errorf("%s: %w", h.Name, err)
		}
		if _, err := io.Copy(tw, tr); err != nil {
			return n, fmt.Errorf("%s: %w", h.Name, err)
		}
		n++
	}
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
