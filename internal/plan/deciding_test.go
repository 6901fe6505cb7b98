package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

func TestVariablesThatDecide(t *testing.T) {
	for _, c := range []struct {
		name, kwargs, base string
		field, want        string // empty: nothing is refused
	}{
		{"no-binary for a lock", `{"requirements": "uv.lock", "env": {"UV_NO_BINARY": "1"}}`, "", "env", "UV_NO_BINARY, which changes what `uv sync` installs"},
		{"of the base", `{"requirements": "uv.lock"}`, "UV_NO_BINARY_PACKAGE=numpy", "base_image", "it sets UV_NO_BINARY_PACKAGE"},
		{"taken back", `{"requirements": "uv.lock", "env": {"UV_NO_BINARY": ""}}`, "UV_NO_BINARY=1", "", ""},
		{"off", `{"requirements": "uv.lock", "env": {"UV_NO_BUILD": "False"}}`, "", "", ""},
		{"a package called no", `{"requirements": "uv.lock", "env": {"UV_NO_BUILD_PACKAGE": "no"}}`, "", "env", "UV_NO_BUILD_PACKAGE"},
		{"an index says nothing to a lock", `{"requirements": "uv.lock", "env": {"UV_INDEX_URL": "https://corp/simple"}}`, "", "", ""},
		{"an index for packages", `{"packages": ["x"], "env": {"UV_INDEX_URL": "https://corp/simple"}}`, "", "env", "UV_INDEX_URL, which changes what `uv pip install` installs"},
		{"an index for requirements, of the base", `{"requirements": "requirements.txt"}`, "UV_EXTRA_INDEX_URL=https://corp/simple", "base_image", "UV_EXTRA_INDEX_URL"},
		{"poetry's", `{"requirements": "poetry.lock", "env": {"POETRY_INSTALLER_NO_BINARY": ":all:"}}`, "", "env", "`poetry install`"},
		{"uv's say nothing to poetry", `{"requirements": "poetry.lock", "env": {"UV_NO_BINARY": "1"}}`, "UV_CONFIG_FILE=/x", "", ""},
		{"others", `{"requirements": "uv.lock", "env": {"UV_HTTP_TIMEOUT": "9", "A": "b"}}`, "UV_TOOL_BIN_DIR=/usr/local/bin", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t)
			spec, err := imagespec.ParseKwargs([]byte(c.kwargs))
			if err != nil {
				t.Fatal(err)
			}
			in.Spec = spec
			if c.base != "" {
				in.Base.Env = append(in.Base.Env, c.base)
			}
			_, err = Make(in)
			var u *Unsupported
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.As(err, &u) || u.Field != c.field || !strings.Contains(u.Reason, c.want) || u.Hint == ""):
				t.Errorf("%v, want field %s and %q", err, c.field, c.want)
			}
		})
	}
}
