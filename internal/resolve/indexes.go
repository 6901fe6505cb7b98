package resolve

import (
	"regexp"
	"slices"
	"strings"
)

// pypi is the index that uv asks where none is named.
const pypi = "https://pypi.org/simple"

// address is a web address, as a pyproject.toml holds it.
var address = regexp.MustCompile(`https?://[^\s"'<>;,]+`)

// Indexes lists where the packages of req are looked for, sorted, without credentials. Of a pyproject.toml it lists all
// addresses. What cannot be read is left out; Resolve tells of it.
func (r *Resolver) Indexes(req Request) []string {
	j := &job{dir: req.Dir}
	_ = r.read(req, j)
	byDefault := !slices.Contains(j.options.args, "--no-index")
	var out []string
	for _, kv := range r.indexEnv(j) {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case varDefault, varOldDefault:
			byDefault = false
		case varIndex, varExtra, varLinks:
		default:
			continue
		}
		for _, u := range strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == ',' }) {
			if _, named, ok := strings.Cut(u, "=http"); ok { // UV_INDEX may say name=https://...
				u = "http" + named
			}
			out = append(out, u)
		}
	}
	if byDefault {
		out = append(out, pypi)
	}
	if j.project != nil {
		out = append(out, address.FindAllString(string(j.project.text), -1)...)
	}
	for i, u := range out {
		out[i] = strings.TrimSuffix(redact(u), "/")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
