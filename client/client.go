// Package client talks to imgspecd's daemon over its socket.
//
// A zero Client finds the socket where the daemon puts it. Every method takes
// its context first and mirrors one route; what is awaited is awaited by the
// daemon, in long polls, so nothing here sleeps and asks again. Every error is,
// or wraps, an *api.Error; errors.Is also finds context.Canceled and
// context.DeadlineExceeded behind it.
//
//	var c client.Client
//	img, err := c.Image(ctx, "churn/train", 10*time.Minute)
//
// It never starts a daemon.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// Client is safe for concurrent use. It must not be copied once used.
type Client struct {
	// Socket is the daemon's; empty: where api.SocketPath says for this environment.
	Socket string

	once sync.Once
	http *http.Client
}

// New returns a client of the daemon at socket; empty: the usual place.
func New(socket string) *Client { return &Client{Socket: socket} }

// dialTimeout bounds the connecting, which on one machine is a matter of microseconds.
const dialTimeout = 5 * time.Second

func (c *Client) init() {
	c.once.Do(func() {
		if c.Socket == "" {
			c.Socket = api.SocketPath(os.Getenv)
		}
		dialer := net.Dialer{Timeout: dialTimeout}
		c.http = &http.Client{
			Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return dialer.DialContext(ctx, "unix", c.Socket)
				},
				MaxIdleConns:    4,
				IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
}

// Close drops idle connections; the client may be used again.
func (c *Client) Close() {
	c.init()
	c.http.CloseIdleConnections()
}

// Info asks the daemon about itself.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	return call[api.Info](ctx, c, http.MethodGet, "/v1/info", nil, nil)
}

// Doctor asks what the machine has of what builds need. That takes seconds where something does not answer.
func (c *Client) Doctor(ctx context.Context) (api.Doctor, error) {
	return call[api.Doctor](ctx, c, http.MethodGet, "/v1/doctor", nil, nil)
}

// Projects lists the watched projects.
func (c *Client) Projects(ctx context.Context) ([]api.Project, error) {
	l, err := call[api.ProjectList](ctx, c, http.MethodGet, "/v1/projects", nil, nil)
	return l.Projects, err
}

// AddProject makes the daemon watch a directory.
func (c *Client) AddProject(ctx context.Context, req api.AddProject) (api.Project, error) {
	return call[api.Project](ctx, c, http.MethodPost, "/v1/projects", nil, req)
}

// RemoveProject ends the watch of a project, given by ID, name or directory.
func (c *Client) RemoveProject(ctx context.Context, idOrDir string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, "/v1/projects/"+escape(idOrDir), nil, nil)
	return err
}

// PutSpec teaches the daemon a spec that a run asked for, and returns its image.
func (c *Client) PutSpec(ctx context.Context, req api.PutSpec) (api.Image, error) {
	return call[api.Image](ctx, c, http.MethodPut, "/v1/specs", nil, req)
}

// ForgetSpec makes the daemon forget what runs taught it of an image, given by name, label, tag or ID.
func (c *Client) ForgetSpec(ctx context.Context, ref string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, "/v1/specs/"+escape(ref), nil, nil)
	return err
}

// Disk asks what the state directory holds.
func (c *Client) Disk(ctx context.Context) (api.Disk, error) {
	return call[api.Disk](ctx, c, http.MethodGet, "/v1/disk", nil, nil)
}

// Prune removes what no image under watch needs; it waits until no build runs.
func (c *Client) Prune(ctx context.Context, req api.Prune) (api.Pruned, error) {
	return call[api.Pruned](ctx, c, http.MethodPost, "/v1/prune", nil, req)
}

// Images lists the images of all projects.
func (c *Client) Images(ctx context.Context) ([]api.Image, error) {
	l, err := call[api.ImageList](ctx, c, http.MethodGet, "/v1/images", nil, nil)
	return l.Images, err
}

// Image returns one image, given by name, label, tag, ID or project. If its state
// is not final it waits for that, as long as wait says; negative: until ctx ends.
// That the wait is over is no error: look at the image's state.
func (c *Client) Image(ctx context.Context, ref string, wait time.Duration) (api.Image, error) {
	path := "/v1/images/" + escape(ref)
	return await(ctx, wait, func(q url.Values) (api.Image, bool, error) {
		img, err := call[api.Image](ctx, c, http.MethodGet, path, q, nil)
		return img, img.State.Final(), err
	})
}

// StartBuild asks for builds, and does not wait for them.
func (c *Client) StartBuild(ctx context.Context, req api.StartBuild) (api.BuildList, error) {
	return call[api.BuildList](ctx, c, http.MethodPost, "/v1/builds", nil, req)
}

// Builds lists builds, newest first: of one project, or of all if project is
// empty; at most limit, or as many as the daemon likes to tell if limit is 0.
func (c *Client) Builds(ctx context.Context, project string, limit int) ([]api.Build, error) {
	q := url.Values{}
	if project != "" {
		q.Set("project", project)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	l, err := call[api.BuildList](ctx, c, http.MethodGet, "/v1/builds", q, nil)
	return l.Builds, err
}

// Build returns one build as it is now.
func (c *Client) Build(ctx context.Context, id string) (api.Build, error) {
	return c.build(ctx, id, 0)
}

// WaitBuild returns a build when it has ended.
func (c *Client) WaitBuild(ctx context.Context, id string) (api.Build, error) {
	return c.build(ctx, id, -1)
}

func (c *Client) build(ctx context.Context, id string, wait time.Duration) (api.Build, error) {
	path := "/v1/builds/" + escape(id)
	return await(ctx, wait, func(q url.Values) (api.Build, bool, error) {
		b, err := call[api.Build](ctx, c, http.MethodGet, path, q, nil)
		return b, b.State.Final(), err
	})
}

// CancelBuild ends a build; one that has ended already is returned as it is.
func (c *Client) CancelBuild(ctx context.Context, id string) (api.Build, error) {
	return call[api.Build](ctx, c, http.MethodDelete, "/v1/builds/"+escape(id), nil, nil)
}

// Log opens a build's log; with follow it ends when the build does. Close it.
func (c *Client) Log(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	q := url.Values{}
	if follow {
		q.Set("follow", "1")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/builds/"+escape(id)+"/log", q, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Explain asks what an image is made of.
func (c *Client) Explain(ctx context.Context, req api.Explain) (api.Explanation, error) {
	return call[api.Explanation](ctx, c, http.MethodPost, "/v1/explain", nil, req)
}

// escape makes s one segment of a path, whatever it holds. Dots alone mean a
// directory to whoever cleans paths, so they are escaped too.
func escape(s string) string {
	if s == "." || s == ".." {
		return strings.Repeat("%2E", len(s))
	}
	return url.PathEscape(s)
}

// longPoll is how long one request waits at most: well under what the server
// allows, so that a broken connection is noticed.
const longPoll = time.Minute

// await asks until the answer is final or the wait is over; the daemon does the waiting.
func await[T any](ctx context.Context, wait time.Duration, ask func(url.Values) (T, bool, error)) (T, error) {
	if wait == 0 {
		v, _, err := ask(nil)
		return v, err
	}
	start := time.Now()
	for {
		poll := longPoll
		if wait > 0 {
			poll = min(poll, wait-time.Since(start))
		}
		v, final, err := ask(url.Values{"wait": {max(poll, 0).String()}})
		if err != nil || final || (wait > 0 && time.Since(start) >= wait) {
			return v, err
		}
		if err := ctx.Err(); err != nil {
			return v, wrap(ctx, "", err)
		}
	}
}

// call sends in (nil: no body) and decodes the answer. No content leaves T zero.
func call[T any](ctx context.Context, c *Client, method, path string, q url.Values, in any) (T, error) {
	var out T
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return out, &api.Error{Code: api.CodeBadRequest, Message: fmt.Sprintf("encode request: %v", err)}
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, wrap(ctx, c.Socket, fmt.Errorf("read answer to %s %s: %w", method, path, err))
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) // to its end, so that the connection is used again
	return out, nil
}

// do sends one request; an answer that is no success comes back as an error.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	c.init()
	if c.Socket == "" {
		return nil, &api.Error{
			Code: api.CodeNoDaemon, Message: "the daemon's socket cannot be found: neither XDG_RUNTIME_DIR nor HOME is set",
			Hint: "set IMGSPECD_SOCKET",
		}
	}
	u := "http://imgspecd" + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, &api.Error{Code: api.CodeBadRequest, Message: err.Error()}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, wrap(ctx, c.Socket, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp, method, path)
}

// refusal reads the error out of an answer.
func refusal(resp *http.Response, method, path string) error {
	var body api.ErrorBody
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if json.Unmarshal(data, &body) == nil && body.Error != nil && body.Error.Code != "" {
		return body.Error
	}
	return &api.Error{
		Code:    api.CodeInternal,
		Message: fmt.Sprintf("%s %s: the socket answered %s, which is not imgspecd's way", method, path, resp.Status),
	}
}

// wrap says what a failure to talk means.
func wrap(ctx context.Context, socket string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &ended{&api.Error{Code: api.CodeCanceled, Message: "interrupted"}, context.Canceled}
	case ctx.Err() != nil:
		return &ended{&api.Error{Code: api.CodeUnavailable, Message: "timed out waiting for the daemon's answer"}, ctx.Err()}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return &api.Error{
			Code: api.CodeNoDaemon, Message: "no imgspecd daemon is running (nothing answers at " + socket + ")",
			Hint: "start it with: imgspecd serve --detach",
		}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &api.Error{
			Code: api.CodeNotPermitted, Message: "the daemon's socket " + socket + " is another user's",
			Hint: "each user runs a daemon: imgspecd serve",
		}
	case errors.Is(err, syscall.EINVAL) && len(socket) > 100:
		return &api.Error{
			Code: api.CodeNoDaemon, Message: "the socket's path " + socket + " is too long for the system",
			Hint: "set a shorter one with --socket or IMGSPECD_SOCKET",
		}
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the made-up URL
	}
	return &api.Error{
		Code: api.CodeUnavailable, Message: fmt.Sprintf("talk to the daemon at %s: %v", socket, err),
		Hint: "it may just have stopped: imgspecd status",
	}
}

// ended is an *api.Error that still is the context's error.
type ended struct {
	err   *api.Error
	cause error
}

func (e *ended) Error() string   { return e.err.Error() }
func (e *ended) Unwrap() []error { return []error{e.err, e.cause} }
