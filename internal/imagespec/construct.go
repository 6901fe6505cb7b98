package imagespec

import (
	"fmt"
	"regexp"
	"strings"
)

// construct is ImageSpec(...): it checks and completes the arguments as flytekit's __post_init__
// does, in its order, for the spec and for every spec inside it.
func (s Spec) construct(r rule, o Options) (Spec, error) {
	for _, f := range fieldNames {
		v := s.fields[f]
		if v != nil && r.unknown[f] {
			return s, &PythonError{Type: "TypeError", Field: f, Message: "ImageSpec.__init__() got an unexpected keyword argument '" + f + "'"}
		}
		nested, changed, err := constructInside(v, r, o)
		if err != nil {
			return s, fmt.Errorf("%s: %w", f, err)
		}
		if changed {
			s = s.with(f, nested)
		}
	}
	s, err := s.constructName(r)
	if err != nil {
		return s, err
	}
	if s, err = s.constructPlatform(r, o); err != nil {
		return s, err
	}
	if root := s.fields["source_root"]; !isNone(root) && !truthy(s.fields["source_copy_mode"]) {
		s = s.with("source_copy_mode", LoadedModules)
	}
	if r.defaultBuilder && isNone(s.fields["builder"]) {
		s = s.with("builder", Str(o.builder()))
	}
	return s, s.checkTypes()
}

// constructInside constructs the specs within a value.
func constructInside(v Value, r rule, o Options) (Value, bool, error) {
	switch v := v.(type) {
	case Spec:
		n, err := v.construct(r, o)
		return n, true, err
	case List:
		items, changed, err := constructItems(v, r, o)
		return List(items), changed, err
	case Tuple:
		items, changed, err := constructItems(v, r, o)
		return Tuple(items), changed, err
	case *Dict:
		items, changed, err := constructItems(v.Values, r, o)
		return &Dict{Keys: v.Keys, Values: items, index: v.index}, changed, err
	}
	return v, false, nil
}

func constructItems(vs []Value, r rule, o Options) ([]Value, bool, error) {
	out, changed := make([]Value, len(vs)), false
	for i, v := range vs {
		n, c, err := constructInside(v, r, o)
		if err != nil {
			return nil, false, err
		}
		out[i], changed = n, changed || c
	}
	return out, changed, nil
}

func (s Spec) constructName(rule) (Spec, error) {
	name, err := lowered(s.fields["name"], "name")
	switch {
	case s.fields["name"] == nil:
		s = s.with("name", Str("flytekit"))
	case err != nil:
		return s, err
	default:
		s = s.with("name", name)
	}
	if !truthy(s.fields["registry"]) {
		return s, nil
	}
	registry, err := lowered(s.fields["registry"], "registry")
	if err != nil {
		return s, err
	}
	if !registryPattern.MatchString(string(registry)) {
		return s, &PythonError{Type: "ValueError", Field: "registry", Message: fmt.Sprintf(
			"Invalid container registry name: '%s'.\n Expected formats:\n- 'localhost:30000' (for local registries)\n"+
				"- 'ghcr.io/username' (for GitHub Container Registry)\n- 'docker.io/username' (for docker hub)\n", registry)}
	}
	return s.with("registry", registry), nil
}

// registryPattern is flytekit's, with Python's Unicode-wide \d and \w, and its $ that lets a final newline pass.
var registryPattern = regexp.MustCompile(strings.NewReplacer(`\d`, `\p{Nd}`, `\w`, `\p{L}\p{N}_`).Replace(
	`^(?:localhost:[\d]{1,5}|(?:[a-z\d._-]+)(?::[\d]{1,5})?)(?:/[\w.-]+)*\n?\z`))

func lowered(v Value, field string) (Str, error) {
	t, ok := v.(Str)
	if ok {
		return Str(lower(string(t))), nil
	}
	if v == nil {
		v = None{}
	}
	return "", &PythonError{Type: "AttributeError", Field: field, Message: "'" + v.python() + "' object has no attribute 'lower'"}
}

func (s Spec) constructPlatform(r rule, o Options) (Spec, error) {
	switch v := s.fields["platform"]; {
	case v == nil, r.noneIsDefault && isNone(v):
	default:
		return s, nil
	}
	registry, _ := s.fields["registry"].(Str)
	machine := strings.ToLower(o.Machine)
	if r.platformOfHost && strings.HasPrefix(string(registry), "localhost:") && (machine == "arm64" || machine == "aarch64") {
		return s.with("platform", Str("linux/arm64")), nil
	}
	return s.with("platform", Str("linux/amd64")), nil
}

func (s Spec) checkTypes() error {
	for _, f := range [...]string{"packages", "conda_channels", "conda_packages", "apt_packages",
		"pip_extra_index_url", "entrypoint", "commands", "runtime_packages"} {
		if v := s.fields[f]; !isNone(v) && !listOfStr(v) {
			return &PythonError{Type: "ValueError", Field: f, Message: f + " must be a list of strings or None"}
		}
	}
	if v := s.fields["pip_secret_mounts"]; !isNone(v) && !secretMounts(v) {
		return &PythonError{Type: "ValueError", Field: "pip_secret_mounts", Message: "pip_secret_mounts must be a list of tuples of two strings or None"}
	}
	if v := s.fields["builder_options"]; !isNone(v) {
		if _, ok := v.(*Dict); !ok {
			return &PythonError{Type: "ValueError", Field: "builder_options", Message: "builder_options must be a dictionary or None"}
		}
	}
	return nil
}

func listOfStr(v Value) bool {
	l, ok := v.(List)
	return ok && allStr(l)
}

func secretMounts(v Value) bool {
	l, ok := v.(List)
	for _, e := range l {
		t, pair := e.(Tuple)
		ok = ok && pair && len(t) == 2 && allStr(t)
	}
	return ok
}

func allStr(vs []Value) bool {
	for _, v := range vs {
		if _, ok := v.(Str); !ok {
			return false
		}
	}
	return true
}
