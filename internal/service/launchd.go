package service

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// launchdManager is macOS's launchd, in the session of one user (launchd.plist(5), launchctl(1)).
type launchdManager struct{ Deps }

// label is the job's name, and its file's.
const label = "io.github.imgspecd.imgspecd"

func (m *launchdManager) file() string {
	return filepath.Join(m.Home, "Library", "LaunchAgents", label+".plist")
}

func (m *launchdManager) log() string { return filepath.Join(m.StateDir, "daemon.log") }

func (m *launchdManager) domain() string { return "gui/" + strconv.Itoa(m.UID) }

func (m *launchdManager) Install(ctx context.Context, variables map[string]string) (Status, error) {
	if variables == nil {
		old, err := m.recorded()
		if err != nil {
			return Status{}, err
		}
		variables = old
	}
	if err := os.MkdirAll(m.StateDir, 0o700); err != nil { // launchd makes no directory for the log
		return Status{}, err
	}
	if err := write(m.file(), m.plist(variables), 0o600); err != nil {
		return Status{}, err
	}
	_, _ = m.Run(ctx, "launchctl", "bootout", m.domain()+"/"+label) // of what may be loaded; a failure says that nothing is
	for _, args := range [][]string{{"enable", m.domain() + "/" + label}, {"bootstrap", m.domain(), m.file()}} {
		if _, err := m.Run(ctx, "launchctl", args...); err != nil {
			return Status{}, &api.Error{
				Code: api.CodeUnavailable, Message: fmt.Sprintf("launchctl %s: %v", strings.Join(args, " "), err),
				Hint: "a launch agent needs a session on the screen; without one, start the daemon with: imgspecd serve --detach",
			}
		}
	}
	return m.Status(ctx)
}

func (m *launchdManager) Uninstall(ctx context.Context) (bool, error) {
	_, err := m.Run(ctx, "launchctl", "bootout", m.domain()+"/"+label)
	loaded := err == nil
	was, err := remove(m.file())
	return was || loaded, err
}

var (
	jobPID   = regexp.MustCompile(`(?m)^\s*pid = (\d+)$`)
	jobState = regexp.MustCompile(`(?m)^\s*state = (.+)$`)
)

func (m *launchdManager) Status(ctx context.Context) (Status, error) {
	s := Status{Manager: "launchd", Log: m.log(), Env: []string{}}
	job, err := m.read()
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Installed, s.File = true, m.file()
	s.Env = append(s.Env, slices.Sorted(maps.Keys(job.env))...)
	if len(job.arguments) > 0 {
		s.Binary = job.arguments[0]
		s.ThisBinary = m.isThis(s.Binary)
	}
	out, err := m.Run(ctx, "launchctl", "print", m.domain()+"/"+label)
	if err != nil { // launchd does not know it
		s.State = "not loaded"
		return s, nil //nolint:nilerr // that is the answer
	}
	s.Enabled = true
	if x := jobState.FindStringSubmatch(out); x != nil {
		s.State = x[1]
		s.Running = x[1] == "running"
	}
	if x := jobPID.FindStringSubmatch(out); x != nil {
		s.PID, _ = strconv.Atoi(x[1])
	}
	return s, nil
}

// plist is the job. launchd starts it at login and again when it fails, in the background's share of the machine.
func (m *launchdManager) plist(variables map[string]string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`)
	text := func(indent, key, value string) {
		fmt.Fprintf(&b, "%s<key>%s</key>\n%s<string>%s</string>\n", indent, escapeXML(key), indent, escapeXML(value))
	}
	text("\t", "Label", label)
	b.WriteString("\t<key>ProgramArguments</key>\n\t<array>\n")
	usual := filepath.Join(m.StateDir, "run", "imgspecd.sock")
	for _, arg := range append([]string{m.Binary, "serve"}, m.args(usual)...) {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", escapeXML(arg))
	}
	b.WriteString("\t</array>\n\t<key>RunAtLoad</key>\n\t<true/>\n")
	b.WriteString("\t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n")
	text("\t", "ProcessType", "Background")
	b.WriteString("\t<key>Umask</key>\n\t<integer>63</integer>\n") // 0077
	text("\t", "WorkingDirectory", m.Home)
	text("\t", "StandardOutPath", m.log())
	text("\t", "StandardErrorPath", m.log())
	if len(variables) > 0 {
		b.WriteString("\t<key>EnvironmentVariables</key>\n\t<dict>\n")
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			text("\t\t", name, variables[name])
		}
		b.WriteString("\t</dict>\n")
	}
	b.WriteString("</dict>\n</plist>\n")
	return b.String()
}

func escapeXML(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil { // a buffer takes everything
		panic(err)
	}
	return b.String()
}

// job is what is read back of a plist of ours.
type job struct {
	arguments []string
	env       map[string]string
}

// recorded are the variables of an earlier install; nil: there is none.
func (m *launchdManager) recorded() (map[string]string, error) {
	j, err := m.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return j.env, err
}

func (m *launchdManager) read() (job, error) {
	b, err := os.ReadFile(m.file())
	if err != nil {
		return job{}, err
	}
	return parseJob(b)
}

// parseJob reads the keys that plist writes.
func parseJob(b []byte) (job, error) {
	out := job{env: map[string]string{}}
	d := xml.NewDecoder(bytes.NewReader(b))
	var section, key string // of the outer and the inner dictionary
	depth, inKey, text := 0, false, ""
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("read the launch agent: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			text, inKey = "", t.Name.Local == "key"
			depth++
		case xml.CharData:
			text += string(t)
		case xml.EndElement:
			depth--
			switch {
			case inKey && depth == 2:
				section = text
			case inKey:
				key = text
			case t.Name.Local == "string" && section == "ProgramArguments":
				out.arguments = append(out.arguments, text)
			case t.Name.Local == "string" && section == "EnvironmentVariables":
				out.env[key] = text
			}
			inKey = false
		}
	}
}
