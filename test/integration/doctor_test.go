package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// The doctor says of a real machine what builds will find there: which engine and BuildKit, whether the registry of a watched
// spec takes a push, and what the daemon sees otherwise than the shell.
func TestDoctor(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	for name, c := range map[string]struct {
		settings           []string
		docker, kit, other string
	}{
		"graph driver": {[]string{"DOCKER_HOST=" + os.Getenv(varDocker)}, "graph driver overlay2", "the Docker engine's own", "comparing images"},
		"containerd":   {[]string{"DOCKER_HOST=" + os.Getenv(varDocker29)}, "containerd image store", "the Docker engine's own", "tells what a step changed"},
		"buildkitd": {
			[]string{"DOCKER_HOST=" + os.Getenv(varDocker), "IMGSPECD_BUILDKIT_ADDRESS=" + os.Getenv(varBuildKit)},
			"graph driver overlay2", "buildkit.address names it", "tells what a step changed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t, append(c.settings, "BUILDKIT_HOST=", "IMGSPECD_UV_PATH="+os.Getenv(varUV), "HTTPS_PROXY=")...)
			d.start()
			registry := os.Getenv(varRegistry)
			p := newProject(t, spec{name: "doctor-" + random(), registry: registry, base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
			img := d.watch(p.dir)

			got := d.doctor()
			d.expect(got, "docker", api.LevelOK, c.docker)
			d.expect(got, "buildkit", api.LevelOK, c.kit)
			d.expect(got, "buildkit", api.LevelOK, c.other)
			d.expect(got, "uv", api.LevelOK, "uv ")
			d.expect(got, "state", api.LevelOK, "free in "+d.state)
			d.expect(got, "socket", api.LevelOK, "0600 in 0700")
			d.expect(got, "registry", api.LevelOK, strings.TrimSuffix(img.Name, ":"+img.Tag)+": reachable, takes a push")
		})
	}

	t.Run("what is wrong", func(t *testing.T) {
		d := newDaemon(t, "DOCKER_HOST=unix:///nowhere/docker.sock", "BUILDKIT_HOST=unix:///nowhere/buildkitd.sock", "IMGSPECD_DOCKER_USE=always",
			"UV_DEFAULT_INDEX=http://user:hunter2@127.0.0.1:1/simple", "HTTPS_PROXY=")
		d.start()
		// Nothing listens on port 1.
		p := newProject(t, spec{name: "doctor-" + random(), registry: "127.0.0.1:1/team", base: os.Getenv(varBase)}, "certifi==2025.1.31").lock()
		d.watch(p.dir)
		got := d.doctor()
		d.expect(got, "docker", api.LevelFail, "/nowhere/docker.sock")
		d.expect(got, "buildkit", api.LevelFail, "/nowhere/buildkitd.sock")
		d.expect(got, "registry", api.LevelFail, "127.0.0.1:1")
		d.expect(got, "index", api.LevelFail, "127.0.0.1:1")

		out, err := command{dir: d.home, env: append(d.env, "UV_INDEX_CORP_PASSWORD=/of/the/shell.pem")}.try(t.Context(), d.bin, "doctor")
		if exitCode(err) != 1 {
			t.Errorf("exit code %d, want 1: %v", exitCode(err), err)
		}
		for _, want := range []string{"✗ docker", "✗ buildkit", "✗ registry", "lacks what this shell has: UV_INDEX_CORP_PASSWORD", "4 failures"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
		if strings.Contains(out, "hunter2") || strings.Contains(out, "/of/the/shell") {
			t.Errorf("a value is told:\n%s", out)
		}

		// Without the daemon the command looks itself, and finds the same.
		d.stop()
		out, err = command{dir: d.home, env: d.env}.try(t.Context(), d.bin, "doctor")
		if exitCode(err) != 1 || !strings.Contains(out, "! daemon") || !strings.Contains(out, "✗ docker") || strings.Contains(out, "hunter2") {
			t.Errorf("exit code %d:\n%s", exitCode(err), out)
		}
	})
}

func (d *daemon) doctor() api.Doctor {
	d.t.Helper()
	got, err := d.Doctor(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

// expect looks for a check.
func (d *daemon) expect(got api.Doctor, area string, level api.Level, text string) {
	d.t.Helper()
	for _, c := range got.Checks {
		if c.Area == area && c.Level == level && strings.Contains(c.Text, text) {
			return
		}
	}
	d.t.Errorf("no check of %s is %s and says %q: %+v", area, level, text, got.Checks)
}
