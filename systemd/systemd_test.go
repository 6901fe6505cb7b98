package systemd

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// parse reads a unit: values by "Section/Key".
func parse(t *testing.T, unit string) map[string]string {
	t.Helper()
	out, section := map[string]string{}, ""
	for sc := bufio.NewScanner(strings.NewReader(unit)); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Fatalf("not a setting: %q", line)
			}
			if _, twice := out[section+"/"+key]; twice {
				t.Errorf("%s/%s is set twice", section, key)
			}
			out[section+"/"+key] = value
		}
	}
	return out
}

func TestUnitsKeepTheSocketPrivate(t *testing.T) {
	units, err := Units("/opt/imgspecd/bin/imgspecd")
	if err != nil {
		t.Fatal(err)
	}
	svc, sock := parse(t, units[ServiceName]), parse(t, units[SocketName])
	for key, want := range map[string]string{
		"Service/Type":                     "notify",
		"Service/ExecStart":                "/opt/imgspecd/bin/imgspecd serve",
		"Service/Restart":                  "on-failure",
		"Service/RuntimeDirectoryMode":     "0700",
		"Service/RuntimeDirectoryPreserve": "yes", // or a restart would remove the socket unit's socket
		"Unit/Requires":                    SocketName,
	} {
		if svc[key] != want {
			t.Errorf("service: %s = %q, want %q", key, svc[key], want)
		}
	}
	for key, want := range map[string]string{
		"Socket/ListenStream":  "%t/imgspecd/imgspecd.sock", // api.DefaultSocket, in systemd's words
		"Socket/SocketMode":    "0600",
		"Socket/DirectoryMode": "0700",
	} {
		if sock[key] != want {
			t.Errorf("socket: %s = %q, want %q", key, sock[key], want)
		}
	}
}

func TestUnitsQuoteTheBinary(t *testing.T) {
	for path, want := range map[string]string{
		"/home/a b/imgspecd":  `"/home/a b/imgspecd" serve`,
		"/home/100%/imgspecd": `/home/100%%/imgspecd serve`,
	} {
		units, err := Units(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, units[ServiceName])["Service/ExecStart"]; got != want {
			t.Errorf("%s: ExecStart=%s, want %s", path, got, want)
		}
	}
	if _, err := Units("bin/imgspecd"); err == nil {
		t.Error("a relative path was taken")
	}
}

func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	units, err := Units("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--user", "--man=no"}
	for name, text := range units {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	cmd := exec.Command(analyze, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "imgspecd") {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
}
