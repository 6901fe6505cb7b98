package daemon

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"time"
)

// Hurry shortens every time limit, so that tests need not sit them out.
func (d *Daemon) Hurry(limit time.Duration) {
	d.limits = limits{header: limit, body: limit, write: limit, idle: limit}
}

// Routes lists the route table as "METHOD path", paths as OpenAPI writes them.
func Routes() []string {
	var out []string
	for _, r := range (&server{Daemon: &Daemon{}}).table() {
		out = append(out, r.method+" "+wildcard.ReplaceAllString(r.path, "{$1}"))
	}
	return out
}

// FindRoute returns the route that a request takes: its name as in Routes, the
// types of its bodies, and its query parameters.
func FindRoute(method, path string) (name string, in, out reflect.Type, query []string, ok bool) {
	mux := http.NewServeMux()
	routes := (&server{Daemon: &Daemon{}}).table()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, r.handle)
	}
	_, pattern := mux.Handler(httptest.NewRequest(method, path, nil))
	for _, r := range routes {
		if pattern != r.method+" "+r.path {
			continue
		}
		for _, p := range r.query {
			query = append(query, p.name)
		}
		return r.method + " " + wildcard.ReplaceAllString(r.path, "{$1}"), r.in, r.out, query, true
	}
	return "", nil, nil, nil, false
}
