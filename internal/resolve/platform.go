package resolve

import (
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// glibcs are the minor versions of glibc 2 that uv has a platform's name for (0.13, 2026), the newest first.
var glibcs = []int{40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17}

var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// target names an environment to uv. Where uv has no name for a C library's version it is the next older one that it has:
// what is chosen for that runs here too.
func target(e pypa.Environment) (python, platform string, err error) {
	if _, _, err := e.PythonMinor(); err != nil {
		return "", "", &Error{Kind: Invalid, Reason: err.Error()}
	}
	v, err := pypa.ParseVersion(e.Python)
	if err != nil {
		return "", "", &Error{Kind: Invalid, Reason: err.Error()}
	}
	python = v.Release().String()
	machine, ok := machines[e.Arch]
	if e.OS != "linux" || !ok {
		return "", "", &Error{Kind: Invalid, Reason: fmt.Sprintf("uv cannot resolve for %s/%s", e.OS, e.Arch)}
	}
	if strings.EqualFold(e.Libc.Kind, "musl") {
		return python, machine + "-unknown-linux-musl", nil
	}
	if e.Libc.Major == 2 {
		for _, minor := range glibcs {
			if minor <= e.Libc.Minor {
				return python, fmt.Sprintf("%s-manylinux_2_%d", machine, minor), nil
			}
		}
	}
	return "", "", &Error{Kind: Invalid, Reason: fmt.Sprintf("uv cannot resolve for %s: its C library is too old", e)}
}
