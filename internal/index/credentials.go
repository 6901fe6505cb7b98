package index

import (
	"errors"
	"net/http"
	"net/url"
)

// authorize gives req the credential for its host: that of its URL, else netrc's.
// The URL keeps none, so that none gets into a log.
func (c *Client) authorize(req *http.Request) bool {
	user := req.URL.User
	req.URL.User = nil
	name := user.Username()
	if pw, ok := user.Password(); ok {
		req.SetBasicAuth(name, pw)
		return true
	}
	if l, ok := c.deps.Netrc.find(req.URL.Host, req.URL.Hostname(), name); ok {
		req.SetBasicAuth(l.Login, l.Password)
		return true
	}
	if name != "" { // a token given as the user alone
		req.SetBasicAuth(name, "")
		return true
	}
	return false
}

// checkRedirect lets a credential go only where it was meant to: the same scheme, host and port.
// net/http alone would also hand it to subdomains.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	req.Header.Del("Referer") // it may hold a signature
	if !sameOrigin(req.URL, via[0].URL) {
		req.Header.Del("Authorization")
		c.authorize(req)
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Host == b.Host
}
