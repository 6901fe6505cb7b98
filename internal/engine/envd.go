package engine

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// flytekitImage is the base of a spec with builder="envd" that names none: flytekit's DefaultImages.default_image(), which goes by the
// Python and the flytekit that run it.
func (s Spec) flytekitImage() (string, error) {
	if s.Policy.Flytekit != "" {
		return s.Policy.Flytekit, nil
	}
	python := cmp.Or(s.Python, s.Fields.PythonVersion())
	if parts := strings.SplitN(python, ".", 3); len(parts) > 2 {
		python = parts[0] + "." + parts[1]
	}
	if python == "" {
		return "", &api.Error{
			Code: api.CodeInvalid, Message: "nothing says which of flytekit's images is the base: they go by the Python of the project",
			Hint: "set base_image in the ImageSpec, requires-python in pyproject.toml, or FLYTE_INTERNAL_IMAGE",
		}
	}
	version := s.Flytekit
	if version == "" || strings.Contains(version, "dev") {
		version = "latest"
	}
	return fmt.Sprintf("cr.flyte.org/flyteorg/flytekit:py%s-%s", python, version), nil
}
