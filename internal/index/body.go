package index

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// stalling reads a response, and puts off the end of patience with every byte.
type stalling struct {
	resp  *http.Response
	stall *time.Timer
	after time.Duration
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.resp.Body.Read(p)
	if n > 0 {
		s.stall.Reset(s.after)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{bare(err)}
	}
	return n, err
}

// parsePage reads a page by what its index says it is. Links are relative to where it was found in the end.
func parsePage(body io.Reader, resp *http.Response) ([]Listed, error) {
	base := *resp.Request.URL
	base.User = nil
	r := &limited{r: body, n: maxPageBytes}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = "text/html" // an index of plain files may not say
	}
	switch {
	case strings.HasSuffix(kind, "json"):
		return parseJSON(r, &base)
	case kind == "text/html", kind == "application/vnd.pypi.simple.v1+html", kind == "application/xhtml+xml":
		return parseHTML(r, &base)
	}
	return nil, fmt.Errorf("the answer is %.60q, neither JSON nor HTML of a package index", kind)
}

// freshness is how long an answer may be used without asking again (RFC 9111).
func freshness(h http.Header) time.Duration {
	var age time.Duration
	for d := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(d)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if s, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && s > 0 {
				age = time.Duration(min(s, int(maxFresh/time.Second))) * time.Second
			}
		}
	}
	if s, err := strconv.Atoi(h.Get("Age")); err == nil && s > 0 {
		age -= time.Duration(min(s, int(maxFresh/time.Second))) * time.Second
	}
	return max(age, 0)
}
