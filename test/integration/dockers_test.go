package integration

import (
	"os"
	"strings"
	"testing"
)

// Each kind of Docker engine gets the image, runs it, and is sent only what it lacks.
func TestDockerEngines(t *testing.T) {
	for _, variable := range []string{varDocker, varDocker29, varDockerGD} {
		t.Run(strings.TrimPrefix(variable, "IMGSPECD_TEST_"), func(t *testing.T) {
			need(t, varUV, varFlytekit, varBase)
			engine := newDocker(t, variable)
			d := startDaemon(t, "DOCKER_HOST="+engine.host)
			p := newProject(t, spec{name: "engine-" + random(), base: os.Getenv(varBase)}, "httpx==0.28.1", "certifi==2024.12.14").lock()
			label := d.watch(p.dir).Label
			first := d.ready(label, "", "docker", "layout")
			engine.forget(first.Name)
			if out := engine.in(first.Name, `python -c "import httpx, certifi; print(certifi.__version__)"`); out != "2024.12.14\n" {
				t.Errorf("the container prints %q", out)
			}

			p.require("httpx==0.28.1", "certifi==2025.1.31")
			p.uv("lock")
			second := d.ready(label, first.Name, "docker", "layout")
			engine.forget(second.Name)
			if out := engine.in(second.Name, `id -un; python -c "import httpx, certifi; print(certifi.__version__)"`); out != "flytekit\n2025.01.31\n" {
				t.Errorf("the container prints %q", out)
			}
			want := 1
			if variable != varDocker29 {
				want = fromChange(t, d, first.Digest, second.Digest)
			}
			if tgt, _ := second.InTarget("docker"); tgt.SentLayers != want {
				t.Errorf("one package changed, and %d layers were sent, want %d", tgt.SentLayers, want)
			}

			// Deleted behind its back, it is made ready again: ready is a fact about the target.
			engine.run("rmi", "-f", second.Name)
			d.stop()
			d.start()
			d.ready(label, "", "docker")
			engine.in(second.Name, "true")
		})
	}
}

// fromChange counts the layers from the first that differs on. A graph driver knows a layer only together with all
// below it, so it lacks these.
func fromChange(t *testing.T, d *daemon, before, after string) int {
	t.Helper()
	a, b := layers(t, inLayout(t, d.state, before)), layers(t, inLayout(t, d.state, after))
	for i := range b {
		if i >= len(a) || a[i] != b[i] {
			return len(b) - i
		}
	}
	return 0
}
