// Package containerd puts images into a containerd, for whoever runs containers without Docker: ctr, nerdctl, k3s, the
// node of a kind cluster.
//
// Publish: under a lease, the blobs that containerd lacks -> manifests, labelled so that its garbage collector keeps
// what they name -> unpacked into the snapshotter -> the name. Then containerd is asked, and only if it has all of it
// is the image there.
//
// It reads no base images from there, never pulls, pushes or runs, and removes nothing.
package containerd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// Deps is where a Containerd is, and what is used of it.
type Deps struct {
	Address     string // socket: /run/containerd/containerd.sock
	Namespace   string // that images are in; CRI's is k8s.io
	Snapshotter string // that images are unpacked into; empty: the namespace's default, else overlayfs
}

// answers is how long containerd may take to accept a connection.
const answers = 5 * time.Second

// Containerd is one namespace of one containerd. Safe for concurrent use.
type Containerd struct {
	deps Deps

	mu  sync.Mutex
	api *client.Client // finds a containerd that was restarted by itself; nil: not used yet
}

var _ publish.Target = (*Containerd)(nil)

// New returns the containerd at an address. It does not connect.
func New(d Deps) *Containerd {
	d.Address = strings.TrimPrefix(d.Address, "unix://")
	return &Containerd{deps: d}
}

// Name is the target's name.
func (c *Containerd) Name() string { return "containerd" }

// connect returns a client, and ctx for calls in the namespace.
func (c *Containerd) connect(ctx context.Context) (*client.Client, context.Context, error) {
	if err := c.reach(ctx); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api == nil {
		api, err := client.New(c.deps.Address, client.WithTimeout(answers), client.WithDefaultNamespace(c.deps.Namespace))
		if err != nil {
			return nil, nil, c.explain(ctx, "connect", err)
		}
		c.api = api
	}
	return c.api, namespaces.WithNamespace(ctx, c.deps.Namespace), nil
}

// Close ends the connection.
func (c *Containerd) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api == nil {
		return nil
	}
	err := c.api.Close()
	c.api = nil
	return err
}

// Version asks which release it is.
func (c *Containerd) Version(ctx context.Context) (string, error) {
	api, ctx, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	v, err := api.Version(ctx)
	if err != nil {
		return "", c.explain(ctx, "ask", err)
	}
	return v.Version, nil
}

// Publish makes name mean content. Of an index all images are there, and the one for this machine, else the first, is unpacked.
func (c *Containerd) Publish(ctx context.Context, name string, content publish.Content, report progress.Func) (publish.Receipt, error) {
	r, err := c.publish(ctx, name, content, report)
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("put %s into containerd: %w", name, err)
	}
	return r, nil
}

func (c *Containerd) publish(ctx context.Context, name string, content publish.Content, report progress.Func) (publish.Receipt, error) {
	full, err := parse(name)
	if err != nil {
		return publish.Receipt{}, err
	}
	p, err := publish.PartsOf(content)
	if err != nil {
		return publish.Receipt{}, err
	}
	api, own, err := c.connect(ctx)
	if err != nil {
		return publish.Receipt{}, err
	}
	in := &ingest{Containerd: c, api: api, name: full, parts: p, sent: publish.NewTally(c.Name(), report)}
	if err := in.run(own); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return publish.Receipt{}, err
	}
	r, err := c.check(own, api, full)
	if err == nil && r.Digest != p.Digest.String() {
		err = fmt.Errorf("containerd took %s, but says that it has %q, or not all of it", p.Digest, r.Digest)
	}
	if err != nil {
		return publish.Receipt{}, err
	}
	in.sent.Done(&r)
	return r, nil
}

// Check asks what name means there. An image that lacks a blob, or is not unpacked, is not there.
func (c *Containerd) Check(ctx context.Context, name string) (publish.Receipt, error) {
	r, err := c.ask(ctx, name)
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("check %s in containerd: %w", name, err)
	}
	return r, nil
}

func (c *Containerd) ask(ctx context.Context, name string) (publish.Receipt, error) {
	full, err := parse(name)
	if err != nil {
		return publish.Receipt{}, err
	}
	api, own, err := c.connect(ctx)
	if err != nil {
		return publish.Receipt{}, err
	}
	return c.check(own, api, full)
}

func (c *Containerd) check(ctx context.Context, api *client.Client, full string) (publish.Receipt, error) {
	rec, err := api.ImageService().Get(ctx, full)
	if errdefs.IsNotFound(err) {
		return publish.Receipt{}, nil
	}
	if err != nil {
		return publish.Receipt{}, c.explain(ctx, "ask for the image", err)
	}
	ok, err := whole(ctx, api, rec.Target, c.deps.Snapshotter)
	if err != nil {
		return publish.Receipt{}, c.explain(ctx, "ask for its content", err)
	}
	if !ok {
		return publish.Receipt{}, nil
	}
	return publish.Receipt{Digest: rec.Target.Digest.String()}, nil
}

// parse gives an image's name as containerd's clients write it: all of it.
func parse(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("not an image reference: %w", err)
	}
	return reference.TagNameOnly(named).String(), nil
}
