package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A step that fails says so with its last lines, and the log has all of it; when what it lacks is there, it is executed again.
func TestStepsThatFail(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	for name, settings := range engines {
		t.Run(name, func(t *testing.T) {
			unlessFull(t, name)
			depot, late, h := newDepot(t, "toy"), newDepot(t, "toy", "late"), newToyHouse(t)
			h.sdistOf(t, "kite", "", "raise SystemExit('no wind today')\n")
			d := startDaemon(t, settings()...)
			p := newToys(t, h, depot.base(t, os.Getenv(varBase)), `"true"`)
			p.edit("workflow.py", `["toy"]`, `["toy", "late"]`)
			failed := func(label, old string, message []string, output string) api.Image {
				t.Helper()
				img := d.settled(label, old)
				if img.State != api.Failed || img.Error == nil {
					t.Fatalf("%s is %s: %s", label, img.State, img.Detail)
				}
				for _, want := range message {
					if !strings.Contains(img.Error.Message, want) {
						t.Errorf("it fails with %q, without %q", img.Error.Message, want)
					}
				}
				if !slices.ContainsFunc(img.Error.Output, func(l string) bool { return strings.Contains(l, output) }) {
					t.Errorf("its last lines are %q, without %q", img.Error.Output, output)
				}
				if out := d.cli("status"); !strings.Contains(out, output) {
					t.Errorf("status is without %q:\n%s", output, out)
				}
				return img
			}
			label := d.watch(p.dir).Label
			img := failed(label, "", []string{"apt: toy, late", "exit code 100"}, "Unable to locate package late")
			if log := d.cli("logs", label); !strings.Contains(log, "Packages [") || !strings.Contains(log, "Unable to locate package late") {
				t.Errorf("the log has not all that apt said:\n%s", log)
			}

			depot.mu.Lock()
			depot.files = late.files
			depot.mu.Unlock()
			_, _ = command{dir: d.home, env: d.env}.try(t.Context(), d.bin, "build", label) // it fails again, later on
			img = failed(label, "", []string{"build kite 1.0", "exit code"}, "no wind today")
			if log := d.cli("logs", label); !strings.Contains(log, "configured late") {
				t.Errorf("apt was not executed again:\n%s", log)
			}

			h.sdist(t, "kite")
			p.uv("lock", "--upgrade")
			img = d.ready(label, img.Name, "layout")
			d.forgets(img)
			if log := d.cli("logs", label); strings.Contains(log, "executing apt") {
				t.Errorf("apt was executed once more:\n%s", log)
			}
		})
	}
}

// What cannot be executed at all is told with what to do about it; an image that needs no step is built all the same.
func TestNoBuildKit(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varMulti, varBuildKit)
	const nowhere = "unix:///nowhere/buildkitd.sock"
	if _, err := os.Stat("/run/buildkit/buildkitd.sock"); err == nil {
		t.Skip("this machine has a buildkitd in the usual place")
	}
	tests := map[string]struct {
		settings []string
		base     string
		more     string
		code     api.Code
		says     []string
	}{
		"none":                {[]string{"BUILDKIT_HOST="}, varBase, "", api.CodeUnavailable, []string{"there is no BuildKit", "/run/buildkit/buildkitd.sock", "imgspecd doctor"}},
		"not there":           {[]string{"BUILDKIT_HOST=" + nowhere}, varBase, "", api.CodeUnavailable, []string{nowhere}},
		"no Docker":           {[]string{"BUILDKIT_HOST=", "IMGSPECD_DOCKER_USE=auto", "DOCKER_HOST=unix:///nowhere/docker.sock"}, varBase, "", api.CodeUnavailable, []string{"there is no BuildKit", "/nowhere/docker.sock"}},
		"of another platform": {[]string{"BUILDKIT_HOST=" + os.Getenv(varBuildKit)}, varMulti, `platform="linux/arm64", `, api.CodeUnsupported, []string{"executes nothing for linux/arm64", "linux/amd64", "emulator"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, append([]string{"IMGSPECD_DOCKER_USE=never", "IMGSPECD_UV_PATH=" + os.Getenv(varUV)}, tt.settings...)...)
			p := newProject(t, spec{base: os.Getenv(tt.base)}, "certifi==2025.1.31").lock()
			common := fmt.Sprintf(`base_image=%q, %srequirements="uv.lock"`, os.Getenv(tt.base), tt.more)
			p.write("workflow.py", "from flytekit import ImageSpec\n\nneeds = ImageSpec(name=\"needs\", commands=[\"true\"], "+common+")\nplain = ImageSpec(name=\"plain\", "+common+")\n")
			d.ready(d.spec(p.dir, "plain").Label, "", "layout")
			img := d.settled(d.spec(p.dir, "needs").Label, "")
			if img.State != api.Failed || img.Error == nil || img.Error.Code != tt.code {
				t.Fatalf("it is %s: %+v", img.State, img.Error)
			}
			for _, want := range tt.says {
				if !strings.Contains(img.Error.Message+" "+img.Error.Hint, want) {
					t.Errorf("it fails with %q (%s), without %q", img.Error.Message, img.Error.Hint, want)
				}
			}
		})
	}
}
