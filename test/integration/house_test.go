package integration

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// house is a package index of wheels that a test makes, with PEP 503's pages at /simple/.
type house struct {
	*httptest.Server
	wheels map[string][]byte // by filename
	login  atomic.Value      // canary that it wants; none: all are let in
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{wheels: map[string][]byte{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if login, wants := h.login.Load().(canary); wants && login != (canary{user, password}) {
		w.Header().Set("WWW-Authenticate", `Basic realm="house"`)
		http.Error(w, "who is it?", http.StatusUnauthorized)
		return
	}
	dir, name := path.Split(strings.TrimSuffix(r.URL.Path, "/"))
	page := ""
	switch dir {
	case "/files/":
		if data, ok := h.wheels[name]; ok {
			_, _ = w.Write(data)
			return
		}
	case "/simple/":
		for _, file := range slices.Sorted(maps.Keys(h.wheels)) {
			if project, _, _ := strings.Cut(file, "-"); project == name {
				sum := sha256.Sum256(h.wheels[file])
				page += fmt.Sprintf("<a href=\"/files/%s#sha256=%s\">%s</a>\n", file, hex.EncodeToString(sum[:]), file)
			}
		}
	}
	if page == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, page)
}

// put makes a pure wheel of version 1.0 and puts it up. Of the files in wrong, RECORD gives another hash than theirs.
func (h *house) put(t *testing.T, name string, files map[string]string, wrong ...string) {
	t.Helper()
	h.release(t, name, "1.0", files, wrong...)
}

// release is put, for any version.
func (h *house) release(t *testing.T, name, version string, files map[string]string, wrong ...string) {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	files = maps.Clone(files)
	files[info+"METADATA"] = "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"
	files[info+"WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
	record := ""
	for _, n := range slices.Sorted(maps.Keys(files)) {
		text := files[n]
		if slices.Contains(wrong, n) {
			text += "something else"
		}
		sum := sha256.Sum256([]byte(text))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[n]))
	}
	files[info+"RECORD"] = record + info + "RECORD,,\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range slices.Sorted(maps.Keys(files)) {
		f, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(f, files[n]) // into memory
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h.wheels[name+"-"+version+"-py3-none-any.whl"] = b.Bytes()
}
