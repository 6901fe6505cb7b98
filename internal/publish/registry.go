package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// RegistryDeps is what the registry target works with. Only Transport is needed: one
// that keeps connections, for as long as the daemon lives.
type RegistryDeps struct {
	Transport http.RoundTripper
	Keychain  authn.Keychain             // nil: anonymous
	Insecure  func(registry string) bool // registries spoken to without TLS, besides the local ones; nil: none
	Parallel  int                        // blobs at a time; 0: 8
	// Elsewhere lists repositories of a registry, without its host, that are likely to have a blob, the likeliest first;
	// nil: none are. It may be wrong: the registry is asked.
	Elsewhere func(registry string, h v1.Hash) []string
}

const (
	defaultParallel = 8
	// verifyFor is how long a registry may take to show a name it has accepted.
	verifyFor = 5 * time.Second
)

// NewRegistry returns the target that is whatever registry an image's name leads to.
func NewRegistry(d RegistryDeps) Target {
	if d.Parallel <= 0 {
		d.Parallel = defaultParallel
	}
	return &registry{deps: d, repos: map[string]*repo{}}
}

type registry struct {
	deps  RegistryDeps
	scope string // of the tokens; empty: to push

	mu    sync.Mutex
	repos map[string]*repo // by name with the registry's
}

func (r *registry) Name() string { return "registry" }

// Publish sends the blobs that the repository lacks, then the manifests, the last under
// the image's tag, and asks what the tag means now.
func (r *registry) Publish(ctx context.Context, image string, content Content, report progress.Func) (Receipt, error) {
	receipt, err := r.publish(ctx, image, content, report)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Receipt{}, fmt.Errorf("push %s: %w", image, err)
	}
	return receipt, nil
}

func (r *registry) publish(ctx context.Context, image string, content Content, report progress.Func) (Receipt, error) {
	tag, err := r.parse(image)
	if err != nil {
		return Receipt{}, err
	}
	p, err := PartsOf(content)
	if err != nil {
		return Receipt{}, err
	}
	to := r.repo(tag.Context())
	sent := NewTally(r.Name(), report)
	push := &push{repo: to, parts: p, tag: tag.Identifier(), sent: sent, parallel: r.deps.Parallel, elsewhere: r.elsewhere}
	if err := push.run(ctx); err != nil {
		return Receipt{}, err
	}
	if err := push.verify(ctx); err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{Digest: p.Digest.String()}
	sent.Done(&receipt)
	return receipt, nil
}

// Check asks the registry for the digest that a name means.
func (r *registry) Check(ctx context.Context, image string) (Receipt, error) {
	tag, err := r.parse(image)
	if err != nil {
		return Receipt{}, fmt.Errorf("check %s: %w", image, err)
	}
	digest, err := r.repo(tag.Context()).digest(ctx, tag.Identifier())
	if err != nil {
		return Receipt{}, fmt.Errorf("check %s: %w", image, err)
	}
	return Receipt{Digest: digest}, nil
}

func (r *registry) parse(image string) (name.Reference, error) {
	ref, err := name.ParseReference(image)
	if err == nil && r.deps.Insecure != nil && r.deps.Insecure(ref.Context().RegistryStr()) {
		ref, err = name.ParseReference(image, name.Insecure)
	}
	if err != nil {
		return nil, fmt.Errorf("not an image reference: %w", err)
	}
	return ref, nil
}

func (r *registry) repo(n name.Repository) *repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	to, ok := r.repos[n.Name()]
	if !ok {
		to = newRepo(n, r.deps.Keychain, r.deps.Transport)
		to.scope = cmp.Or(r.scope, to.scope)
		r.repos[n.Name()] = to
	}
	return to
}

// push is one image on its way into a repository.
type push struct {
	repo      *repo
	parts     *Parts
	tag       string
	sent      *Tally
	parallel  int
	elsewhere func(registry string, h v1.Hash) []string
}

// run sends what is missing. What this process has seen in the repository it does not
// ask for again; when the registry then misses a blob (it collects garbage, or
// answered from a stale cache), all is asked anew, and at last sent unasked.
func (p *push) run(ctx context.Context) error {
	for _, trust := range []trust{memory, answers, nothing} {
		if err := p.blobs(ctx, trust); err != nil {
			return err
		}
		err := p.manifests(ctx)
		var unknown *unknownBlobError
		if err == nil || !errors.As(err, &unknown) || trust == nothing {
			return err
		}
		p.sent.Note(fmt.Sprintf("the registry lacks blobs that were there before; they are sent again (%v)", unknown.err))
		p.repo.forget(p.parts)
	}
	return nil
}

// manifests puts an index's images by their digests, then the tag.
func (p *push) manifests(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, one := range p.parts.Images {
		g.Go(func() error { return p.repo.putManifest(gctx, one.Digest.String(), one) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.repo.putManifest(ctx, p.tag, p.parts)
}

// trust is what is believed about which blobs a repository has.
type trust int

const (
	memory  trust = iota // what was seen there before
	answers              // what the registry says now
	nothing
)

func (p *push) blobs(ctx context.Context, t trust) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.parallel)
	for _, b := range p.parts.Blobs {
		if t == memory && p.repo.seen(b.Digest) {
			continue
		}
		g.Go(func() error {
			if err := p.blob(ctx, b, t); err != nil {
				return fmt.Errorf("%s: %w", b, err)
			}
			p.repo.saw(b.Digest)
			return nil
		})
	}
	return g.Wait()
}

// blob makes one blob be in the repository. A config is new with every image, and
// small: to ask for it first only costs a round trip.
func (p *push) blob(ctx context.Context, b Part, t trust) error {
	var from []string
	asked := false
	if t != nothing && b.Layer != nil {
		if from, asked = p.sources(b); asked {
			there, err := p.repo.has(ctx, b.Digest)
			if there || err != nil {
				return err
			}
		}
	}
	return p.repo.upload(ctx, b, from, asked, p.sent)
}

// verify waits until the tag means the image.
func (p *push) verify(ctx context.Context) error {
	want := p.parts.Digest.String()
	for pause, waited := 50*time.Millisecond, time.Duration(0); ; waited, pause = waited+pause, 2*pause {
		got, err := p.repo.digest(ctx, p.tag)
		if err != nil {
			return err
		}
		if got == want {
			return nil
		}
		if waited >= verifyFor {
			return fmt.Errorf("the registry accepted %s, but says that the tag means %q", want, got)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
