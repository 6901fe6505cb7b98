package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// maxWait bounds ?wait=.
const maxWait = 10 * time.Minute

// limits are the time limits of a connection. Waits and streams have none as
// such: only a peer that does not take what is written to it is given up.
type limits struct {
	header time.Duration // to send the request's head
	body   time.Duration // to send its body
	write  time.Duration // to take one piece of a stream
	idle   time.Duration // between requests
}

var usual = limits{header: 5 * time.Second, body: 15 * time.Second, write: 30 * time.Second, idle: 2 * time.Minute}

// route is one line of the API. The OpenAPI document is made from it.
type route struct {
	method  string
	path    string // as net/http's patterns have it
	summary string
	query   []param
	in, out reflect.Type // JSON bodies; nil: none
	content string       // of the answer, where it is not application/json
	status  int          // of success
	handle  http.HandlerFunc
}

// param is one query parameter.
type param struct {
	name, kind, help string // kind: JSON schema's type
}

var waitParam = param{"wait", "string", "wait for a final state at most so long (30s, 5m; up to 10m), then answer with the present one"}

// server answers requests. Its zero state is all there is: what changes is the engine's.
type server struct {
	*Daemon
	streams context.Context //nolint:containedctx // the life of waits and streams, not of a call
	routes  []route
}

// routes is the API.
func (s *server) table() []route {
	typ := reflect.TypeOf
	return []route{
		{method: "GET", path: "/v1/info", summary: "What the daemon says of itself", out: typ(api.Info{}), handle: s.info},
		{method: "GET", path: "/v1/doctor", summary: "What the machine has of what builds need, as the daemon sees it", out: typ(api.Doctor{}), handle: s.doctor},

		{method: "GET", path: "/v1/projects", summary: "The watched projects", out: typ(api.ProjectList{}), handle: s.projects},
		{method: "POST", path: "/v1/projects", summary: "Watch a directory", in: typ(api.AddProject{}), out: typ(api.Project{}), handle: s.addProject},
		{method: "DELETE", path: "/v1/projects/{id...}", summary: "Watch a project no more (ID, name or directory)", status: http.StatusNoContent, handle: s.removeProject},

		{method: "PUT", path: "/v1/specs", summary: "Learn a spec that a run asked for, and answer with its image", in: typ(api.PutSpec{}), out: typ(api.Image{}), handle: s.putSpec},
		{method: "DELETE", path: "/v1/specs/{ref...}", summary: "Forget what a run taught (name, label, tag or ID of the image)", status: http.StatusNoContent, handle: s.forgetSpec},

		{method: "GET", path: "/v1/images", summary: "The images of all projects", out: typ(api.ImageList{}), handle: s.images},
		{method: "GET", path: "/v1/images/{ref...}", summary: "One image, by name, label, tag, ID or project", query: []param{waitParam}, out: typ(api.Image{}), handle: s.image},

		{method: "GET", path: "/v1/builds", summary: "Builds, newest first", query: []param{
			{"project", "string", "only this project's (ID, name or directory)"},
			{"limit", "integer", "at most so many"},
		}, out: typ(api.BuildList{}), handle: s.builds},
		{method: "POST", path: "/v1/builds", summary: "Build an image, or all of a project", in: typ(api.StartBuild{}), out: typ(api.BuildList{}), status: http.StatusAccepted, handle: s.startBuild},
		{method: "GET", path: "/v1/builds/{id}", summary: "One build", query: []param{waitParam}, out: typ(api.Build{}), handle: s.build},
		{method: "DELETE", path: "/v1/builds/{id}", summary: "Cancel a build", out: typ(api.Build{}), handle: s.cancelBuild},
		{method: "GET", path: "/v1/builds/{id}/log", summary: "The log of a build", query: []param{
			{"follow", "boolean", "go on until the build ends"},
		}, content: "text/plain; charset=utf-8", handle: s.buildLog},

		{method: "GET", path: "/v1/events", summary: "What happens, one event a line", query: []param{
			{"since", "integer", "begin with what happened after this event"},
			{"follow", "boolean", "go on with what is to come (the default)"},
		}, out: typ(api.Event{}), content: "application/x-ndjson", handle: s.events},
		{method: "POST", path: "/v1/explain", summary: "What an image is made of, without building it", in: typ(api.Explain{}), out: typ(api.Explanation{}), handle: s.explain},

		{method: "GET", path: "/v1/disk", summary: "What the state directory holds, and what of it is current", out: typ(api.Disk{}), handle: s.disk},
		{method: "POST", path: "/v1/prune", summary: "Remove what no image under watch needs, once no build runs", in: typ(api.Prune{}), out: typ(api.Pruned{}), handle: s.prune},

		{method: "GET", path: "/openapi.json", summary: "This description", content: "application/json", handle: s.openapi},
	}
}

// handler wires the table behind the checks that hold for every request.
func (d *Daemon) handler(streams context.Context) http.Handler {
	s := &server{Daemon: d, streams: streams}
	s.routes = s.table()
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, r := range s.routes {
		mux.HandleFunc(r.method+" "+r.path, r.handle)
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeStatus(w, http.StatusMethodNotAllowed, api.ErrorBody{Error: &api.Error{
				Code: api.CodeBadRequest, Message: fmt.Sprintf("%s does not take %s, but %s", r.URL.Path, r.Method, strings.Join(methods, " and ")),
			}})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &api.Error{Code: api.CodeNotFound, Message: "there is no " + r.URL.Path, Hint: "GET /openapi.json lists what there is"})
	})
	refuse := func(w http.ResponseWriter, e *api.Error) { writeError(w, e) }
	return s.observe(s.limitBody(admit(mux, refuse)))
}

// limitBody gives whoever reads the body a time: the handler, or the server when it passes over
// what the handler left. Once it was read to its end, net/http lifts the deadline.
func (s *server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.limits.body))
		}
		next.ServeHTTP(w, r)
	})
}

// observe logs every request and keeps a handler's panic from being a riddle to the client.
func (d *Daemon) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil && !errors.Is(asError(p), http.ErrAbortHandler) {
				d.deps.Log.Error("a handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if rec.status != 0 { // part of an answer is out: cut it, for it must not look whole
					panic(http.ErrAbortHandler)
				}
				writeError(rec, &api.Error{Code: api.CodeInternal, Message: "imgspecd failed to answer; its log says more"})
			} else if p != nil {
				panic(p)
			}
			d.deps.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "took", time.Since(start))
		}()
		next.ServeHTTP(rec, r)
	})
}

func asError(p any) error {
	err, _ := p.(error)
	return err
}

// recorder remembers the status; Unwrap lets http.ResponseController through.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // below, the answer is still to come
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
