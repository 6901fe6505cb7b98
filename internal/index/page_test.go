package index

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestParseHTML(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want []Listed
	}{
		"PyPI": {`<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4"><title>Links for x</title></head><body>
			<a href="https://files.example/a/x-1.whl#sha256=` + sumA + `" data-requires-python="&gt;=3.9,&lt;4" data-dist-info-metadata="sha256=` + sumB + `" data-core-metadata="sha256=` + sumB + `">x-1.whl</a><br />`,
			[]Listed{{Filename: "x-1.whl", URL: "https://files.example/a/x-1.whl", SHA256: sumA, RequiresPython: ">=3.9,<4", Metadata: true}}},
		"relative, upper-case hash": {`<A HREF='../../packages/x-1.whl#sha256=` + strings.ToUpper(sumA) + `'>x</A>`,
			[]Listed{{Filename: "x-1.whl", URL: "https://i.example/packages/x-1.whl", SHA256: sumA}}},
		"signed, with an entity": {`<a href="/p/x%2B1.whl?sig=1&amp;t=2#egg=x&sha256=` + sumA + `">`,
			[]Listed{{Filename: "x+1.whl", URL: "https://i.example/p/x%2B1.whl?sig=1&t=2", SHA256: sumA}}},
		"base": {`<base href="https://cdn.example/r/"><base href="https://no.example/"><a href="x.whl">`,
			[]Listed{{Filename: "x.whl", URL: "https://cdn.example/r/x.whl"}}},
		"yanked": {`<a data-yanked href="x.whl"></a><a data-yanked="broken" href="y.whl">`,
			[]Listed{{Filename: "x.whl", URL: "https://i.example/simple/x/x.whl", Yanked: true}, {Filename: "y.whl", URL: "https://i.example/simple/x/y.whl", Yanked: true, YankedReason: "broken"}}},
		"no metadata":          {`<a data-core-metadata="false" href="x.whl">`, []Listed{{Filename: "x.whl", URL: "https://i.example/simple/x/x.whl"}}},
		"another hash":         {`<a href="x.whl#md5=0123">`, []Listed{{Filename: "x.whl", URL: "https://i.example/simple/x/x.whl"}}},
		"not the web":          {`<a href="file:///etc/passwd"><a href="javascript:x"><a href="mailto:a@b"><a name=x><a href="://"><a href="https://">`, nil},
		"in a comment":         {`<!-- <a href="x.whl"> --><script>"<a href='y.whl'>"</script>`, nil},
		"of the site's layout": {`<a href="/">`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseHTML(strings.NewReader(tt.in), pageBase(t))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseJSON(t *testing.T) {
	in := `{"meta":{"api-version":"1.3","_last-serial":1},"name":"x","versions":["1"],"files":[
		{"filename":"x-1.whl","url":"https://files.example/x-1.whl","hashes":{"sha256":"` + sumA + `","md5":"0"},"requires-python":">=3.9","size":7,
		 "yanked":false,"core-metadata":{"sha256":"` + sumB + `"},"data-dist-info-metadata":false,"provenance":null,"upload-time":"2026-01-01T00:00:00Z"},
		{"filename":"x-2.whl","url":"x-2.whl","hashes":{},"requires-python":null,"yanked":"broken"},
		{"filename":"x-3.whl","url":"file:///x-3.whl","hashes":{}},
		{"filename":"../x-4.whl","url":"/p/x-4.whl","hashes":{"sha256":"../../x"},"yanked":true,"dist-info-metadata":true,"size":-1}]}`
	want := []Listed{
		{Filename: "x-1.whl", URL: "https://files.example/x-1.whl", SHA256: sumA, Size: 7, RequiresPython: ">=3.9", Metadata: true},
		{Filename: "x-2.whl", URL: "https://i.example/simple/x/x-2.whl", Yanked: true, YankedReason: "broken"},
		{Filename: "x-4.whl", URL: "https://i.example/p/x-4.whl", Yanked: true, Metadata: true},
	}
	got, err := parseJSON(strings.NewReader(in), pageBase(t))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParsePageErrors(t *testing.T) {
	for in, want := range map[string]string{
		`{"meta":{"api-version":"2.0"},"files":[]}`: "version \"2.0\"",
		`{"files":3}`:        `"files" is of the wrong kind`,
		`{"files":[`:         "not JSON of a package index",
		`<html>sign in here`: "not JSON of a package index",
	} {
		if _, err := parseJSON(strings.NewReader(in), pageBase(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", in, err, want)
		}
	}
	if _, err := parseHTML(strings.NewReader(`<meta name="pypi:repository-version" content="2.1">`), pageBase(t)); err == nil {
		t.Error("a page of version 2 was read")
	}
	endless := &limited{r: endlessly("<a href='x.whl'>"), n: 100_000}
	if _, err := parseHTML(endless, pageBase(t)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an endless page: %v", err)
	}
	if _, err := parseHTML(endlessly("<a href='x.whl'>"), pageBase(t)); err == nil || !strings.Contains(err.Error(), "more than 200000 files") {
		t.Errorf("endless links: %v", err)
	}
}

type endlessly string

func (e endlessly) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

func pageBase(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse("https://i.example/simple/x/")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Whatever a page holds, what is taken from it is a file of the web with a plain name and a whole hash.
func checkListed(t *testing.T, files []Listed) {
	t.Helper()
	for _, l := range files {
		u, err := url.Parse(l.URL)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Fragment != "" {
			t.Errorf("URL %q", l.URL)
		}
		if l.Filename == "" || strings.ContainsAny(l.Filename, "/\\\x00") {
			t.Errorf("file name %q", l.Filename)
		}
		if _, ok := digest(l.SHA256); l.SHA256 != "" && !ok {
			t.Errorf("hash %q", l.SHA256)
		}
	}
}

func FuzzParseHTML(f *testing.F) {
	f.Add(`<base href="//h/"><a href="x.whl#sha256=` + sumA + `" data-yanked data-requires-python="&gt;3">x</a>`)
	f.Add(`<meta name="pypi:repository-version" content="1.0"><A href='../%2e%2e/x%2F..%00'>`)
	f.Fuzz(func(t *testing.T, in string) {
		files, err := parseHTML(strings.NewReader(in), pageBase(t))
		if err != nil {
			return
		}
		checkListed(t, files)
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add(`{"meta":{"api-version":"1.0"},"files":[{"filename":"x.whl","url":"x.whl","hashes":{"sha256":"` + sumA + `"},"yanked":"y"}]}`)
	f.Add(fmt.Sprintf(`{"files":[{"filename":"..","url":"https:x%%2F","size":%d}]}`, int64(-1)<<40))
	f.Fuzz(func(t *testing.T, in string) {
		files, err := parseJSON(strings.NewReader(in), pageBase(t))
		if err != nil {
			return
		}
		checkListed(t, files)
	})
}
