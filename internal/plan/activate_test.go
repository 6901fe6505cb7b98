package plan

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each script, in each shell that is here: PATH and VIRTUAL_ENV come and go.
func TestActivation(t *testing.T) {
	for _, c := range []struct{ shell, script, use string }{
		{"sh", "activate", ". %s"}, {"bash", "activate", "source %s"}, {"zsh", "activate", "source %s"},
		{"fish", "activate.fish", "source %s"}, {"tcsh", "activate.csh", "source %s"},
	} {
		t.Run(c.shell, func(t *testing.T) {
			shell, err := exec.LookPath(c.shell)
			if err != nil {
				t.Skip("no " + c.shell)
			}
			script := filepath.Join(t.TempDir(), "script")
			text := strings.ReplaceAll(activation()[c.script], "@VENV@", "/root/.venv")
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			use := strings.ReplaceAll(c.use, "%s", script)
			const show = "printenv PATH; printenv VIRTUAL_ENV; printenv PYTHONHOME"
			lines := []string{show, use, show, use, show, "deactivate", show}
			cmd := exec.Command(shell, "-c", strings.Join(lines, "\n"))
			cmd.Env = []string{"PATH=/usr/bin:/bin", "PYTHONHOME=/usr", "HOME=/nonexistent"}
			if c.shell == "tcsh" { // it takes one line of -c, and aliases only of files
				cmd.Args = []string{shell, "-f"}
				cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
			}
			out, _ := cmd.CombinedOutput() // the last printenv may well find nothing
			const off, on = "/usr/bin:/bin\n/usr\n", "/root/.venv/bin:/usr/bin:/bin\n/root/.venv\n"
			want := off + on + on + off
			got := strings.TrimRight(string(out), "\n") + "\n" // tcsh ends with a line of its own
			if c.script == "activate.csh" {                    // it leaves PYTHONHOME alone
				want = off + on + "/usr\n" + on + "/usr\n" + off
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
