package buildkit

import (
	"net/url"
	"strings"

	"github.com/moby/buildkit/client/llb"
)

// proxies tells the step of the host's proxies. BuildKit has arguments for that, which count for no key; but it writes them down in
// its history, for all who may ask it. An address with a login is a secret therefore, where BuildKit knows secret variables: all that
// tell their version do, and those that do not keep no history.
func (r *run) proxies() []llb.RunOption {
	p := r.m.deps.Proxy
	var opts []llb.RunOption
	for _, v := range []struct {
		name  string
		value *string
	}{{"http_proxy", &p.HTTP}, {"https_proxy", &p.HTTPS}, {"ftp_proxy", &p.FTP}, {"all_proxy", &p.All}} {
		if r.c.info.Version == "" || !hasLogin(*v.value) {
			continue
		}
		id := "imgspecd-" + v.name
		r.secrets[id] = []byte(*v.value)
		for _, name := range []string{v.name, strings.ToUpper(v.name)} {
			opts = append(opts, llb.AddSecret(name, llb.SecretID(id), llb.SecretAsEnv(true)))
		}
		*v.value = ""
	}
	if p != (Proxy{}) {
		opts = append(opts, llb.WithProxy(llb.ProxyEnv{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, FTPProxy: p.FTP, NoProxy: p.No, AllProxy: p.All}))
	}
	return opts
}

// hasLogin reports whether an address holds a user or a password; one that cannot be read might.
func hasLogin(address string) bool {
	u, err := url.Parse(address)
	return address != "" && (err != nil || u.User != nil)
}
