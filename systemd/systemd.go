// Package systemd holds imgspecd's units for the user's service manager.
//
// The files beside it are the units as a distribution ships them; Units returns
// them for a binary that lies elsewhere. It never installs or starts anything.
package systemd

import (
	_ "embed" // the units
	"fmt"
	"maps"
	"path/filepath"
	"slices"
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

// What the units name as a distribution ships them.
const (
	shipped       = "/usr/bin/imgspecd"
	shippedSocket = "%t/imgspecd/imgspecd.sock"
	shippedDocker = "%t/imgspecd/docker.sock"
)

// Layout is where things lie that units name. Paths are absolute.
type Layout struct {
	Binary string
	Args   []string // after "serve"
	Socket string   // empty: in the user's runtime directory
	Docker string   // the second socket; empty: beside that; NoSocket: there is none
}

// NoSocket is the second socket that there is not.
const NoSocket = "off"

// Units returns the text of each unit by its name.
func Units(l Layout) (map[string]string, error) {
	for _, p := range []string{l.Binary, l.Socket, l.Docker} {
		switch {
		case strings.ContainsAny(p, "\n\r"):
			return nil, fmt.Errorf("write units: %q cannot stand in a unit", p)
		case (p != "" || p == l.Binary) && p != NoSocket && !filepath.IsAbs(p):
			return nil, fmt.Errorf("write units: %q is not an absolute path", p)
		}
	}
	command := quote(l.Binary) + " serve"
	for _, arg := range l.Args {
		if strings.ContainsAny(arg, "\n\r") {
			return nil, fmt.Errorf("write units: %q cannot stand in a unit", arg)
		}
		command += " " + quote(arg)
	}
	sockets := socket
	if l.Socket != "" {
		sockets = strings.Replace(sockets, "ListenStream="+shippedSocket, "ListenStream="+percent(l.Socket), 1)
	}
	switch l.Docker {
	case "":
	case NoSocket:
		sockets = strings.Replace(sockets, "ListenStream="+shippedDocker+"\n", "", 1)
	default:
		sockets = strings.Replace(sockets, "ListenStream="+shippedDocker, "ListenStream="+percent(l.Docker), 1)
	}
	return map[string]string{
		ServiceName: strings.Replace(service, "ExecStart="+shipped+" serve", "ExecStart="+command, 1),
		SocketName:  sockets,
	}, nil
}

// Environment returns a drop-in for the service that sets variables: the user's service manager knows none of a shell's.
func Environment(variables map[string]string) (string, error) {
	var b strings.Builder
	b.WriteString("# Written by `imgspecd service install --env`, which replaces it.\n[Service]\n")
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value := variables[name]
		if strings.ContainsAny(name+value, "\n\r") {
			return "", fmt.Errorf("write the service's environment: the value of %s has more than one line", name)
		}
		fmt.Fprintf(&b, "Environment=\"%s\"\n", escape(name+"="+value))
	}
	return b.String(), nil
}

// Recorded returns the names of the variables that a drop-in of Environment sets.
func Recorded(dropIn string) []string {
	var names []string
	for line := range strings.Lines(dropIn) {
		if rest, ok := strings.CutPrefix(line, "Environment=\""); ok {
			name, _, _ := strings.Cut(rest, "=")
			names = append(names, name)
		}
	}
	return names
}

// quote writes a word as a unit's command line has it: see systemd.service(5), "Command lines".
func quote(word string) string {
	escaped := strings.ReplaceAll(escape(word), "$", "$$")
	if word == "" || strings.ContainsAny(word, " \t'\"\\;") {
		return `"` + escaped + `"`
	}
	return escaped
}

// escape writes text as it stands between the quotes of a unit.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(text)
}

func percent(path string) string { return strings.ReplaceAll(path, "%", "%%") }
