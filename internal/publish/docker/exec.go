package docker

import (
	"context"
	"io"
	"net"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// What internal/builder/buildkit needs of an engine to execute steps by the BuildKit inside it.

// DialBuildKit opens a connection to the engine's own BuildKit: path is "/grpc" for its API,
// "/session" for one that it calls back on.
func (d *Docker) DialBuildKit(ctx context.Context, path, proto string, meta map[string][]string) (net.Conn, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.api.DialHijack(ctx, path, proto, meta)
	if err != nil {
		return nil, c.explain(ctx, "reach its BuildKit", err)
	}
	return conn, nil
}

// Stores reports whether the engine keeps images in a containerd store. Such an engine's BuildKit can
// tell a step's result from what it was executed on.
func (d *Docker) Stores(ctx context.Context) (bool, error) {
	i, err := d.Info(ctx)
	return i.Containerd, err
}

// Load makes name mean img, for steps to be executed on.
func (d *Docker) Load(ctx context.Context, name string, img v1.Image) error {
	_, err := d.Publish(ctx, name, img, progress.Discard)
	return err
}

// Save opens an image as `docker save` gives it.
func (d *Docker) Save(ctx context.Context, name string) (io.ReadCloser, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	rc, err := c.api.ImageSave(ctx, []string{name})
	if err != nil {
		return nil, c.explain(ctx, "save", err)
	}
	return rc, nil
}

// Remove takes a name away, and the image if it has no other.
func (d *Docker) Remove(ctx context.Context, name string) error {
	c, err := d.connect(ctx)
	if err != nil {
		return err
	}
	if _, err := c.api.ImageRemove(ctx, name, client.ImageRemoveOptions{}); err != nil {
		return c.explain(ctx, "remove "+name, err)
	}
	return nil
}
