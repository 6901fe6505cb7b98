package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// What is executed is seen while it is: its output comes live, and a cancel ends it in BuildKit. What failed shows its last
// lines, and explain says beforehand what would be executed.
func TestStepsAreSeen(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDocker, varDocker29, varBuildKit)
	for name, settings := range map[string][]string{
		"graph driver": {"DOCKER_HOST=" + os.Getenv(varDocker), "BUILDKIT_HOST="},
		"containerd":   {"DOCKER_HOST=" + os.Getenv(varDocker29), "BUILDKIT_HOST="},
		"buildkitd":    {"IMGSPECD_DOCKER_USE=never", "BUILDKIT_HOST=" + os.Getenv(varBuildKit)},
	} {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, settings...)
			mark := random()
			p := newProject(t, spec{name: "steps-" + mark, base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
			seconds := fmt.Sprintf("600.%d", time.Now().UnixNano())
			p.executes("echo first-"+mark, "sleep 0.3", "echo second-"+mark, "sleep "+seconds)
			label := d.watch(p.dir).Label
			d.sees(label, "second-"+mark, func() {
				if out := d.cli("status"); !strings.Contains(out, "execute") || !strings.Contains(out, "commands: echo first-"+mark) {
					t.Errorf("status does not say what is executed:\n%s", out)
				}
				eventually(t, "the step is among this machine's processes", 10*time.Second, func() bool { return runs("sleep", seconds) > 0 })
				d.cli("build", "--cancel", label)
			})
			if img := d.settled(label, ""); img.State != api.Canceled {
				t.Errorf("it is %s: %s", img.State, img.Detail)
			}
			eventually(t, "the step ends in BuildKit", 20*time.Second, func() bool { return runs("sleep", seconds) == 0 })

			before := d.imageOf(p.dir).Name
			p.executes("echo not-yet-"+mark, `printf '\033[31mred-`+mark+`\033[0m\n'`, "exit 3")
			img := d.settled(label, before)
			if img.State != api.Failed || img.Error == nil || len(img.Error.Output) == 0 || !strings.Contains(img.Error.Message, "exit code 3") {
				t.Fatalf("it is %s: %+v", img.State, img.Error)
			}
			if out := d.cli("status"); !strings.Contains(out, "│ not-yet-"+mark) || !strings.Contains(out, "│ red-"+mark+"\n") {
				t.Errorf("status does not show what it said:\n%s", out)
			}
			if out := d.cli("explain", label); !strings.Contains(out, "+ would be executed  commands: echo not-yet-"+mark) {
				t.Errorf("explain does not say what would be executed:\n%s", out)
			}

			before = img.Name
			p.executes("echo " + mark + " > /root/executed")
			ready := d.ready(label, before, "layout")
			if host, ok := strings.CutPrefix(settings[0], "DOCKER_HOST="); ok {
				docker{t: t, host: host}.forget(ready.Name)
			}
			if out := d.cli("explain", label); !strings.Contains(out, "✓ kept               commands: echo "+mark) {
				t.Errorf("explain does not say what was executed:\n%s", out)
			}
		})
	}
}

// Without a daemon the steps are told as they begin, and a failed one names the file of its whole output.
func TestStepsWithoutDaemon(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varBuildKit)
	d := newDaemon(t, "IMGSPECD_DOCKER_USE=never", "BUILDKIT_HOST="+os.Getenv(varBuildKit))
	seedWheels(t, d.state)
	mark := random()
	p := newProject(t, spec{name: "steps-" + mark, base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
	p.executes("echo said-"+mark, "exit 4")
	_, err := command{dir: p.dir, env: d.env}.try(t.Context(), d.bin, "build", "--no-daemon", ".")
	if exitCode(err) != 1 {
		t.Fatalf("exit code %d, want 1: %v", exitCode(err), err)
	}
	text := err.Error()
	for _, want := range []string{"execute   ◐ commands: echo said-" + mark, "exit code 4", "│ said-" + mark} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	_, file, _ := strings.Cut(text, "the whole output: ")
	file, _, _ = strings.Cut(file, "\n")
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "said-"+mark) {
		t.Errorf("the log %s: %v\n%s", file, err, b)
	}
}

// executes gives the project's spec commands.
func (p *project) executes(commands ...string) {
	p.t.Helper()
	quoted := make([]string, len(commands))
	for i, c := range commands {
		quoted[i] = fmt.Sprintf("%q", c)
	}
	lines := strings.Split(p.read("workflow.py"), "\n")
	for i, l := range lines {
		if strings.Contains(l, "requirements=") {
			lines[i] = `    requirements="uv.lock", commands=[` + strings.Join(quoted, ", ") + `],`
		}
	}
	p.write("workflow.py", strings.Join(lines, "\n"))
}

// sees follows the log of an image's build until a line holds text, and then calls then; the log has to end by itself after that.
func (d *daemon) sees(label, text string, then func()) {
	d.t.Helper()
	eventually(d.t, label+" is being built", time.Minute, func() bool {
		img, err := d.Image(d.t.Context(), label, 0)
		return err == nil && img.Build != ""
	})
	cmd := exec.CommandContext(d.t.Context(), d.bin, "logs", "-f", label)
	cmd.Env, cmd.Dir = d.env, d.home
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	seen := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !seen && strings.HasSuffix(lines.Text(), "  "+text) {
			seen = true
			then()
		}
	}
	if err := cmd.Wait(); err != nil || !seen {
		d.t.Fatalf("logs -f: %v; %q was seen: %v", err, text, seen)
	}
}

// runs counts this machine's processes with a command line.
func runs(args ...string) (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && string(b) == strings.Join(args, "\x00")+"\x00" {
			n++
		}
	}
	return n
}
