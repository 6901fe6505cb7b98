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
			if tgt, _ := second.InTarget("docker"); tgt.SentLayers != 1 {
				t.Errorf("one package changed, and %d layers were sent", tgt.SentLayers)
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
