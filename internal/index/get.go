package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// userAgent names this program to servers, who like to know whom to write to.
const userAgent = "imgspecd (+https://github.com/imgspecd/imgspecd)"

// bufferSize is how much is read at a time. With 16 downloads at a time it is 2 MB in all.
const bufferSize = 128 << 10

// get asks a server for what is missing of p and appends it.
func (c *Client) get(ctx context.Context, p *part) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(c.deps.Stall, func() { cancel(errStalled) })
	defer stall.Stop()

	req, anonymous, err := c.request(ctx, p)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", redact(p.file.URL), cause(ctx, bare(err)))
	}
	defer resp.Body.Close()
	if err := c.accept(p, resp, anonymous); err != nil {
		return err
	}
	buf := make([]byte, bufferSize)
	for {
		n, rerr := resp.Body.Read(buf)
		if n > 0 {
			stall.Reset(c.deps.Stall)
			if _, err := p.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(rerr, io.EOF):
			// A body without a length, or a part of a range, ends like one that was cut off. The size in the lock tells.
			if p.file.Size > 0 && p.size < p.file.Size {
				return fmt.Errorf("get %s: %w", redact(p.file.URL), io.ErrUnexpectedEOF)
			}
			return nil
		case rerr != nil:
			return fmt.Errorf("get %s: %w", redact(p.file.URL), cause(ctx, bare(rerr)))
		}
	}
}

// request makes the request for what is missing of p; anonymous says that it carries no credential.
func (c *Client) request(ctx context.Context, p *part) (req *http.Request, anonymous bool, err error) {
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, p.file.URL, nil)
	if err != nil {
		return nil, false, &localError{fmt.Errorf("%s is not a URL that can be fetched", redact(p.file.URL))}
	}
	if req.URL.Scheme != "https" && req.URL.Scheme != "http" {
		return nil, false, &localError{fmt.Errorf("%s is not a URL that can be fetched", redact(p.file.URL))}
	}
	anonymous = !c.logins.authorize(req)
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity") // hash and offsets are those of the file itself
	if p.size > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(p.size, 10)+"-")
		if p.etag != "" {
			req.Header.Set("If-Range", p.etag)
		}
	}
	return req, anonymous, nil
}

// accept decides by the response's head what its body is: the rest of the file, all of it, or none of it.
func (c *Client) accept(p *part, resp *http.Response, anonymous bool) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		start, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if !ok || start != p.size || (p.file.Size > 0 && total >= 0 && total != p.file.Size) {
			return fmt.Errorf("get %s: %w", redact(p.file.URL), errBadResume)
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		if p.size > 0 {
			return c.acceptNoRest(p, resp)
		}
	case http.StatusOK:
		if p.size > 0 {
			if err := p.reset(); err != nil {
				return &localError{err}
			}
		}
		if n := resp.ContentLength; n >= 0 && p.file.Size > 0 && n != p.file.Size {
			return p.mismatch("size", strconv.FormatInt(p.file.Size, 10)+" bytes", strconv.FormatInt(n, 10))
		}
		p.remember(strongETag(resp.Header.Get("ETag")))
		return nil
	}
	return &StatusError{
		Code:       resp.StatusCode,
		URL:        redact(p.file.URL),
		RetryAfter: c.retryAfter(resp.Header.Get("Retry-After")),
		Anonymous:  anonymous,
	}
}

// acceptNoRest takes "there is nothing from that offset on": right if all is held, which only the server could know.
func (c *Client) acceptNoRest(p *part, resp *http.Response) error {
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if n, err := strconv.ParseInt(total, 10, 64); err != nil || n != p.size {
		return fmt.Errorf("get %s: %w", redact(p.file.URL), errBadResume)
	}
	resp.Body = http.NoBody // what it says is no part of the file
	return nil
}

// parseContentRange reads "bytes START-END/TOTAL"; total is -1 for "*".
func parseContentRange(s string) (start, total int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, false
	}
	first, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 {
		return 0, 0, false
	}
	if size == "*" {
		return start, -1, true
	}
	total, err = strconv.ParseInt(size, 10, 64)
	return start, total, err == nil && total > start
}

// strongETag returns an ETag that If-Range may use (RFC 9110, 13.1.5), else "".
func strongETag(etag string) string {
	if !strings.HasPrefix(etag, `"`) {
		return ""
	}
	return etag
}

// retryAfter reads a Retry-After header: seconds, or a date.
func (c *Client) retryAfter(v string) time.Duration {
	if v == "" {
		return 0
	}
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(max(s, 0)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(c.now()), 0)
	}
	return 0
}

// cause returns why ctx ended, if it did; else err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
