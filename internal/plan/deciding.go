package plan

import (
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

// The default builder runs uv or poetry in the image, where variables of the base and of env change what they install. Nothing is run here, so
// one that would is refused by its name. Those of this machine, uv.toml and poetry.toml are another matter: the default builder sees none of them.

// decidingSync are those of `uv sync`, with a remedy (0.13.9: `uv help sync`, and what the program knows besides).
var decidingSync = map[string]string{
	"UV_NO_BINARY": noBinaryRemedy, "UV_NO_BINARY_PACKAGE": noBinaryRemedy, "UV_NO_BUILD": noBinaryRemedy, "UV_NO_BUILD_PACKAGE": noBinaryRemedy,
	"UV_NO_GROUP": groupsRemedy, "UV_NO_DEFAULT_GROUPS": groupsRemedy, "UV_NO_EDITABLE": "", "UV_NO_INSTALL_LOCAL": "", "UV_NO_INSTALL_WORKSPACE": "",
	"UV_NO_SOURCES": "", "UV_NO_SOURCES_PACKAGE": "", "UV_NO_SYNC": "", "UV_NO_INSTALLER_METADATA": "",
	"UV_PROJECT_ENVIRONMENT": "", "UV_PROJECT": "", "UV_WORKING_DIR": "", "UV_CONFIG_FILE": "",
}

// decidingInstall are those of `uv pip install`.
var decidingInstall = map[string]string{
	"UV_INDEX": indexRemedy, "UV_DEFAULT_INDEX": indexRemedy, "UV_INDEX_URL": indexRemedy, "UV_EXTRA_INDEX_URL": indexRemedy,
	"UV_FIND_LINKS": argsRemedy, "UV_INDEX_STRATEGY": argsRemedy, "UV_NO_BINARY": argsRemedy, "UV_NO_BUILD": argsRemedy, "UV_EXCLUDE_NEWER": argsRemedy,
	"UV_PRERELEASE": argsRemedy, "UV_RESOLUTION": argsRemedy, "UV_TORCH_BACKEND": argsRemedy, "UV_CONSTRAINT": argsRemedy, "UV_OVERRIDE": argsRemedy,
	"UV_REQUIRE_HASHES": argsRemedy, "UV_NO_VERIFY_HASHES": argsRemedy, "UV_NO_SOURCES": argsRemedy,
	"UV_EXCLUDE": "", "UV_NO_BINARY_PACKAGE": "", "UV_NO_BUILD_PACKAGE": "", "UV_NO_EDITABLE": "", "UV_NO_INSTALLER_METADATA": "",
	"UV_SYSTEM_PYTHON": "", "UV_PROJECT": "", "UV_WORKING_DIR": "", "UV_CONFIG_FILE": "",
}

// decidingPoetry are those of `poetry install`: its settings of these names.
var decidingPoetry = map[string]string{
	"POETRY_INSTALLER_NO_BINARY": "", "POETRY_INSTALLER_ONLY_BINARY": "", "POETRY_VIRTUALENVS_CREATE": "",
	"POETRY_VIRTUALENVS_OPTIONS_SYSTEM_SITE_PACKAGES": "", "POETRY_VIRTUALENVS_OPTIONS_ALWAYS_COPY": "",
}

const (
	noBinaryRemedy = "write it as a setting of [tool.uv] in pyproject.toml"
	groupsRemedy   = "write default-groups of [tool.uv] in pyproject.toml"
	indexRemedy    = "name the index in pip_index or pip_extra_index_url"
	argsRemedy     = "write it as an option in pip_extra_args"
)

// checkDeciding refuses variables that decide what is installed, as they are where the default builder installs.
func checkDeciding(env variables, spec imagespec.Spec) error {
	deciding, tool := decidingInstall, "uv pip install"
	if Locked(spec) {
		deciding, tool = decidingSync, "uv sync"
		if lockfile.Kind(spec.Requirements()) == lockfile.FormatPoetry {
			deciding, tool = decidingPoetry, "poetry install"
		}
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		remedy, decides := deciding[name]
		if !decides || off(name, value) {
			continue
		}
		field, whose := "env", "env sets "
		if !slices.ContainsFunc(spec.Env(), func(kv [2]string) bool { return kv[0] == name }) {
			field, whose = "base_image", "it sets "
		}
		if remedy == "" {
			remedy = "leave it out, or have the default builder build this image"
		}
		return &Unsupported{Field: field, Reason: whose + name + ", which changes what `" + tool + "` installs in the default builder, and is not followed here", Hint: remedy}
	}
	return nil
}

// off reports whether a variable says nothing. uv takes these words for no.
func off(name, value string) bool {
	if value == "" {
		return true
	}
	no := slices.Contains([]string{"0", "n", "no", "f", "false", "off"}, strings.ToLower(value))
	return no && (strings.HasPrefix(name, "UV_NO_") && !strings.HasSuffix(name, "_PACKAGE") && name != "UV_NO_GROUP" || name == "UV_SYSTEM_PYTHON" || name == "UV_REQUIRE_HASHES")
}
