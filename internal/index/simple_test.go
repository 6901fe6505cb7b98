package index

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const demo = "demo-1-py3-none-any.whl"

// private is a package index that asks for a password, with one project.
type private struct {
	*httptest.Server
	user, password string
	html           bool
	header         http.Header
	files          map[string][]byte
	noHash         bool

	mu    sync.Mutex
	asked []string // METHOD-less paths, with the status
	auth  []string // Authorization of each request
}

func newPrivate(t *testing.T, files map[string][]byte) *private {
	t.Helper()
	p := &private{files: files, header: http.Header{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *private) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := p.answer(w, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, fmt.Sprint(r.URL.Path, " ", status))
	p.auth = append(p.auth, r.Header.Get("Authorization"))
}

func (p *private) answer(w http.ResponseWriter, r *http.Request) int {
	fail := func(code int) int {
		w.WriteHeader(code)
		return code
	}
	if user, pw, ok := r.BasicAuth(); p.user != "" && (!ok || user != p.user || pw != p.password) {
		return fail(http.StatusUnauthorized)
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/files/"); ok {
		_, _ = w.Write(p.files[name])
		return http.StatusOK
	}
	if r.URL.Path != "/simple/demo/" {
		return fail(http.StatusNotFound)
	}
	for k, v := range p.header {
		w.Header()[k] = v
	}
	if etag := p.header.Get("Etag"); etag != "" && r.Header.Get("If-None-Match") == etag {
		return fail(http.StatusNotModified)
	}
	if p.html {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for name, b := range p.files {
			fmt.Fprintf(w, "<a href=\"../../files/%s#%s\">%s</a>\n", name, strings.Replace(hashOf(b), ":", "=", 1), name)
		}
		return http.StatusOK
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	page := map[string]any{"meta": map[string]string{"api-version": "1.1"}}
	list := []any{}
	for name, b := range p.files {
		hashes := map[string]string{}
		if !p.noHash {
			hashes["sha256"] = strings.TrimPrefix(hashOf(b), "sha256:")
		}
		list = append(list, map[string]any{"filename": name, "url": "/files/" + name, "hashes": hashes, "size": len(b)})
	}
	page["files"] = list
	_ = json.NewEncoder(w).Encode(page)
	return http.StatusOK
}

// at is the index's address with a user.
func (p *private) at(user *url.Userinfo) string {
	u, _ := url.Parse(p.URL + "/simple")
	u.User = user
	return u.String()
}

func unplaced(index string, b []byte) File {
	return File{Project: "Demo", Index: index, Filename: demo, Hash: hashOf(b)}
}

func TestFetchByIndex(t *testing.T) {
	b := content(1000)
	netrc := Netrc{{Machine: "127.0.0.1", Login: "alice", Password: "c4nary"}}
	keyring := func(_ context.Context, service, user string) (string, bool) {
		return "c4nary", strings.HasSuffix(service, "/simple") && user == "alice"
	}
	for name, tt := range map[string]struct {
		user   *url.Userinfo
		change func(*Deps)
		learn  func(url string) Index
	}{
		"URL":            {user: url.UserPassword("alice", "c4nary")},
		"netrc":          {change: func(d *Deps) { d.Netrc = netrc }},
		"learned":        {learn: func(u string) Index { return Index{URL: strings.Replace(u, "//", "//alice:c4nary@", 1) + "/simple"} }},
		"named":          {change: func(d *Deps) { d.Named = []NamedLogin{{"MY_CORP", "alice", "c4nary"}} }, learn: func(u string) Index { return Index{"my-corp", u + "/simple"} }},
		"keyring":        {change: func(d *Deps) { d.Keyring = keyring }, user: url.User("alice")},
		"user, netrc pw": {change: func(d *Deps) { d.Netrc = netrc }, user: url.User("alice")},
	} {
		for _, html := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, html %v", name, html), func(t *testing.T) {
				p := newPrivate(t, map[string][]byte{demo: b, "demo-2-py3-none-any.whl": content(10)})
				p.user, p.password, p.html = "alice", "c4nary", html
				var log bytes.Buffer
				r := newRig(t, func(d *Deps) {
					d.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					if tt.change != nil {
						tt.change(d)
					}
				})
				if tt.learn != nil {
					r.Learn(tt.learn(p.URL))
				}
				f := unplaced(p.at(tt.user), b)
				r.fetch(t, f, b)
				p.password = "another"
				f.Hash = hashOf([]byte("x"))
				_, err := r.Fetch(t.Context(), f, nil)
				var status *StatusError
				if !errors.As(err, &status) || status.Code != 401 {
					t.Errorf("error %v, want a 401", err)
				}
				if s := fmt.Sprint(err, log.String()); strings.Contains(s, "c4nary") {
					t.Errorf("a password was told: %s", s)
				}
			})
		}
	}
}

func TestLocate(t *testing.T) {
	b := content(1000)
	other := newPrivate(t, map[string][]byte{demo: content(7)}) // another's project of the same name
	own := newPrivate(t, map[string][]byte{demo: b})
	plain := newPrivate(t, map[string][]byte{demo: b})
	plain.noHash = true
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer down.Close()
	at := func(urls ...string) []Index {
		var out []Index
		for _, u := range urls {
			out = append(out, Index{URL: u + "/simple/"})
		}
		return out
	}
	for name, tt := range map[string]struct {
		indexes []Index
		want    string // the URL's start, or part of the error
	}{
		"the right hash wins":       {at(other.URL, own.URL), own.URL + "/files/"},
		"an index without hashes":   {at(plain.URL), plain.URL + "/files/"},
		"an index that is down":     {at(down.URL, own.URL), own.URL + "/files/"},
		"only one of another hash":  {at(other.URL), "with another hash than the lock's"},
		"only one, and one is down": {at(other.URL, down.URL), "503"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(d *Deps) { d.Indexes = tt.indexes })
			f, err := r.Locate(t.Context(), unplaced("", b))
			if got := f.URL + fmt.Sprint(err); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	r := newRig(t, func(d *Deps) { d.Indexes = at(other.URL, own.URL) })
	f := unplaced("", b)
	f.Project = "nothing"
	var missing *NotListedError
	if _, err := r.Locate(t.Context(), f); !errors.As(err, &missing) || missing.Others || len(missing.Indexes) != 2 {
		t.Errorf("error %v", err)
	}
	r = newRig(t, func(d *Deps) { d.Offline = true })
	if _, err := r.Fetch(t.Context(), unplaced(own.URL+"/simple", b), nil); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
}

func TestPagesAreKept(t *testing.T) {
	b := content(10)
	p := newPrivate(t, map[string][]byte{demo: b})
	p.header.Set("Cache-Control", "max-age=600, public")
	p.header.Set("Etag", `"one"`)
	r := newRig(t, nil)
	now := time.Now()
	r.now = func() time.Time { return now }
	list := func(want string) {
		t.Helper()
		p.asked = nil
		files, err := r.List(t.Context(), p.URL+"/simple", "demo")
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, error %v", files, err)
		}
		if got := strings.Join(p.asked, ","); got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
	list("/simple/demo/ 200")
	list("")
	now = now.Add(601 * time.Second)
	list("/simple/demo/ 304")
	list("")

	// What a kept page lacks is looked for anew.
	c := content(11)
	p.files["demo-3-py3-none-any.whl"] = c
	p.header.Set("Etag", `"two"`)
	p.asked = nil
	if _, err := r.Locate(t.Context(), File{Project: "demo", Index: p.URL + "/simple", Filename: "demo-3-py3-none-any.whl", Hash: hashOf(c)}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(p.asked, ","); got != "/simple/demo/ 200" {
		t.Errorf("asked %q", got)
	}
	for i := range 2 * maxPages {
		_, _ = r.List(t.Context(), p.URL+"/simple", fmt.Sprint("p", i))
	}
	if n := len(r.pages.entries); n > maxPages {
		t.Errorf("%d pages are kept", n)
	}
}

func TestPageIsAskedForAgain(t *testing.T) {
	b := content(10)
	p := newPrivate(t, map[string][]byte{demo: b})
	srv, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("<a"))
		default:
			p.ServeHTTP(w, r)
		}
	})
	r := newRig(t, nil)
	if files, err := r.List(t.Context(), srv+"/simple", "demo"); err != nil || len(files) != 1 {
		t.Errorf("%v, error %v", files, err)
	}
	if len(r.waits) != 2 || len(q.list) != 3 {
		t.Errorf("waited %v", r.waits)
	}
	login, q := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
	})
	if _, err := r.List(t.Context(), login, "demo"); err == nil || !strings.Contains(err.Error(), "neither JSON nor HTML") || len(q.list) != 1 {
		t.Errorf("error %v after %d requests", err, len(q.list))
	}
}

// An index's redirect to another host takes no credential along, neither for its page nor for its files.
func TestIndexRedirectKeepsNoCredential(t *testing.T) {
	b := content(10)
	other := newPrivate(t, map[string][]byte{demo: b})
	srv, q := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
	})
	r := newRig(t, nil)
	r.fetch(t, unplaced(strings.Replace(srv, "//", "//alice:c4nary@", 1)+"/simple", b), b)
	if q.list[0].Header.Get("Authorization") == "" {
		t.Error("the index itself got no credential")
	}
	if got := strings.Join(other.auth, ""); got != "" || len(other.asked) != 2 {
		t.Errorf("the other host got %q with %v", got, other.asked)
	}
}

func TestKeyringCommand(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "keyring")
	script := "#!/bin/sh\n[ \"$1 $2 $3\" = \"get https://h/simple alice\" ] || { echo no >&2; exit 1; }\necho \"pw $EXTRA\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	k := KeyringCommand(program, []string{"EXTRA=x"})
	if pw, ok := k(t.Context(), "https://h/simple", "alice"); !ok || pw != "pw x" {
		t.Errorf("%q, %v", pw, ok)
	}
	for _, user := range []string{"bob", "--help"} {
		if pw, ok := k(t.Context(), "https://h/simple", user); ok {
			t.Errorf("%s has %q", user, pw)
		}
	}
}
