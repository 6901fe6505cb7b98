package publish

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxSources is how many repositories a registry is asked to mount one blob from: each costs a round trip.
const maxSources = 3

// holders are this process's own repositories of a registry that have been seen to hold a blob.
func (r *registry) holders(registry string, h v1.Hash) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, one := range r.repos {
		if one.name.RegistryStr() == registry && one.seen(h) {
			out = append(out, one.name.RepositoryStr())
		}
	}
	slices.Sort(out)
	return out
}

// elsewhere lists where a blob is likely to lie: what was seen comes before what is told.
func (r *registry) elsewhere(registry string, h v1.Hash) []string {
	out := r.holders(registry, h)
	if r.deps.Elsewhere != nil {
		out = append(out, r.deps.Elsewhere(registry, h)...)
	}
	return out
}

// sources are other repositories of the same registry that a layer may be mounted from, the likeliest first. ask says
// that it may be in its own repository: the layout names an image before it is pushed, so for ours that is always said,
// and a question is cheaper than mounts that open uploads in vain.
func (p *push) sources(b Part) (from []string, ask bool) {
	own := p.repo.name
	if m, ok := b.Layer.(*remote.MountableLayer); ok {
		if at := m.Reference.Context(); at.RegistryStr() == own.RegistryStr() && at.RepositoryStr() != own.RepositoryStr() {
			from = append(from, at.RepositoryStr())
		}
	}
	sure := len(from) > 0
	for _, at := range p.elsewhere(own.RegistryStr(), b.Digest) {
		switch {
		case at == own.RepositoryStr():
			ask = !sure
		case !slices.Contains(from, at) && len(from) < maxSources:
			from = append(from, at)
		}
	}
	return from, ask || len(from) == 0
}

// mount asks for a blob of another repository. What is declined gives an upload that goes on as one that was begun
// without; empty, without an error: the blob is in this repository now.
func (r *repo) mount(ctx context.Context, h v1.Hash, from string) (string, error) {
	c, err := r.reader(ctx, from)
	if err != nil {
		return "", r.explain(err)
	}
	return r.begin(ctx, c, h, url.Values{"mount": {h.String()}, "from": {from}})
}

// open begins an upload, or has the blob mounted from one of several repositories, and returns where to PUT to;
// nowhere if it was mounted.
func (r *repo) open(ctx context.Context, h v1.Hash, from []string) (string, error) {
	opened := ""
	for _, f := range from {
		to, err := r.mount(ctx, h, f)
		switch {
		case err == nil:
			r.abandon(ctx, opened)
			if opened = to; to == "" {
				return "", nil
			}
		case ctx.Err() == nil && !temporary(err): // e.g. no right to read there: then the blob is sent
		default:
			r.abandon(ctx, opened)
			return "", err
		}
	}
	if opened != "" {
		return opened, nil
	}
	return r.start(ctx, h)
}

// abandon gives an upload up, so that the registry need not keep it until it times out. It helps nobody to know that
// this failed.
func (r *repo) abandon(ctx context.Context, upload string) {
	if upload == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	resp, err := r.do(ctx, request{method: http.MethodDelete, url: upload, accept: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}})
	if err == nil {
		drain(resp)
	}
}

// reader is who we are when a blob comes from another repository. Where tokens are of scopes it is one with a token of its
// own, to push here and to pull there: some registries decline without a word what the token does not say, and a token
// server that refuses this one must not spoil the other.
func (r *repo) reader(ctx context.Context, from string) (*http.Client, error) {
	c, err := r.login(ctx)
	if err != nil || !r.tokens.Load() {
		return c, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.readers[from]; known != nil {
		return known, nil
	}
	if no, ok := r.refused[from]; ok && time.Since(no.at) < refusedFor {
		return nil, no.err
	}
	c, err = r.connect(ctx, r.name.Registry.Repo(from).Scope(transport.PullScope))
	switch {
	case err == nil:
		r.readers[from] = c
	case ctx.Err() == nil && !temporary(r.explain(err)):
		r.refused[from] = refusal{err, time.Now()}
	}
	return c, err
}

// refusedFor is how long a token that was refused is not asked for again: an image has many layers.
const refusedFor = time.Minute

type refusal struct {
	err error
	at  time.Time
}

// connect logs in for this repository, and for more scopes. r.mu is held.
func (r *repo) connect(ctx context.Context, more ...string) (*http.Client, error) {
	auth := authn.Anonymous
	if r.keychain != nil {
		var err error
		if auth, err = authn.Resolve(ctx, r.keychain, r.name); err != nil {
			return nil, fmt.Errorf("read credentials for %s: %w", r.name.RegistryStr(), err)
		}
	}
	t := &challenged{transport.NewUserAgent(r.transport, "imgspecd"), &r.tokens}
	tr, err := transport.NewWithContext(ctx, r.name.Registry, auth, t, append([]string{r.name.Scope(r.scope)}, more...))
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: tr}, nil
}

// challenged notes whether a registry asks for bearer tokens.
type challenged struct {
	http.RoundTripper
	tokens *atomic.Bool
}

func (c *challenged) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(q)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		for _, said := range resp.Header.Values("WWW-Authenticate") {
			if len(said) >= 6 && strings.EqualFold(said[:6], "bearer") {
				c.tokens.Store(true)
			}
		}
	}
	return resp, err
}
