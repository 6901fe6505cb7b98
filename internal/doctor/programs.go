package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// uv looks for the program that pins what no lock pins.
func uv(ctx context.Context, d Deps) []api.Check {
	const a = area("uv")
	path, version, err := d.UV(ctx)
	if err != nil {
		return []api.Check{a.warn("install uv (https://docs.astral.sh/uv) or set uv.path; only specs without a lock need it", "%v", err)}
	}
	return []api.Check{a.ok("%s at %s", version, path)}
}

// python looks for the interpreter that parses projects' files.
func python(ctx context.Context, d Deps) []api.Check {
	const a = area("python")
	path, version, err := d.Python(ctx)
	if err != nil {
		return []api.Check{a.fail("install Python 3.8 or newer, or set python.path; projects' files are read with it (and never run)", "%v", err)}
	}
	return []api.Check{a.ok("%s at %s reads projects' files", version, path)}
}

// The Pythons that images may have, by minor.
const (
	oldestMinor = 9
	newestMinor = 14
)

// compilers lists the interpreters that packages could be compiled with.
func compilers(ctx context.Context, d Deps) []api.Check {
	const a = area("bytecode")
	if d.Bytecode == "off" {
		return []api.Check{a.ok("packages are not compiled (bytecode = off)")}
	}
	var found, missing []string
	for minor := oldestMinor; minor <= newestMinor; minor++ {
		name := fmt.Sprintf("3.%d", minor)
		if _, version, ok := d.Compiler(ctx, name); ok {
			found = append(found, version)
		} else {
			missing = append(missing, name)
		}
	}
	text := "Pythons that compile packages: " + strings.Join(found, ", ")
	switch {
	case len(found) == 0 && d.Bytecode == "on":
		return []api.Check{a.fail("uv python install 3.12, or set bytecode = \"off\"", "no Python on this machine can compile packages, and bytecode = on")}
	case len(found) == 0:
		return []api.Check{a.warn("uv python install 3.12, or whichever your images have", "no Python on this machine can compile packages: tasks compile them at their start")}
	case len(missing) > 0 && d.Bytecode == "on":
		return []api.Check{a.ok("%s; builds for another (%s) fail, as bytecode = on", text, strings.Join(missing, ", "))}
	}
	return []api.Check{a.ok("%s", text)}
}
