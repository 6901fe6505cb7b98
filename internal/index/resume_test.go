package index

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestCutInTheMiddle(t *testing.T) {
	b := content(500_000)
	url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			cut(w, b, 200_000)
		}
		good(b)(n, w, r)
	})
	r := newRig(t, nil)
	r.fetch(t, file(url, b), b)
	if len(r.waits) != 1 || r.waits[0] <= 0 {
		t.Errorf("waited %v, want one wait", r.waits)
	}
	start, ok := strings.CutPrefix(q.list[1].Header.Get("Range"), "bytes=")
	if !ok || start == "0-" {
		t.Errorf("second request has Range %q, want a later start", q.list[1].Header.Get("Range"))
	}
	if got := q.list[1].Header.Get("If-Range"); got != `"v1"` {
		t.Errorf("second request has If-Range %q", got)
	}
}

func TestResume(t *testing.T) {
	b := content(400_000)
	other := content(400_001)[1:]
	tests := map[string]struct {
		left    []byte
		etag    string
		noSize  bool
		handle  func(int, http.ResponseWriter, *http.Request)
		ranges  []string // of the requests
		noWaits bool
	}{
		"continues":             {left: b[:150_000], etag: `"v1"`, handle: good(b), ranges: []string{"bytes=150000-"}, noWaits: true},
		"another ETag restarts": {left: other[:150_000], etag: `"v0"`, handle: good(b), ranges: []string{"bytes=150000-"}, noWaits: true},
		"range ignored restarts": {left: b[:150_000], ranges: []string{"bytes=150000-"}, noWaits: true,
			handle: func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }},
		"wrong offset restarts": {left: b[:150_000], ranges: []string{"bytes=150000-", ""}, noWaits: true,
			handle: func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					w.Header().Set("Content-Range", "bytes 149999-399999/400000")
					w.WriteHeader(http.StatusPartialContent)
					_, _ = w.Write(b[149_999:])
					return
				}
				good(b)(n, w, r)
			}},
		"another total restarts": {left: b[:150_000], ranges: []string{"bytes=150000-", ""}, noWaits: true,
			handle: func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					w.Header().Set("Content-Range", "bytes 150000-400999/401000")
					w.WriteHeader(http.StatusPartialContent)
					return
				}
				good(b)(n, w, r)
			}},
		"rotten start restarts":   {left: other[:150_000], etag: `"v1"`, handle: good(b), ranges: []string{"bytes=150000-", ""}, noWaits: true},
		"all there already":       {left: b, handle: good(b), noWaits: true},
		"more than all":           {left: append(b[:len(b):len(b)], 1, 2), handle: good(b), ranges: []string{""}, noWaits: true},
		"all there, size unknown": {left: b, noSize: true, handle: good(b), ranges: []string{"bytes=400000-"}, noWaits: true},
		"more than all, size unknown": {left: append(b[:len(b):len(b)], 1), noSize: true, handle: good(b),
			ranges: []string{"bytes=400001-", ""}, noWaits: true},
		"a range in small pieces": {left: b[:150_000], ranges: []string{"bytes=150000-", "bytes=250000-"},
			handle: func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					w.Header().Set("Content-Range", "bytes 150000-249999/400000")
					w.WriteHeader(http.StatusPartialContent)
					_, _ = w.Write(b[150_000:250_000])
					return
				}
				good(b)(n, w, r)
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, q := serve(t, tt.handle)
			r := newRig(t, nil)
			f := file(url, b)
			if tt.noSize {
				f.Size = 0
			}
			r.leave(t, f, tt.left, tt.etag)
			r.fetch(t, f, b)
			var ranges []string
			for _, req := range q.list {
				ranges = append(ranges, req.Header.Get("Range"))
			}
			if fmt.Sprint(ranges) != fmt.Sprint(tt.ranges) {
				t.Errorf("asked for ranges %q, want %q", ranges, tt.ranges)
			}
			if tt.noWaits && len(r.waits) > 0 {
				t.Errorf("waited %v", r.waits)
			}
		})
	}
}
