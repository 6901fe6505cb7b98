package index

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Index is a package index as a user or a project names it.
type Index struct {
	Name string // may be empty; UV_INDEX_NAME_USERNAME and _PASSWORD go by it
	URL  string // may hold a user and a password
}

// NamedLogin is the user and password of one named index (UV_INDEX_NAME_USERNAME and _PASSWORD).
type NamedLogin struct {
	Name     string // in capitals, with _ for what is no letter or digit
	Login    string
	Password string
}

// Keyring looks up the password of a user, as the keyring command does. It is asked once for an address and a user.
type Keyring func(ctx context.Context, service, user string) (password string, ok bool)

// logins is who the client is, and where. Safe for concurrent use.
type logins struct {
	netrc   Netrc
	named   []NamedLogin
	keyring Keyring // nil: not used
	log     *slog.Logger

	mu    sync.Mutex
	known []known           // the last learned comes first
	asked map[string]answer // of the keyring
}

// known is a login for one index: for its address, and what lies at the same scheme, host and port.
type known struct {
	origin   string
	path     string
	user     string
	password string
	complete bool // a password was given, though it may be empty
}

type answer struct {
	password string
	ok       bool
}

// Learn tells the client of indexes whose addresses hold credentials, or whose names have some (UV_INDEX_NAME_PASSWORD).
// From then on they go to those indexes, and to files at the same scheme, host and port, as uv has it; nowhere else.
func (c *Client) Learn(indexes ...Index) {
	for _, i := range indexes {
		c.logins.learn(i)
	}
}

func (l *logins) learn(i Index) {
	u, err := url.Parse(i.URL)
	if err != nil || u.Host == "" {
		return
	}
	k := known{origin: origin(u), path: u.Path, user: u.User.Username()}
	k.password, k.complete = u.User.Password()
	if n, ok := l.byName(i.Name); ok && !k.complete {
		if k.user == "" {
			k.user = n.Login
		}
		if n.Password != "" {
			k.password, k.complete = n.Password, true
		}
	}
	if k.user == "" && !k.complete {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := []known{k}
	for _, old := range l.known {
		if old.origin != k.origin || old.path != k.path {
			kept = append(kept, old)
		}
	}
	l.known = kept[:min(len(kept), maxKnown)]
}

// maxKnown is how many learned logins are kept.
const maxKnown = 256

func (l *logins) byName(name string) (NamedLogin, bool) {
	if name == "" {
		return NamedLogin{}, false
	}
	name = variableName(name)
	for _, n := range l.named {
		if n.Name == name {
			return n, true
		}
	}
	return NamedLogin{}, false
}

// variableName is the form of an index's name in the names of variables.
func variableName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// find returns the login that was learned for u: of those at its origin the one whose address is most like it.
func (l *logins) find(u *url.URL, user string) (known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	best, found := known{}, false
	for _, k := range l.known {
		if k.origin != origin(u) || (user != "" && k.user != user) {
			continue
		}
		if !found || common(k.path, u.Path) > common(best.path, u.Path) {
			best, found = k, true
		}
	}
	return best, found
}

// common is how many characters two paths share from their start.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// authorize gives req the credential for its address: that of its URL, else the one learned with its index, else
// netrc's, else the keyring's. The URL keeps none, so that none gets into a log.
func (l *logins) authorize(req *http.Request) bool {
	user := req.URL.User
	req.URL.User = nil
	name := user.Username()
	if pw, ok := user.Password(); ok {
		req.SetBasicAuth(name, pw)
		return true
	}
	if k, ok := l.find(req.URL, name); ok {
		if k.complete {
			req.SetBasicAuth(k.user, k.password)
			return true
		}
		name = k.user
	}
	if m, ok := l.netrc.Find(req.URL.Host, req.URL.Hostname(), name); ok {
		req.SetBasicAuth(m.Login, m.Password)
		return true
	}
	if name == "" {
		return false
	}
	// Without a password, the user alone may be a token.
	pw, _ := l.ask(req.Context(), req.URL, name)
	req.SetBasicAuth(name, pw)
	return true
}

// ask asks the keyring, by the address and then by the host alone, as uv does.
func (l *logins) ask(ctx context.Context, u *url.URL, user string) (string, bool) {
	if l.keyring == nil {
		return "", false
	}
	address := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if k, ok := l.find(u, user); ok {
		address.Path = k.path // that of the index: it is by this that passwords are kept
	}
	for _, service := range []string{address.String(), u.Host} {
		key := service + "\n" + user
		l.mu.Lock()
		a, asked := l.asked[key]
		l.mu.Unlock()
		if !asked {
			a.password, a.ok = l.keyring(ctx, service, user)
			if ctx.Err() != nil {
				return "", false
			}
			l.mu.Lock()
			l.asked[key] = a
			l.mu.Unlock()
		}
		if a.ok {
			return a.password, true
		}
	}
	l.log.Debug("the keyring has no password", slog.String("host", u.Host))
	return "", false
}

func origin(u *url.URL) string {
	return strings.ToLower(u.Scheme + "://" + u.Host)
}
