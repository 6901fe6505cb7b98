package index

import (
	"errors"
	"fmt"
	"io"
	"net/url"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parseHTML reads a page of PEP 503 that was found at base. A link is all that counts in it; how the page is
// built up around its links is the index's own affair.
func parseHTML(r io.Reader, base *url.URL) ([]Listed, error) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(1 << 20) // of one tag or text
	var out []Listed
	based := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			return out, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := atom.Lookup(name)
			if !more || (tag != atom.A && tag != atom.Base && tag != atom.Meta) {
				continue
			}
			attrs := attributes(z)
			switch tag {
			case atom.A:
				if l, ok := anchor(base, attrs); ok {
					out = append(out, l)
				}
				if len(out) > maxPageFiles {
					return nil, fmt.Errorf("the page lists more than %d files", maxPageFiles)
				}
			case atom.Base:
				if u, err := base.Parse(attrs["href"]); err == nil && !based && attrs["href"] != "" {
					base, based = u, true
				}
			case atom.Meta:
				if attrs["name"] == "pypi:repository-version" {
					if err := checkVersion(attrs["content"]); err != nil {
						return nil, err
					}
				}
			}
		}
	}
}

// attributes returns the present tag's attributes. Of one given twice the first counts, as in browsers.
func attributes(z *html.Tokenizer) map[string]string {
	out := map[string]string{}
	for more := true; more; {
		var k, v []byte
		k, v, more = z.TagAttr()
		if _, twice := out[string(k)]; !twice {
			out[string(k)] = string(v)
		}
	}
	return out
}

// anchor reads a link with the attributes of PEP 503, 592, 658 and 714.
func anchor(base *url.URL, attrs map[string]string) (Listed, bool) {
	href, ok := attrs["href"]
	if !ok {
		return Listed{}, false
	}
	l, ok := listed(base, href)
	if !ok {
		return Listed{}, false
	}
	l.RequiresPython = attrs["data-requires-python"]
	l.YankedReason, l.Yanked = attrs["data-yanked"]
	for _, name := range []string{"data-core-metadata", "data-dist-info-metadata"} {
		if v, ok := attrs[name]; ok && v != "false" {
			l.Metadata = true
		}
	}
	return l, true
}
