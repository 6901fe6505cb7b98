package index

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// PyPI is the index of those who name none.
const PyPI = "https://pypi.org/simple"

// Settings is what the environment says of indexes.
type Settings struct {
	Default string  // an index's URL; empty: none is named
	Name    string  // of the default index; may be empty
	Extra   []Index // before the default, in this order
	Named   []NamedLogin
	Keyring bool // ask the keyring command
}

// FromEnvironment reads the variables of uv and, for what they leave open, of pip. Neither pip.conf nor
// uv.toml is read: uv does not read the first, and reads the second itself where it resolves.
func FromEnvironment(environ []string) Settings {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" {
			env[k] = v
		}
	}
	var s Settings
	def := split(first(env, "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"))
	s.Default, s.Name = def.URL, def.Name
	for _, name := range []string{"UV_INDEX", "UV_EXTRA_INDEX_URL"} {
		for _, f := range strings.Fields(env[name]) {
			s.Extra = append(s.Extra, split(f))
		}
	}
	if len(s.Extra) == 0 {
		for _, f := range strings.Fields(env["PIP_EXTRA_INDEX_URL"]) {
			s.Extra = append(s.Extra, Index{URL: f})
		}
	}
	s.Keyring = env["UV_KEYRING_PROVIDER"] == "subprocess" || env["PIP_KEYRING_PROVIDER"] == "subprocess"
	s.Named = namedLogins(env)
	return s
}

// Indexes lists every index of s in the order in which they are asked.
func (s Settings) Indexes() []Index {
	def := Index{Name: s.Name, URL: s.Default}
	if def.URL == "" {
		def.URL = PyPI
	}
	return append(slices.Clone(s.Extra), def)
}

func namedLogins(env map[string]string) []NamedLogin {
	byName := map[string]*NamedLogin{}
	for k, v := range env {
		rest, ok := strings.CutPrefix(k, "UV_INDEX_")
		if !ok {
			continue
		}
		name, isUser := strings.CutSuffix(rest, "_USERNAME")
		if !isUser {
			if name, ok = strings.CutSuffix(rest, "_PASSWORD"); !ok {
				continue
			}
		}
		n := byName[name]
		if n == nil {
			n = &NamedLogin{Name: name}
			byName[name] = n
		}
		if isUser {
			n.Login = v
		} else {
			n.Password = v
		}
	}
	var out []NamedLogin
	for _, n := range byName {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b NamedLogin) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func first(env map[string]string, names ...string) string {
	for _, n := range names {
		if v := env[n]; v != "" {
			return v
		}
	}
	return ""
}

// split reads NAME=URL or URL, as in UV_INDEX.
func split(s string) Index {
	name, rest, ok := strings.Cut(s, "=")
	if ok && name != "" && !strings.ContainsAny(name, ":/?#@.") {
		return Index{Name: name, URL: rest}
	}
	return Index{URL: s}
}

// FromPyproject lists the indexes that a pyproject.toml names for uv and poetry. A project's file can so send the
// login of a named index to an address of its choice; uv, whose names these are, lets it too.
func FromPyproject(pyproject []byte) ([]Index, error) {
	type named struct {
		Name string `toml:"name"`
		URL  string `toml:"url"`
	}
	var doc struct {
		Tool struct {
			UV struct {
				Index []named `toml:"index"`
			} `toml:"uv"`
			Poetry struct {
				Source []named `toml:"source"`
			} `toml:"poetry"`
		} `toml:"tool"`
	}
	if err := toml.Unmarshal(pyproject, &doc); err != nil {
		return nil, fmt.Errorf("read the indexes of pyproject.toml: %w", err)
	}
	var out []Index
	for _, n := range append(doc.Tool.UV.Index, doc.Tool.Poetry.Source...) {
		if n.URL != "" {
			out = append(out, Index(n))
		}
	}
	return out, nil
}
