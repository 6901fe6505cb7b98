// Package buildkit executes what must be executed, in containers of a BuildKit: the Docker engine's own, or a buildkitd.
//
// A step (plan.Step) runs on an image. The image is handed to BuildKit (source.go): thin, into a Docker engine, or blob
// by blob as BuildKit asks for them. The step runs with caches, secrets, the host's proxies and CA bundle, none of which
// stay in what it leaves (run.go). What it leaves is taken as layers on top of the image (layers.go), or as the files of
// one directory.
//
// It never executes anything on the host, pulls no frontend, and decides neither what is executed nor when.
package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://NAME
	_ "github.com/moby/buildkit/client/connhelper/kubepod"         // kube-pod://NAME?namespace=
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer" // podman-container://NAME
	_ "github.com/moby/buildkit/client/connhelper/ssh"             // ssh://[USER@]HOST

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Engine is a Docker engine, as far as its BuildKit needs it.
type Engine interface {
	DialBuildKit(ctx context.Context, path, proto string, meta map[string][]string) (net.Conn, error)
	// Stores reports whether images are kept in a containerd store.
	Stores(ctx context.Context) (bool, error)
	Load(ctx context.Context, name string, img v1.Image) error
	Save(ctx context.Context, name string) (io.ReadCloser, error)
	Remove(ctx context.Context, name string) error
}

// Deps is what a Machine works with.
type Deps struct {
	Docker   Engine   // whose BuildKit is used where there is no Address; nil: none
	Address  string   // of a buildkitd: unix://, tcp://, docker-container://, kube-pod://, podman-container://, ssh://
	Default  []string // addresses that are tried when Docker does not answer
	TLS      TLS      // of tcp://
	Blobs    blob.Store
	Tmp      string         // a directory for what passes through
	Keychain authn.Keychain // logins at registries; nil: none
	SSH      string         // socket of an agent that git over SSH asks; empty: none
	CA       []byte         // PEM bundle that steps see; may be empty
	Proxy    Proxy
	Log      *slog.Logger
}

// TLS is files in PEM format; empty: none.
type TLS struct{ CA, Cert, Key, ServerName string }

// Proxy is what steps that need a network are told, as in the variables of these names.
type Proxy struct{ HTTP, HTTPS, FTP, No, All string }

// Machine is the BuildKit that is there. It keeps no connection: each step has its own, so that what becomes of one concerns no
// other. Safe for concurrent use.
type Machine struct{ deps Deps }

// New returns a Machine.
func New(d Deps) *Machine { return &Machine{deps: d} }

// Info is what a BuildKit says of itself.
type Info struct {
	From      string   // docker, or the address of a buildkitd
	Why       string   // why it is this one
	Version   string   // empty where it does not say
	Platforms []string // that steps can be executed for
	Diff      bool     // it can tell a step's result from what it was executed on
}

// Executes reports whether there is a BuildKit that executes steps for a platform.
func (m *Machine) Executes(ctx context.Context, platform string) bool {
	i, err := m.Info(ctx)
	return err == nil && i.executes(platform)
}

// ErrNone is for a machine without BuildKit.
var ErrNone = errors.New("there is no BuildKit")

// Info connects and asks.
func (m *Machine) Info(ctx context.Context) (Info, error) {
	c, err := m.find(ctx)
	if err != nil {
		return Info{}, err
	}
	return c.info, c.Close()
}

// ReachError is a BuildKit that is named and does not answer.
type ReachError struct {
	Address string
	Err     error
}

func (e *ReachError) Error() string {
	return fmt.Sprintf("reach the BuildKit at %s (buildkit.address): %v", e.Address, e.Err)
}
func (e *ReachError) Unwrap() error { return e.Err }

// conn is a connection to one BuildKit.
type conn struct {
	*client.Client
	docker Engine // nil: a buildkitd
	info   Info
}

const dialTime = 5 * time.Second

// find connects to what the configuration names, or else what there may be, in order.
func (m *Machine) find(ctx context.Context) (*conn, error) {
	if m.deps.Address != "" {
		c, err := m.dial(ctx, m.deps.Address)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, &ReachError{m.deps.Address, err}
		}
		c.info.Why = "buildkit.address names it"
		return c, nil
	}
	var tried []string
	if m.deps.Docker != nil {
		c, err := m.dialDocker(ctx)
		if err == nil {
			c.info.Why = "the Docker engine has it"
			return c, nil
		}
		tried = append(tried, "docker: "+err.Error())
	}
	for _, address := range m.deps.Default {
		c, err := m.dial(ctx, address)
		if err == nil {
			c.info.Why = "no Docker engine answers, and this address is a usual one"
			return c, nil
		}
		tried = append(tried, address+": "+err.Error())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%w: %s", ErrNone, strings.Join(tried, "; "))
}

func (m *Machine) dialDocker(ctx context.Context) (*conn, error) {
	d := m.deps.Docker
	stores, err := d.Stores(ctx)
	if err != nil {
		return nil, err
	}
	cl, err := client.New(ctx, "",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return d.DialBuildKit(ctx, "/grpc", "h2c", nil)
		}),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return d.DialBuildKit(ctx, "/session", proto, meta)
		}))
	if err != nil {
		return nil, err
	}
	c := &conn{Client: cl, docker: d, info: Info{From: "docker", Diff: stores}}
	return c, c.check(ctx)
}

func (m *Machine) dial(ctx context.Context, address string) (*conn, error) {
	var opts []client.ClientOpt
	if t := m.deps.TLS; t != (TLS{}) && strings.HasPrefix(address, "tcp://") {
		if t.CA != "" || t.ServerName != "" {
			opts = append(opts, client.WithServerConfig(t.ServerName, t.CA))
		}
		if t.Cert != "" {
			opts = append(opts, client.WithCredentials(t.Cert, t.Key))
		}
	}
	cl, err := client.New(ctx, address, opts...)
	if err != nil {
		return nil, err
	}
	c := &conn{Client: cl, info: Info{From: address, Diff: true}}
	return c, c.check(ctx)
}

// check asks, and closes a connection that does not answer.
func (c *conn) check(ctx context.Context) error {
	err := c.ask(ctx)
	if err != nil {
		_ = c.Close() // the error that matters is the first
	}
	return err
}

// ask lists the workers: the one question that every BuildKit answers.
func (c *conn) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return plainly(err)
	}
	if len(workers) == 0 {
		return errors.New("it has no workers")
	}
	for _, w := range workers {
		c.info.Version = w.BuildkitVersion.Version
		for _, p := range w.Platforms {
			text := p.OS + "/" + p.Architecture
			if p.Variant != "" {
				text += "/" + p.Variant
			}
			if !slices.Contains(c.info.Platforms, text) {
				c.info.Platforms = append(c.info.Platforms, text)
			}
		}
	}
	return nil
}

// executes reports whether steps can be executed for a platform.
func (i Info) executes(platform string) bool {
	return slices.ContainsFunc(i.Platforms, func(p string) bool { return p == platform || strings.HasPrefix(p, platform+"/") })
}
