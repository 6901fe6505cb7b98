package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

func TestInfo(t *testing.T) {
	d := serve(t, &fake{})
	i, err := d.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.Version != "9.9.9" || i.API != "v1" || i.PID == 0 || i.StartedAt.IsZero() || i.Socket != d.socket || i.StateDir != "/state" || i.Projects != 2 {
		t.Errorf("%+v", i)
	}
}

func TestProjects(t *testing.T) {
	var removed string
	d := serve(t, &fake{
		projects: func() []api.Project { return []api.Project{{ID: "p1", Dir: "/d"}} },
		addProject: func(req api.AddProject) (api.Project, error) {
			return api.Project{ID: "new", Dir: req.Dir, Env: req.Env}, nil
		},
		removeProject: func(ref string) error {
			if removed = ref; ref == "gone" {
				return notFound("project gone")
			}
			return nil
		},
	})
	if l, err := d.client.Projects(t.Context()); err != nil || len(l) != 1 || l[0].ID != "p1" {
		t.Errorf("%v, %v", l, err)
	}
	p, err := d.client.AddProject(t.Context(), api.AddProject{Dir: "/a b/ü", Env: map[string]string{"A": "1"}})
	if err != nil || p.Dir != "/a b/ü" || p.Env["A"] != "1" {
		t.Errorf("%v, %v", p, err)
	}
	wantCode(t, second(d.client.AddProject(t.Context(), api.AddProject{Dir: "rel"})), api.CodeBadRequest)
	for _, ref := range []string{"p1", "/home/u/my project", "/", "50%", "a?b#c", ".", "..", "/a/../b"} {
		if err := d.client.RemoveProject(t.Context(), ref); err != nil || removed != ref {
			t.Errorf("removing %q removed %q: %v", ref, removed, err)
		}
	}
	wantCode(t, d.client.RemoveProject(t.Context(), "gone"), api.CodeNotFound)
}

func TestImages(t *testing.T) {
	var asked string
	d := serve(t, &fake{
		images: func() []api.Image { return []api.Image{{Name: "a:1"}} },
		findImage: func(_ context.Context, ref string) (api.Image, error) {
			asked = ref
			return api.Image{Name: ref, State: api.Ready}, nil
		},
	})
	l, err := d.client.Images(t.Context())
	if err != nil || len(l) != 1 || l[0].Targets == nil || l[0].Progress == nil {
		t.Errorf("%+v, %v", l, err)
	}
	// Names hold slashes and colons, and what a person types may hold anything.
	for _, ref := range []string{"acme/churn:Zk3f..", "localhost:5000/a/b:t", "churn/train", "/home/u/p", "x%2Fy", "a b", "a?wait=1h", "..", "a//b", "/", "a/"} {
		img, err := d.client.Image(t.Context(), ref, 0)
		if err != nil || asked != ref || img.Name != ref {
			t.Errorf("%q was asked as %q: %v", ref, asked, err)
		}
	}
	// By hand, slashes need no escape.
	resp, err := d.raw().Get("http://x/v1/images/acme/churn:Zk3f")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || asked != "acme/churn:Zk3f" {
		t.Errorf("%s, asked %q", resp.Status, asked)
	}
}

func TestImageWait(t *testing.T) {
	got := make(chan time.Duration, 1)
	state := api.Building
	d := serve(t, &fake{waitImage: func(ctx context.Context, ref string) (api.Image, error) {
		deadline, _ := ctx.Deadline()
		got <- time.Until(deadline)
		if ref == "slow" {
			<-ctx.Done()
			return api.Image{Name: ref, State: state}, nil
		}
		return api.Image{Name: ref, State: api.Ready}, nil
	}})
	img, err := d.client.Image(t.Context(), "fast", -1)
	if err != nil || img.State != api.Ready {
		t.Fatalf("%v, %v", img, err)
	}
	if w := <-got; w > time.Minute || w < 50*time.Second {
		t.Errorf("the daemon was asked to wait %s", w)
	}
	start := time.Now()
	img, err = d.client.Image(t.Context(), "slow", 50*time.Millisecond)
	if err != nil || img.State != api.Building || time.Since(start) > 5*time.Second {
		t.Errorf("%v, %v after %s", img, err, time.Since(start))
	}
	<-got
	// A wait of a client that leaves ends in the engine too, and the client says why.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = d.client.Image(ctx, "slow", -1)
	var e *api.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) {
		t.Errorf("%v", err)
	}
	<-got
	for wait, want := range map[string]int{"": 200, "5": 400, "11m": 400, "-1s": 400, "x": 400, "10m": 200} {
		resp, err := d.raw().Get("http://x/v1/images/fast?wait=" + wait)
		if wait == "" {
			resp, err = d.raw().Get("http://x/v1/images/fast?wait=1s")
		}
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("wait=%s: %s", wait, resp.Status)
		}
		if want == 200 {
			<-got
		}
	}
}

func TestBuilds(t *testing.T) {
	b := api.Build{ID: "b1", State: api.Building}
	d := serve(t, &fake{
		builds: func(project string, limit int) []api.Build {
			return []api.Build{{ID: fmt.Sprintf("%s/%d", project, limit)}}
		},
		build: func(id string) (api.Build, error) {
			if id != "b1" {
				return api.Build{}, notFound("build " + id)
			}
			return b, nil
		},
		waitBuild: func(context.Context, string) (api.Build, error) {
			return api.Build{ID: "b1", State: api.Failed, Error: &api.Error{Code: api.CodeInvalid, Message: "m"}}, nil
		},
		cancelBuild: func(id string) (api.Build, error) { return api.Build{ID: id, State: api.Canceled}, nil },
		startBuild: func(req api.StartBuild) (api.BuildList, error) {
			return api.BuildList{Images: []api.Image{{Name: req.Image}}}, nil
		},
	})
	if l, err := d.client.Builds(t.Context(), "p", 7); err != nil || l[0].ID != "p/7" {
		t.Errorf("%v, %v", l, err)
	}
	if l, err := d.client.Builds(t.Context(), "", 0); err != nil || l[0].ID != "/0" {
		t.Errorf("%v, %v", l, err)
	}
	if got, err := d.client.Build(t.Context(), "b1"); err != nil || got.State != api.Building {
		t.Errorf("%v, %v", got, err)
	}
	wantCode(t, second(d.client.Build(t.Context(), "b2")), api.CodeNotFound)
	if got, err := d.client.WaitBuild(t.Context(), "b1"); err != nil || got.State != api.Failed || got.Error.Code != api.CodeInvalid {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.client.CancelBuild(t.Context(), "b1"); err != nil || got.State != api.Canceled {
		t.Errorf("%v, %v", got, err)
	}
	l, err := d.client.StartBuild(t.Context(), api.StartBuild{Image: "i", Force: true})
	if err != nil || l.Builds == nil || l.Images[0].Name != "i" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, req := range []api.StartBuild{{}, {Image: "a", Dir: "/b"}, {Dir: "rel"}} {
		wantCode(t, second(d.client.StartBuild(t.Context(), req)), api.CodeBadRequest)
	}
}

func TestExplain(t *testing.T) {
	d := serve(t, &fake{explain: func(_ context.Context, req api.Explain) (api.Explanation, error) {
		return api.Explanation{Name: req.Image, Spec: req.Spec}, nil
	}})
	x, err := d.client.Explain(t.Context(), api.Explain{Spec: json.RawMessage(`{"name":"x"}`), Dir: "/p"})
	if err != nil || string(x.Spec) != `{"name":"x"}` {
		t.Errorf("%v, %v", x, err)
	}
	for _, req := range []api.Explain{{}, {Image: "a", Spec: json.RawMessage(`{}`)}, {Spec: json.RawMessage(`{}`)}, {Spec: json.RawMessage(`{}`), Dir: "rel"}} {
		wantCode(t, second(d.client.Explain(t.Context(), req)), api.CodeBadRequest)
	}
}

func TestLog(t *testing.T) {
	r, w := io.Pipe()
	d := serve(t, &fake{log: func(_ context.Context, id string, follow bool) (io.ReadCloser, error) {
		if id != "b1" {
			return nil, notFound("build")
		}
		if follow {
			return r, nil
		}
		return io.NopCloser(strings.NewReader("all\n")), nil
	}})
	wantCode(t, second(d.client.Log(t.Context(), "b2", true)), api.CodeNotFound)
	log, err := d.client.Log(t.Context(), "b1", false)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(log); string(all) != "all\n" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	log.Close()
	log, err = d.client.Log(t.Context(), "b1", true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	buf := make([]byte, 16)
	for _, line := range []string{"one\n", "two\n"} { // each arrives as it is written
		go io.WriteString(w, line)
		if n, err := log.Read(buf); string(buf[:n]) != line || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	w.Close()
	if n, err := log.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}

func TestLogThatBreaksIsSeenToBreak(t *testing.T) {
	d := serve(t, &fake{log: func(context.Context, string, bool) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), errReader{})), nil
	}})
	log, err := d.client.Log(t.Context(), "b1", false)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if got, err := io.ReadAll(log); err == nil {
		t.Errorf("%q looked whole", got)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("disk is gone") }

func TestFailures(t *testing.T) {
	d := serve(t, &fake{
		findImage: func(_ context.Context, ref string) (api.Image, error) {
			switch ref {
			case "typed":
				return api.Image{}, fmt.Errorf("find it: %w", &api.Error{Code: api.CodeConflict, Message: "two", Hint: "one"})
			case "panic":
				panic("boom")
			}
			return api.Image{}, errors.New("plain")
		},
		addProject: func(api.AddProject) (api.Project, error) { return api.Project{}, nil },
	})
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code               api.Code
		message            string
	}{
		"typed":         {"GET", "/v1/images/typed", "", 409, api.CodeConflict, "two"},
		"plain":         {"GET", "/v1/images/plain", "", 500, api.CodeInternal, "plain"},
		"panic":         {"GET", "/v1/images/panic", "", 500, api.CodeInternal, "its log says more"},
		"no image":      {"GET", "/v1/images/", "", 400, api.CodeBadRequest, "which image?"},
		"no route":      {"GET", "/v2/info", "", 404, api.CodeNotFound, "there is no /v2/info"},
		"method":        {"PUT", "/v1/builds", "", 405, api.CodeBadRequest, "/v1/builds does not take PUT, but GET and POST"},
		"empty body":    {"POST", "/v1/projects", "", 400, api.CodeBadRequest, "the body is empty"},
		"no JSON":       {"POST", "/v1/projects", "{", 400, api.CodeBadRequest, "read the body"},
		"unknown field": {"POST", "/v1/projects", `{"dir":"/x","trust":true}`, 400, api.CodeBadRequest, `a field that is not known: "trust"`},
		"wrong type":    {"POST", "/v1/projects", `{"dir":1}`, 400, api.CodeBadRequest, "dir"},
		"two values":    {"POST", "/v1/projects", `{"dir":"/x"} {}`, 400, api.CodeBadRequest, "more than one JSON value"},
		"huge body":     {"POST", "/v1/projects", `{"dir":"/` + strings.Repeat("x", 2<<20) + `"}`, 400, api.CodeBadRequest, "larger than 1048576 bytes"},
		"since":         {"GET", "/v1/events?since=x", "", 400, api.CodeBadRequest, "since"},
		"follow":        {"GET", "/v1/builds/b/log?follow=maybe", "", 400, api.CodeBadRequest, "follow"},
		"limit":         {"GET", "/v1/builds?limit=-1", "", 400, api.CodeBadRequest, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, "http://x"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := d.raw().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body api.ErrorBody
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Error == nil {
				t.Fatalf("%s: %v", resp.Status, err)
			}
			if resp.StatusCode != tt.status || body.Error.Code != tt.code || !strings.Contains(body.Error.Message, tt.message) {
				t.Errorf("%s %+v", resp.Status, body.Error)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %s", ct)
			}
		})
	}
	// The client gives back the error that the engine gave.
	_, err := d.client.Image(t.Context(), "typed", 0)
	var e *api.Error
	if !errors.As(err, &e) || !reflect.DeepEqual(e, &api.Error{Code: api.CodeConflict, Message: "two", Hint: "one"}) {
		t.Errorf("%#v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func wantCode(t *testing.T, err error, code api.Code) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%v, want code %s", err, code)
	}
}

func TestSpecs(t *testing.T) {
	var got api.PutSpec
	var forgotten string
	d := serve(t, &fake{
		putSpec: func(req api.PutSpec) (api.Image, error) {
			if got = req; req.Name == "" {
				return api.Image{}, &api.Error{Code: api.CodeBadRequest, Message: "name is missing"}
			}
			return api.Image{Name: req.Name, State: api.Queued}, nil
		},
		forgetSpec: func(ref string) error {
			if forgotten = ref; ref == "gone" {
				return notFound("image gone")
			}
			return nil
		},
	})
	// The order of members counts in a spec: it must come through as it was written.
	spec := `{"env":{"B":"1","A":"2"},"cpu":1.0}`
	im, err := d.client.PutSpec(t.Context(), api.PutSpec{Spec: json.RawMessage(spec), Dir: "/d", Flytekit: "1.16.31", Name: "a:t", Tag: "t", ID: "i", Modules: []string{"/d/x.py"}})
	if err != nil || im.Name != "a:t" || im.Targets == nil || string(got.Spec) != spec || len(got.Modules) != 1 || got.ID != "i" {
		t.Errorf("%+v, %v, got %+v", im, err, got)
	}
	wantCode(t, second(d.client.PutSpec(t.Context(), api.PutSpec{Spec: json.RawMessage(spec), Dir: "d", Name: "a:t"})), api.CodeBadRequest)
	wantCode(t, second(d.client.PutSpec(t.Context(), api.PutSpec{Dir: "/d", Name: "a:t"})), api.CodeBadRequest)
	wantCode(t, second(d.client.PutSpec(t.Context(), api.PutSpec{Spec: json.RawMessage(spec), Dir: "/d"})), api.CodeBadRequest)
	for _, ref := range []string{"churn/etl", "localhost:5000/a:t", "a b"} {
		if err := d.client.ForgetSpec(t.Context(), ref); err != nil || forgotten != ref {
			t.Errorf("forgetting %q forgot %q: %v", ref, forgotten, err)
		}
	}
	wantCode(t, d.client.ForgetSpec(t.Context(), "gone"), api.CodeNotFound)
}
