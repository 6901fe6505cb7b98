// Package docker puts images into a Docker engine, and reads base images that only
// it has.
//
// Publish: what the engine lacks is found out (present.go) -> one archive with only
// that, which describes the image in both of Docker's languages (archive.go) -> load
// -> inspect, and only if the engine then has the whole image is it there. If it has
// not, everything is sent.
//
// Engines keep images in one of two ways. A graph driver (overlay2; all engines
// before 29 by default) knows layers by the chain of their diff IDs and calls an image
// by its config's digest. The containerd image store knows blobs by digest and calls
// an image by its manifest's.
//
// All use of the engine's API is here. It never pulls, pushes, builds or runs, and
// removes no image but one whose name it took away itself.
package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// Deps is what a Docker works with.
type Deps struct {
	Host         string     // where the engine answers: unix:///var/run/docker.sock, tcp://host:2376
	CertDir      string     // with ca.pem, cert.pem and key.pem, for TLS; empty: none
	KeepReplaced bool       // leave an image without a name that loses its only one to a newer image
	None         error      // why there is no engine, though Host names one; nil: there may be
	Blobs        blob.Store // where images read from the engine are kept, and manifests of images it may have are found
}

// Docker is one engine. Safe for concurrent use.
type Docker struct {
	deps Deps

	mu      sync.Mutex
	api     *client.Client
	speaks  string               // the engine's newest API version, when it was last asked
	chains  map[string][]v1.Hash // diff IDs by image ID, of a graph driver; they never change
	recent  []string             // IDs of what was published, newest first
	sent    []string             // IDs of what was put there from here, newest last; see Watch
	removed []string             // likewise of what was taken away
}

var _ publish.Target = (*Docker)(nil)

// New returns the engine at a host. It does not connect.
func New(d Deps) (*Docker, error) {
	api, err := dial(d)
	if err != nil {
		return nil, fmt.Errorf("docker host %s: %w", d.Host, err)
	}
	return &Docker{deps: d, api: api, chains: map[string][]v1.Hash{}}, nil
}

func dial(d Deps) (*client.Client, error) {
	opts := []client.Opt{client.WithHost(d.Host), client.WithUserAgent("imgspecd")}
	if d.CertDir != "" {
		opts = append(opts, client.WithTLSClientConfig(
			filepath.Join(d.CertDir, "ca.pem"), filepath.Join(d.CertDir, "cert.pem"), filepath.Join(d.CertDir, "key.pem")))
	}
	if d.None != nil {
		opts = append(opts, client.WithDialContext(func(context.Context, string, string) (net.Conn, error) { return nil, d.None }))
	}
	return client.New(opts...)
}

// Dial opens a plain connection to the engine, for requests that are passed on as they are.
func (d *Docker) Dial(ctx context.Context) (net.Conn, error) {
	d.mu.Lock()
	api := d.api
	d.mu.Unlock()
	if d.deps.None != nil {
		return nil, d.deps.None
	}
	conn, err := api.Dialer()(ctx)
	if err != nil {
		return nil, &goneError{d.deps.Host, err}
	}
	return conn, nil
}

// conn is the engine as it was when a call began.
type conn struct {
	*Docker
	api *client.Client
	// tells: the API is new enough to say which manifests are wholly there (28.0);
	// of an older containerd store that can only be guessed.
	tells bool
}

// connect asks whether the engine is there, and begins anew if it is now another: the
// client settles the API's version only once.
func (d *Docker) connect(ctx context.Context) (*conn, error) {
	d.mu.Lock()
	api, speaks := d.api, d.speaks
	d.mu.Unlock()
	r, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err == nil && speaks != "" && speaks != r.APIVersion {
		if api, err = dial(d.deps); err == nil {
			r, err = api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		}
	}
	if err != nil {
		return nil, d.explain(ctx, "ask", err)
	}
	d.mu.Lock()
	d.api, d.speaks = api, r.APIVersion
	d.mu.Unlock()
	return &conn{d, api, versions.GreaterThanOrEqualTo(api.ClientVersion(), "1.48")}, nil
}

// Close ends idle connections.
func (d *Docker) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.api.Close()
}

// Name is the target's name.
func (d *Docker) Name() string { return "docker" }

// Info is what an engine says of itself.
type Info struct {
	Version    string // 29.1.0
	API        string // 1.52: the one in use
	Driver     string // overlay2; of a containerd store, its snapshotter
	Containerd bool   // images are kept in a containerd image store
	Platform   string // linux/amd64
}

// Info asks the engine.
func (d *Docker) Info(ctx context.Context) (Info, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return Info{}, err
	}
	return c.info(ctx)
}

func (c *conn) info(ctx context.Context) (Info, error) {
	r, err := c.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Info{}, c.explain(ctx, "ask", err)
	}
	return Info{
		Version: r.Info.ServerVersion, API: c.api.ClientVersion(), Driver: r.Info.Driver,
		Containerd: slices.Contains(r.Info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}),
		Platform:   r.Info.OSType + "/" + goArch(r.Info.Architecture),
	}, nil
}

// goArch names a machine (uname -m) as images do.
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	}
	return machine
}

// Publish makes name mean content in the engine. A graph driver has no indexes: there it means the image for the engine's
// own platform, as after a pull; if there is none, the first.
func (d *Docker) Publish(ctx context.Context, name string, content publish.Content, report progress.Func) (publish.Receipt, error) {
	r, err := d.publish(ctx, name, content, report)
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("load %s into Docker: %w", name, err)
	}
	return r, nil
}

func (d *Docker) publish(ctx context.Context, name string, content publish.Content, report progress.Func) (publish.Receipt, error) {
	ref, err := parse(name)
	if err != nil {
		return publish.Receipt{}, err
	}
	p, err := publish.PartsOf(content)
	if err != nil {
		return publish.Receipt{}, err
	}
	c, err := d.connect(ctx)
	if err != nil {
		return publish.Receipt{}, err
	}
	info, err := c.info(ctx) // each time: the engine may have been restarted as another
	if err != nil {
		return publish.Receipt{}, err
	}
	l := &load{conn: c, ref: ref, parts: p, info: info, sent: publish.NewTally(d.Name(), report)}
	if !info.Containerd {
		l.choose()
	}
	if err := l.run(ctx); err != nil {
		return publish.Receipt{}, err
	}
	r := publish.Receipt{Digest: l.want()}
	l.sent.Done(&r)
	return r, nil
}

// Check asks what the engine has under a name. An image whose content is not whole is
// not there.
func (d *Docker) Check(ctx context.Context, name string) (publish.Receipt, error) {
	ref, err := parse(name)
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("check %s in Docker: %w", name, err)
	}
	c, err := d.connect(ctx)
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("check %s in Docker: %w", name, err)
	}
	i, err := c.inspect(ctx, ref.String())
	if err != nil {
		return publish.Receipt{}, fmt.Errorf("check %s in Docker: %w", name, err)
	}
	if i == nil || !i.whole {
		return publish.Receipt{}, nil
	}
	return publish.Receipt{Digest: i.id}, nil
}

// parse reads an image's name as Docker does: no registry means docker.io, no tag latest.
func parse(name string) (reference.NamedTagged, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("not an image reference: %w", err)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, errors.New("not an image reference: a tag is needed, not a digest")
	}
	return tagged, nil
}

// image is what an engine says of one image.
type image struct {
	id        string
	tags      []string
	diffIDs   []v1.Hash
	stored    bool      // in a containerd store
	whole     bool      // all its content is there
	manifests []v1.Hash // that are wholly there; of a containerd store that tells
}

// inspect asks for one image; nil when there is none.
func (c *conn) inspect(ctx context.Context, ref string) (*image, error) {
	var opts []client.ImageInspectOption
	if c.tells {
		opts = append(opts, client.ImageInspectWithManifests(true))
	}
	r, err := c.api.ImageInspect(ctx, ref, opts...)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(ctx, "inspect", err)
	}
	i := &image{id: r.ID, tags: r.RepoTags, stored: r.Descriptor != nil, whole: true}
	for _, l := range r.RootFS.Layers {
		h, err := v1.NewHash(l)
		if err != nil {
			return nil, fmt.Errorf("inspect: %w", err)
		}
		i.diffIDs = append(i.diffIDs, h)
	}
	if !i.stored || !c.tells { // a graph driver: what it knows is there
		return i, nil
	}
	i.manifests, i.whole, err = available(r.Manifests)
	return i, err
}
