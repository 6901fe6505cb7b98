package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// repo is one repository of a registry: who we are there, and which blobs it has been
// seen to hold. The wire protocol is OCI's distribution-spec 1.1.
//
// go-containerregistry's remote.Write is not used for it: it asks for everything at
// every push, sends a blob in three requests where two do, and does not heal.
type repo struct {
	name      name.Repository
	keychain  authn.Keychain
	transport http.RoundTripper
	scope     string // of the token: to push, which is to pull too, or only to pull

	tokens atomic.Bool // the registry asks for bearer tokens

	mu      sync.Mutex
	client  *http.Client            // carries a token; nil: log in first
	readers map[string]*http.Client // by the repository that they may read besides; see reader
	refused map[string]refusal      // of the same
	blobs   map[v1.Hash]struct{}
}

func newRepo(n name.Repository, k authn.Keychain, t http.RoundTripper) *repo {
	if t == nil {
		t = http.DefaultTransport
	}
	return &repo{name: n, keychain: k, transport: t, scope: transport.PushScope, blobs: map[v1.Hash]struct{}{}, readers: map[string]*http.Client{}, refused: map[string]refusal{}}
}

func (r *repo) seen(h v1.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.blobs[h]
	return ok
}

// maxSeen bounds what is remembered of one repository: about 10 MB.
const maxSeen = 100_000

func (r *repo) saw(h v1.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.blobs) >= maxSeen {
		clear(r.blobs)
	}
	r.blobs[h] = struct{}{}
}

func (r *repo) forget(p *Parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range p.Blobs {
		delete(r.blobs, b.Digest)
	}
}

// login finds out how the registry wants to be spoken to, and who we are there.
func (r *repo) login(ctx context.Context) (*http.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	var err error
	r.client, err = r.connect(ctx)
	return r.client, err
}

func (r *repo) logout(c *http.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == c {
		r.client = nil
	}
	maps.DeleteFunc(r.readers, func(_ string, one *http.Client) bool { return one == c })
}

func (r *repo) url(rest string) string {
	return fmt.Sprintf("%s://%s/v2/%s/%s", r.name.Scheme(), r.name.RegistryStr(), r.name.RepositoryStr(), rest)
}

// request is one request, with a body that can be opened again.
type request struct {
	method, url string
	header      http.Header
	body        func() (io.ReadCloser, error) // nil: none
	size        int64
	accept      []int
}

// do sends a request once. The caller closes the body of what it returns.
func (r *repo) do(ctx context.Context, q request) (*http.Response, error) {
	c, err := r.login(ctx)
	if err != nil {
		return nil, r.explain(err)
	}
	return r.doAs(ctx, c, q)
}

func (r *repo) doAs(ctx context.Context, c *http.Client, q request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		req.Header[k] = v
	}
	if q.body != nil {
		if req.Body, err = q.body(); err != nil {
			return nil, err
		}
		req.GetBody, req.ContentLength = q.body, q.size
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, r.explain(err)
	}
	if err := transport.CheckError(resp, q.accept...); err != nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			r.logout(c) // so that a later login is seen
		}
		return nil, busy(resp, r.explain(err))
	}
	return resp, nil
}

// send is do with retries, for requests that need nothing of the answer but its headers.
func (r *repo) send(ctx context.Context, q request) (*http.Response, error) {
	var resp *http.Response
	err := retry(ctx, func() (err error) {
		if resp, err = r.do(ctx, q); err == nil {
			drain(resp)
		}
		return err
	})
	return resp, err
}

// drain reads a short body to its end, without which the connection is not kept.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // what is longer costs a connection, no more
	resp.Body.Close()
}

func (r *repo) has(ctx context.Context, h v1.Hash) (bool, error) {
	resp, err := r.send(ctx, request{
		method: http.MethodHead, url: r.url("blobs/" + h.String()),
		accept: []int{http.StatusOK, http.StatusNotFound},
	})
	return err == nil && resp.StatusCode == http.StatusOK, err
}

// upload sends a blob: POST opens an upload, or mounts the blob from one of other
// repositories; PUT sends all of it. A PUT that fails begins anew with a POST. asked says
// that the repository was asked for the blob before.
func (r *repo) upload(ctx context.Context, b Part, from []string, asked bool, sent *Tally) error {
	expected := false
	return retry(ctx, func() error {
		to, err := r.open(ctx, b.Digest, from)
		if err != nil || to == "" {
			return err
		}
		if len(from) > 0 && !asked { // the mount was declined
			if there, err := r.has(ctx, b.Digest); there || err != nil {
				r.abandon(ctx, to)
				return err
			}
		}
		from = nil
		if !expected {
			expected = true
			sent.Expect(b)
		}
		var source readError
		resp, err := r.do(ctx, request{
			method: http.MethodPut, url: to, size: b.Size,
			header: http.Header{"Content-Type": {"application/octet-stream"}},
			body:   func() (io.ReadCloser, error) { return source.watch(blob.Open(ctx, b, sent.Bytes)) },
			accept: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK},
		})
		if failed := source.get(); failed != nil {
			return failed // ours, not the registry's
		}
		if err != nil {
			return err
		}
		drain(resp)
		sent.Part(b)
		return nil
	})
}

// start opens an upload and returns where to PUT to.
func (r *repo) start(ctx context.Context, h v1.Hash) (string, error) {
	c, err := r.login(ctx)
	if err != nil {
		return "", r.explain(err)
	}
	return r.begin(ctx, c, h, nil)
}

// begin POSTs for an upload, and returns where to PUT to; nowhere if the blob was mounted.
func (r *repo) begin(ctx context.Context, c *http.Client, h v1.Hash, how url.Values) (string, error) {
	u := r.url("blobs/uploads/")
	if len(how) > 0 {
		u += "?" + how.Encode()
	}
	resp, err := r.doAs(ctx, c, request{method: http.MethodPost, url: u, accept: []int{http.StatusCreated, http.StatusAccepted}})
	if err != nil {
		return "", err
	}
	drain(resp)
	if resp.StatusCode == http.StatusCreated {
		return "", nil
	}
	loc, err := resp.Location() // resolves a relative one
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	q := loc.Query()
	q.Set("digest", h.String())
	loc.RawQuery = q.Encode()
	return loc.String(), nil
}

func (r *repo) putManifest(ctx context.Context, tag string, p *Parts) error {
	_, err := r.send(ctx, request{
		method: http.MethodPut, url: r.url("manifests/" + tag), size: int64(len(p.Manifest)),
		header: http.Header{"Content-Type": {string(p.MediaType)}},
		body:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.Manifest)), nil },
		accept: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
	})
	if err == nil || isUnknownBlob(err) {
		return err
	}
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode < 500 {
		// A registry whose tags cannot be moved refuses even what changes nothing.
		if got, herr := r.digest(ctx, tag); herr == nil && got == p.Digest.String() {
			return nil
		}
	}
	return fmt.Errorf("manifest: %w", err)
}

// manifestTypes are what a tag may mean; without them a registry converts or hides.
var manifestTypes = strings.Join([]string{
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
}, ", ")

// digest is what a tag means; empty when there is no such tag.
func (r *repo) digest(ctx context.Context, tag string) (string, error) {
	q := request{
		method: http.MethodHead, url: r.url("manifests/" + tag), header: http.Header{"Accept": {manifestTypes}},
		accept: []int{http.StatusOK, http.StatusNotFound},
	}
	resp, err := r.send(ctx, q)
	if err != nil || resp.StatusCode == http.StatusNotFound {
		return "", err
	}
	if d := resp.Header.Get("Docker-Content-Digest"); d != "" {
		return d, nil
	}
	var raw []byte // the header is optional in the spec
	q.method = http.MethodGet
	err = retry(ctx, func() error {
		resp, err := r.do(ctx, q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err = io.ReadAll(io.LimitReader(resp.Body, maxManifest))
		return err
	})
	return blob.Digest(raw), err
}
