package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// An image in containerd is run there, without a registry and without Docker.
func TestContainerd(t *testing.T) {
	const varContainerd = "IMGSPECD_TEST_CONTAINERD2"
	need(t, varUV, varFlytekit, varBase, varContainerd)
	at, namespace := os.Getenv(varContainerd), "imgspecd-"+random()
	path := filepath.Join(os.Getenv("IMGSPECD_RIG_DIR"), "bin", "ctr")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("ctr"); err != nil {
			t.Skip("there is no ctr")
		}
	}
	there := []string{"--address", at, "--namespace", namespace}
	ctr := func(args ...string) string {
		t.Helper()
		return command{}.run(t, path, append(there, args...)...)
	}
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_CONTAINERD_USE=always", "IMGSPECD_CONTAINERD_ADDRESS="+at, "IMGSPECD_CONTAINERD_NAMESPACE="+namespace)
	p := newProject(t, spec{name: "ctrd-" + random(), base: os.Getenv(varBase)}, "httpx==0.28.1", "certifi==2024.12.14").lock()
	label := d.watch(p.dir).Label
	first := d.ready(label, "", "containerd", "layout")
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		out, _ := command{}.try(ctx, path, append(there, "images", "list", "-q")...)
		for name := range strings.FieldsSeq(out) {
			_, _ = command{}.try(ctx, path, append(there, "images", "remove", "--sync", name)...)
		}
		_, _ = command{}.try(ctx, path, append(there, "namespaces", "remove", namespace)...)
	})
	run := func(img api.Image) string {
		return ctr("run", "--rm", "docker.io/library/"+img.Name, "c"+random(), "/root/.venv/bin/python", "-c", "import httpx, certifi; print(certifi.__version__)")
	}
	if out := run(first); out != "2024.12.14\n" {
		t.Errorf("the container prints %q", out)
	}
	p.require("httpx==0.28.1", "certifi==2025.1.31")
	p.uv("lock")
	second := d.ready(label, first.Name, "containerd")
	if tgt, _ := second.InTarget("containerd"); tgt.SentLayers != 1 || tgt.SentBytes > 2<<20 {
		t.Errorf("one package changed, and %d layers, %d bytes were sent", tgt.SentLayers, tgt.SentBytes)
	}
	if out := run(second); out != "2025.01.31\n" {
		t.Errorf("the container prints %q", out)
	}
	if out := d.cli("status", p.dir); !strings.Contains(out, "containerd") {
		t.Errorf("status: %s", out)
	}
}
