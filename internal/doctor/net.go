package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// maxRepositories bounds how many repositories are asked.
const maxRepositories = 16

// registries asks each repository that a watched spec names whether it would take a push. An upload is begun and given up:
// nothing else tells, for a registry may let anyone read.
func registries(ctx context.Context, d Deps) []api.Check {
	const a = area("registry")
	repos := map[string]string{} // an image by its repository
	for _, im := range d.Images {
		if im.Registry != "" && im.Name != "" && im.State != api.Listed {
			repos[im.Name[:strings.LastIndex(im.Name, ":")]] = im.Name
		}
	}
	names := make([]string, 0, len(repos))
	for name := range repos {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return []api.Check{a.ok("no known spec names one")}
	case d.Push == "never":
		return []api.Check{a.ok("%s: never pushed to (registry.push = never)", strings.Join(names, ", "))}
	}
	asked := names[:min(len(names), maxRepositories)]
	out := make([]api.Check, len(asked))
	each(len(asked), func(i int) { out[i] = repository(asked[i], d.Push, d.Probe(ctx, repos[asked[i]])) })
	if n := len(names) - len(asked); n > 0 {
		out = append(out, a.ok("%d more repositories were not asked", n))
	}
	return out
}

func repository(name, push string, err error) api.Check {
	const a = area("registry")
	bad := a.fail
	if push != "always" {
		bad = a.warn
	}
	host, _, _ := strings.Cut(name, "/")
	if host != "localhost" && !strings.ContainsAny(host, ".:") { // an organisation at Docker Hub
		host = "docker.io"
	}
	switch {
	case err == nil:
		return a.ok("%s: reachable, takes a push", name)
	case errors.Is(err, publish.ErrDenied):
		return bad("docker login "+host, "%s: reachable, push denied", name)
	case errors.Is(err, publish.ErrUnreachable):
		return bad("check the name, the network and its proxies; for one without TLS set registry.insecure", "%s: %v", name, err)
	}
	return bad("", "%s: %v", name, err)
}

// cache asks the team cache whether it can be read and, where it is to be, written.
func cache(ctx context.Context, d Deps) []api.Check {
	const a = area("cache")
	if d.Cache == "" {
		return nil
	}
	hint := func(err error) string {
		if errors.Is(err, publish.ErrDenied) {
			host, _, _ := strings.Cut(d.Cache, "/")
			return "docker login " + host
		}
		return "check cache.registry, the network and its proxies; builds go on without it"
	}
	if err := d.ReadCache(ctx); err != nil {
		return []api.Check{a.warn(hint(err), "%s: cannot be read: %v", d.Cache, err)}
	}
	if d.CacheRead {
		return []api.Check{a.ok("%s: readable, only read (cache.mode = read-only)", d.Cache)}
	}
	if err := d.PutCache(ctx); err != nil {
		return []api.Check{a.warn(hint(err)+`, or set cache.mode = "read-only"`, "%s: readable, not writable: %v", d.Cache, err)}
	}
	return []api.Check{a.ok("%s: readable and writable", d.Cache)}
}

// indexes asks each package index.
func indexes(ctx context.Context, d Deps) []api.Check {
	const a = area("index")
	if d.Offline {
		return []api.Check{a.ok("not asked (fetch.offline)")}
	}
	out := make([]api.Check, len(d.Indexes))
	each(len(d.Indexes), func(i int) {
		if err := d.Index(ctx, i); err != nil {
			out[i] = a.fail("check the address, the network and its proxies, and the login (netrc, keyring or UV_INDEX_NAME_PASSWORD)", "%s: %v", d.Indexes[i], err)
			return
		}
		out[i] = a.ok("%s: reachable", d.Indexes[i])
	})
	return out
}

// each calls f for 0 to n-1 at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
