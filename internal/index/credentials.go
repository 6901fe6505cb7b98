package index

import (
	"errors"
	"net/http"
	"net/url"
)

// checkRedirect lets a credential go only where it was meant to: the same scheme, host and port.
// net/http alone would also hand it to subdomains.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	req.Header.Del("Referer") // it may hold a signature
	if !sameOrigin(req.URL, via[0].URL) {
		req.Header.Del("Authorization")
		c.logins.authorize(req)
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Host == b.Host
}
