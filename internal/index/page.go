package index

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
)

// Limits on what an index may answer. The longest page of PyPI has some 15,000 files in 12 MB (2026).
const (
	maxPageBytes = 64 << 20
	maxPageFiles = 200_000
)

// Listed is one file as an index lists it.
type Listed struct {
	Filename       string
	URL            string // absolute, without fragment
	SHA256         string // hex; empty where the index tells none
	Size           int64  // bytes; 0 where the index does not tell
	RequiresPython string
	Yanked         bool
	YankedReason   string
	Metadata       bool // the core metadata is at URL + ".metadata" (PEP 658, 714)
}

// jsonPage is a project's page as PEP 691 and PEP 700 have it. What is only informative may have any shape.
type jsonPage struct {
	Meta struct {
		Version string `json:"api-version"`
	} `json:"meta"`
	Files []jsonFile `json:"files"`
}

type jsonFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	Size           int64             `json:"size"`
	RequiresPython string            `json:"requires-python"`
	Yanked         json.RawMessage   `json:"yanked"`
	Core           json.RawMessage   `json:"core-metadata"`
	DistInfo       json.RawMessage   `json:"dist-info-metadata"`
}

// parseJSON reads a page of PEP 691 that was found at base.
func parseJSON(r io.Reader, base *url.URL) ([]Listed, error) {
	var page jsonPage
	if err := json.NewDecoder(r).Decode(&page); err != nil {
		var limit *limitError
		if errors.As(err, &limit) {
			return nil, err
		}
		return nil, fmt.Errorf("the page is not JSON of a package index: %w", jsonReason(err))
	}
	if err := checkVersion(page.Meta.Version); err != nil {
		return nil, err
	}
	if len(page.Files) > maxPageFiles {
		return nil, fmt.Errorf("the page lists %d files; at most %d are read", len(page.Files), maxPageFiles)
	}
	out := make([]Listed, 0, len(page.Files))
	for _, f := range page.Files {
		l, ok := listed(base, f.URL)
		if !ok {
			continue
		}
		if f.Filename != "" && !strings.ContainsAny(f.Filename, "/\\\x00") {
			l.Filename = f.Filename
		}
		if h, ok := digest(f.Hashes["sha256"]); ok {
			l.SHA256 = h
		}
		l.Size = max(f.Size, 0)
		l.RequiresPython = f.RequiresPython
		l.Yanked, l.YankedReason = flag(f.Yanked)
		core, _ := flag(f.Core)
		info, _ := flag(f.DistInfo)
		l.Metadata = core || info
		out = append(out, l)
	}
	return out, nil
}

// jsonReason keeps a syntax error's own words, and none of the page's.
func jsonReason(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("%q is of the wrong kind", kind.Field)
	}
	return err
}

// flag reads a value that is false, or true, or a text or table that also means true.
func flag(raw json.RawMessage) (set bool, text string) {
	switch s := string(raw); {
	case s == "" || s == "null" || s == "false":
		return false, ""
	case s[0] == '"':
		_ = json.Unmarshal(raw, &text)
	}
	return true, text
}

// checkVersion refuses pages of a future repository API; one without a version is of the first.
func checkVersion(v string) error {
	if major, _, _ := strings.Cut(v, "."); major != "" && major != "1" {
		return fmt.Errorf("the index speaks version %.20q of the repository API, and imgspecd version 1", v)
	}
	return nil
}

// listed resolves a link of a page. Only the web is linked to: a page must not name files of this machine.
func listed(base *url.URL, href string) (Listed, bool) {
	u, err := base.Parse(strings.TrimSpace(href))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return Listed{}, false
	}
	var l Listed
	for part := range strings.SplitSeq(u.Fragment, "&") {
		if h, ok := strings.CutPrefix(part, "sha256="); ok {
			if h, ok := digest(h); ok {
				l.SHA256 = h
			}
		}
	}
	u.Fragment, u.RawFragment = "", ""
	l.Filename = path.Base(u.Path)
	if l.Filename == "." || l.Filename == "/" || strings.ContainsAny(l.Filename, "\\\x00") {
		return Listed{}, false
	}
	l.URL = u.String()
	return l, true
}

// digest returns a sha256 in lower case, if it is one.
func digest(s string) (string, bool) {
	if raw, err := hex.DecodeString(s); err != nil || len(raw) != 32 {
		return "", false
	}
	return strings.ToLower(s), true
}

// limitError says that a page is longer than is read.
type limitError struct{}

func (*limitError) Error() string {
	return fmt.Sprintf("the page is longer than %d MB", maxPageBytes>>20)
}

// limited reads at most n bytes, and says so when there are more.
type limited struct {
	r io.Reader
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, &limitError{}
	}
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.r.Read(p)
	l.n -= int64(n)
	return n, err
}
