package project

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// environment finds the flytekit release and the Python that the project uses. It reads names of files and
// a few lines of text, and starts nothing.
func (p *reading) environment(o Options) {
	p.site, _ = filepath.Glob(filepath.Join(p.dir, ".venv", "lib", "python*", "site-packages"))
	r := &p.res
	lock := filepath.Join(p.dir, "uv.lock")
	p.inputs(lock, filepath.Join(p.dir, ".venv", "pyvenv.cfg"), filepath.Join(p.dir, ".python-version"), filepath.Join(p.dir, "pyproject.toml"))
	switch venv, locked := distInfo(p.site, "flytekit"), lockedVersion(lock, "flytekit"); {
	case venv != "":
		r.Flytekit, r.FlytekitSource = version(venv), "venv"
		p.inputs(filepath.Join(venv, "METADATA")) // it goes when another release is installed
	case locked != "":
		r.Flytekit, r.FlytekitSource = locked, "lock"
	case o.Flytekit != "":
		r.Flytekit, r.FlytekitSource = o.Flytekit, "config"
	default:
		r.Flytekit, r.FlytekitSource = imagespec.Newest, "default"
	}
	r.Python, r.PythonSource = p.pythonMinor()
}

// distInfo is the directory that describes an installed distribution.
func distInfo(site []string, name string) string {
	for _, s := range site {
		found, _ := filepath.Glob(filepath.Join(s, name+"-*.dist-info"))
		if len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// version reads the version from the name of such a directory.
func version(distInfo string) string {
	_, v, _ := strings.Cut(strings.TrimSuffix(filepath.Base(distInfo), ".dist-info"), "-")
	return v
}

// lockedVersion scans a uv.lock for the version of a package. A lock that uv has written has name and
// version on two lines that follow each other.
func lockedVersion(lock, name string) string {
	b, err := os.ReadFile(lock)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	inPackage := false
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " = ")
		switch {
		case key == "[[package]]":
			inPackage = false
		case key == "name":
			inPackage = value == `"`+name+`"`
		case key == "version" && inPackage:
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

var minorPattern = regexp.MustCompile(`(?:^|[^\d.])(3\.\d+)`)

// pythonMinor is the project's Python: of its environment, else pinned, else the oldest that it allows,
// which is what every file of the project must run on.
func (p *reading) pythonMinor() (minor, source string) {
	if b, err := os.ReadFile(filepath.Join(p.dir, ".venv", "pyvenv.cfg")); err == nil {
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, "=")
			if k := strings.TrimSpace(key); k == "version_info" || k == "version" {
				if m := minorPattern.FindStringSubmatch(strings.TrimSpace(value)); m != nil {
					return m[1], "venv"
				}
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(p.dir, ".python-version")); err == nil {
		for line := range strings.Lines(string(b)) {
			if m := minorPattern.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !strings.HasPrefix(line, "#") {
				return m[1], ".python-version"
			}
		}
	}
	if m := lowerBound.FindStringSubmatch(p.toml.requiresPython); m != nil {
		return m[1], "requires-python"
	}
	return "", ""
}

// lowerBound finds the clause of a requires-python that says how old a Python may be.
var lowerBound = regexp.MustCompile(`(?:>=|~=|==)\s*(3\.\d+)`)
