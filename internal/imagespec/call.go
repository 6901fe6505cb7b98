package imagespec

import "fmt"

// Call applies a method that returns a changed copy of a spec: with_packages, with_commands and the
// like, or force_push. An unknown method is an *Unsupported error.
func (s Spec) Call(method string, args []Value) (Spec, error) {
	if method == "force_push" {
		if len(args) > 0 {
			return s, callError(method, 1, len(args)+1)
		}
		s.forcePush = true
		return s, nil
	}
	field, ok := map[string]string{
		"with_packages": "packages", "with_commands": "commands", "with_apt_packages": "apt_packages", "with_copy": "copy",
		"with_runtime_packages": "runtime_packages", "with_builder_options": "builder_options",
	}[method]
	switch {
	case !ok:
		return s, &Unsupported{Field: method + "()", Reason: "the method is not known"}
	case len(args) != 1:
		return s, callError(method, 2, len(args)+1)
	}
	s.forcePush = false // dataclasses.replace makes a new spec
	return s.update(field, args[0])
}

func callError(method string, want, got int) error {
	return &PythonError{Type: "TypeError", Message: fmt.Sprintf(
		"ImageSpec.%s() takes %d positional arguments but %d were given", method, want, got)}
}

// update appends a str, extends by a list, or merges a dict, as flytekit's _update_attribute.
func (s Spec) update(field string, v Value) (Spec, error) {
	now := s.fields[field]
	if isNone(now) {
		if _, dict := v.(*Dict); dict {
			now = NewDict()
		} else {
			now = List{}
		}
	}
	refuse := func(what string) (Spec, error) {
		return s, &PythonError{Type: "TypeError", Field: field, Message: "Cannot " + what + " attribute " + field}
	}
	switch v := v.(type) {
	case Str:
		l, ok := now.(List)
		if !ok {
			return refuse("append string to non-list")
		}
		return s.with(field, append(l[:len(l):len(l)], v)), nil
	case List:
		l, ok := now.(List)
		if !ok {
			return refuse("extend non-list")
		}
		return s.with(field, append(l[:len(l):len(l)], v...)), nil
	case *Dict:
		d, ok := now.(*Dict)
		if !ok {
			return refuse("update non-dict")
		}
		merged := NewDict()
		for _, from := range [...]*Dict{d, v} {
			for i := range from.Keys {
				if err := merged.Set(from.Keys[i], from.Values[i]); err != nil {
					return s, err
				}
			}
		}
		return s.with(field, merged), nil
	}
	return s.with(field, now), nil // flytekit lets any other type pass without effect
}
