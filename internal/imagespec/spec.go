package imagespec

import (
	"slices"
)

// Fields are the fields of flytekit's ImageSpec in the order of its dataclass: the order of
// positional arguments and of the hashed text.
var fieldNames = [...]string{
	"name", "python_version", "builder", "source_root", "env", "registry", "packages", "conda_packages",
	"conda_channels", "requirements", "apt_packages", "cuda", "cudnn", "base_image", "platform", "pip_index",
	"pip_extra_index_url", "pip_secret_mounts", "pip_extra_args", "registry_config", "entrypoint", "commands",
	"tag_format", "source_copy_mode", "copy", "python_exec", "runtime_packages", "builder_options", "builder_config",
}

// Fields returns the names of all fields in the order of flytekit's dataclass.
func Fields() []string { return slices.Clone(fieldNames[:]) }

// Known reports whether flytekit's ImageSpec has the field.
func Known(field string) bool { return slices.Contains(fieldNames[:], field) }

// Spec is an ImageSpec as written: the arguments that were given, before any check or default.
// It is immutable: With and Call return another Spec.
type Spec struct {
	fields    map[string]Value // absent: not given; None: given as None
	forcePush bool
}

// With returns the spec with one more argument. It does not check the value, as flytekit's checks
// depend on its version: Name makes them.
func (s Spec) With(field string, v Value) (Spec, error) {
	if !Known(field) {
		return s, &PythonError{
			Type: "TypeError", Field: field,
			Message: "ImageSpec.__init__() got an unexpected keyword argument '" + field + "'",
		}
	}
	return s.with(field, v), nil
}

func (s Spec) with(field string, v Value) Spec {
	fields := make(map[string]Value, len(s.fields)+1)
	for k, old := range s.fields {
		fields[k] = old
	}
	fields[field] = v
	s.fields = fields
	return s
}

// Get returns the argument as given; nil if it was not.
func (s Spec) Get(field string) Value { return s.fields[field] }

// Set names the fields that were given a value other than None, in dataclass order.
func (s Spec) Set() []string {
	var names []string
	for _, n := range fieldNames {
		if !isNone(s.fields[n]) {
			names = append(names, n)
		}
	}
	return names
}

// text returns a str or Path argument; "" for anything else.
func (s Spec) text(field string) string {
	switch v := s.fields[field].(type) {
	case Str:
		return string(v)
	case Path:
		return string(v)
	}
	return ""
}

func (s Spec) texts(field string) []string {
	list, _ := s.fields[field].(List)
	var out []string
	for _, v := range list {
		switch v := v.(type) {
		case Str:
			out = append(out, string(v))
		case Path:
			out = append(out, string(v))
		}
	}
	return out
}

// The accessors below read a field of the usual type. Those of Named.Spec hold flytekit's defaults.

// ImageName is the name argument; flytekit's default is "flytekit".
func (s Spec) ImageName() string {
	if s.fields["name"] == nil {
		return "flytekit"
	}
	return s.text("name")
}

// Requirements is the path as written.
func (s Spec) Requirements() string { return s.text("requirements") }

// BaseImage is the reference of the base; "" if none is given or if it is a Spec (see BaseSpec).
func (s Spec) BaseImage() string { return s.text("base_image") }

// BaseSpec is the nested spec that is to be the base.
func (s Spec) BaseSpec() (Spec, bool) { b, ok := s.fields["base_image"].(Spec); return b, ok }

// Registry is the registry argument, in lower case as flytekit uses it.
func (s Spec) Registry() string { return lower(s.text("registry")) }

// Platform is the platform argument.
func (s Spec) Platform() string { return s.text("platform") }

// PythonVersion is the python_version argument.
func (s Spec) PythonVersion() string {
	if f, ok := s.fields["python_version"].(Float); ok {
		return reprFloat(float64(f)) // a frequent slip; flytekit prints it into its Dockerfile all the same
	}
	return s.text("python_version")
}

// Builder is the builder argument.
func (s Spec) Builder() string { return s.text("builder") }

// TagFormat is the tag_format argument.
func (s Spec) TagFormat() string { return s.text("tag_format") }

// Packages is the packages argument.
func (s Spec) Packages() []string { return s.texts("packages") }

// Str returns a field that is a str, "" if it is not set or no str.
func (s Spec) Str(field string) string { return s.text(field) }

// Texts is any argument that is a list of str.
func (s Spec) Texts(field string) []string { return s.texts(field) }

// SecretMounts is the pip_secret_mounts argument: pairs of a file and where it is mounted.
func (s Spec) SecretMounts() [][2]string {
	list, _ := s.fields["pip_secret_mounts"].(List)
	var out [][2]string
	for _, v := range list {
		if t, ok := v.(Tuple); ok && len(t) == 2 && allStr(t) {
			out = append(out, [2]string{string(t[0].(Str)), string(t[1].(Str))})
		}
	}
	return out
}

// Entrypoint is the entrypoint argument, and whether it was given: an empty one clears the base's.
func (s Spec) Entrypoint() ([]string, bool) {
	_, ok := s.fields["entrypoint"].(List)
	return s.texts("entrypoint"), ok
}

// Env is the env argument in its order. Values that are no str appear as str(value) writes them.
func (s Spec) Env() [][2]string {
	d, ok := s.fields["env"].(*Dict)
	if !ok {
		return nil
	}
	out := make([][2]string, len(d.Keys))
	for i := range d.Keys {
		out[i] = [2]string{str(d.Keys[i]), str(d.Values[i])}
	}
	return out
}

// ForcePush reports whether force_push() was called on the spec.
func (s Spec) ForcePush() bool { return s.forcePush }

// str is Python's str(v).
func str(v Value) string {
	switch v := v.(type) {
	case Str:
		return string(v)
	case Path:
		return string(v)
	case CopyMode:
		return "CopyFileDetection." + v.String()
	}
	return Repr(v)
}
