// Package systemd holds imgspecd's units for the user's service manager.
//
// The files beside it are the units as a distribution ships them; Units returns
// them for a binary that lies elsewhere. It never installs or starts anything.
package systemd

import (
	_ "embed" // the units
	"fmt"
	"path/filepath"
	"strings"
)

// Names of the units.
const (
	ServiceName = "imgspecd.service"
	SocketName  = "imgspecd.socket"
)

var (
	//go:embed imgspecd.service
	service string
	//go:embed imgspecd.socket
	socket string
)

// shipped is the binary that the service file names.
const shipped = "/usr/bin/imgspecd"

// Units returns the text of each unit by its name, for a binary at that absolute path.
func Units(binary string) (map[string]string, error) {
	if !filepath.IsAbs(binary) {
		return nil, fmt.Errorf("write units: %q is not an absolute path", binary)
	}
	if strings.ContainsAny(binary, "\n\r") {
		return nil, fmt.Errorf("write units: %q cannot stand in a unit", binary)
	}
	return map[string]string{
		ServiceName: strings.Replace(service, "ExecStart="+shipped+" ", "ExecStart="+quote(binary)+" ", 1),
		SocketName:  socket,
	}, nil
}

// quote writes a path as a unit's command line has it: see systemd.service(5), "Command lines".
func quote(path string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path)
	if strings.ContainsAny(path, " \t'\"\\;") {
		return `"` + escaped + `"`
	}
	return escaped
}
