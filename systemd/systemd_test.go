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
			if before, twice := out[section+"/"+key]; twice && key == "ListenStream" {
				value = before + " " + value
			} else if twice {
				t.Errorf("%s/%s is set twice", section, key)
			}
			out[section+"/"+key] = value
		}
	}
	return out
}

func TestUnitsKeepTheSocketPrivate(t *testing.T) {
	units, err := Units(Layout{Binary: "/opt/imgspecd/bin/imgspecd"})
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
		"Socket/ListenStream":  "%t/imgspecd/imgspecd.sock %t/imgspecd/docker.sock", // api.DefaultSocket and docker.socket, in systemd's words
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
		units, err := Units(Layout{Binary: path})
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, units[ServiceName])["Service/ExecStart"]; got != want {
			t.Errorf("%s: ExecStart=%s, want %s", path, got, want)
		}
	}
	if _, err := Units(Layout{Binary: "bin/imgspecd"}); err == nil {
		t.Error("a relative path was taken")
	}
}

func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	units, err := Units(Layout{
		Binary: "/bin/true", Args: []string{"--state-dir=/x y/100%/$HOME"}, Socket: "/run/a b/100%.sock", Docker: "/run/a b/docker.sock",
	})
	if err != nil {
		t.Fatal(err)
	}
	dropIn, err := Environment(map[string]string{"A": `it's "quoted" \ 100% $HOME`, "HTTPS_PROXY": "http://u:p@proxy:3128"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ServiceName+".d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ServiceName+".d", "environment.conf"), []byte(dropIn), 0o600); err != nil {
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

func TestUnitsOfAnotherLayout(t *testing.T) {
	for name, tt := range map[string]struct {
		layout Layout
		exec   string
		listen string
	}{
		"own places": {
			Layout{Binary: "/b", Args: []string{"--state-dir=/x y", "--socket=/s/$A"}, Socket: "/s/100%", Docker: "/s/d"},
			`/b serve "--state-dir=/x y" --socket=/s/$$A`, "/s/100%% /s/d",
		},
		"no second socket": {Layout{Binary: "/b", Docker: NoSocket}, "/b serve", "%t/imgspecd/imgspecd.sock"},
	} {
		units, err := Units(tt.layout)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, units[ServiceName])["Service/ExecStart"]; got != tt.exec {
			t.Errorf("%s: ExecStart=%s, want %s", name, got, tt.exec)
		}
		if got := parse(t, units[SocketName])["Socket/ListenStream"]; got != tt.listen {
			t.Errorf("%s: ListenStream=%s, want %s", name, got, tt.listen)
		}
	}
	for _, l := range []Layout{{Binary: "/b\n"}, {Binary: "/b", Socket: "s"}, {Binary: "/b", Args: []string{"a\nb"}}, {}} {
		if _, err := Units(l); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got, err := Environment(map[string]string{"B": `a "b" \ 100%`, "A": ""})
	if err != nil {
		t.Fatal(err)
	}
	want := "[Service]\nEnvironment=\"A=\"\nEnvironment=\"B=a \\\"b\\\" \\\\ 100%%\"\n"
	if _, rest, _ := strings.Cut(got, "\n"); rest != want {
		t.Errorf("%s, want %s", rest, want)
	}
	if names := Recorded(got); strings.Join(names, " ") != "A B" {
		t.Errorf("recorded: %v", names)
	}
	if _, err := Environment(map[string]string{"A": "1\n2"}); err == nil {
		t.Error("a value of two lines was taken")
	}
}
