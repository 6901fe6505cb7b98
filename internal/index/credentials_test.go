package index

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCredentials(t *testing.T) {
	b := content(100)
	netrc, err := ParseNetrc([]byte("machine 127.0.0.1 login carol password c4nary-netrc\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		user  *url.Userinfo
		netrc Netrc
		want  string // user:password that the server gets
	}{
		"none":              {},
		"URL":               {user: url.UserPassword("alice", "c4nary"), want: "alice:c4nary"},
		"token as user":     {user: url.User("c4nary"), want: "c4nary:"},
		"netrc":             {netrc: netrc, want: "carol:c4nary-netrc"},
		"URL before netrc":  {user: url.UserPassword("alice", "c4nary"), netrc: netrc, want: "alice:c4nary"},
		"user from the URL": {user: url.User("carol"), netrc: netrc, want: "carol:c4nary-netrc"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var status atomic.Int64
			srv, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if s := status.Load(); s != 0 {
					w.WriteHeader(int(s))
					return
				}
				good(b)(n, w, r)
			})
			var log bytes.Buffer
			r := newRig(t, func(d *Deps) {
				d.Netrc = tt.netrc
				d.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			f := file(srv, b)
			u, _ := url.Parse(f.URL)
			u.User, u.RawQuery = tt.user, "sig=c4nary"
			f.URL = u.String()
			r.fetch(t, f, b)
			user, pw, _ := q.list[0].BasicAuth()
			if tt.want != "" && user+":"+pw != tt.want {
				t.Errorf("sent %s:%s, want %s", user, pw, tt.want)
			}
			if tt.want == "" && q.list[0].Header.Get("Authorization") != "" {
				t.Error("a credential was sent")
			}

			// Whatever goes wrong, no part of a credential is told.
			for _, s := range []int64{401, 500} {
				status.Store(s)
				g := f
				g.Hash = hashOf([]byte{byte(s)})
				_, err := r.Fetch(t.Context(), g, nil)
				if err == nil || strings.Contains(err.Error()+log.String(), "c4nary") {
					t.Errorf("error %v\n%s", err, log.String())
				}
			}
			g := f
			u.Host = "127.0.0.1:1"
			g.URL, g.Hash = u.String(), hashOf([]byte("x"))
			_, err := r.Fetch(t.Context(), g, nil)
			if err == nil || strings.Contains(err.Error()+log.String(), "c4nary") {
				t.Errorf("error %v\n%s", err, log.String())
			}
		})
	}
}

func TestRedirectKeepsNoCredential(t *testing.T) {
	b := content(100)
	var target string
	other, seen := serve(t, good(b))
	srv, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/same" {
			good(b)(n, w, r)
			return
		}
		http.Redirect(w, r, target, http.StatusFound)
	})
	u, _ := url.Parse(srv)
	u.User = url.UserPassword("alice", "c4nary")

	for name, tt := range map[string]struct {
		target string
		last   *requests
		keeps  bool
	}{
		"same host":  {srv + "/same", q, true},
		"other port": {other + "/x", seen, false},
		"subdomain":  {strings.Replace(other, "127.0.0.1", "sub.localhost", 1) + "/x", seen, false},
	} {
		t.Run(name, func(t *testing.T) {
			target = tt.target
			r := newRig(t, func(d *Deps) { d.HTTP = loopback() })
			v := *u
			if name == "subdomain" { // net/http would hand the credential on here
				v.Host = "localhost:" + u.Port()
			}
			r.fetch(t, file(v.String(), b), b)
			last := tt.last.list[len(tt.last.list)-1]
			if _, _, ok := last.BasicAuth(); ok != tt.keeps {
				t.Errorf("credential at the end: %v, want %v", ok, tt.keeps)
			}
			if last.Referer() != "" {
				t.Errorf("Referer %q", last.Referer())
			}
		})
	}
}

// loopback is an HTTP client for which every name is this machine.
func loopback() *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}}
}

func TestEndlessRedirect(t *testing.T) {
	srv, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/"+strconv.Itoa(n), http.StatusFound)
	})
	r := newRig(t, func(d *Deps) { d.Retries = -1 })
	if _, err := r.Fetch(t.Context(), file(srv, content(1)), nil); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("error %v", err)
	}
	if len(q.list) > 11 {
		t.Errorf("%d requests", len(q.list))
	}
}
