package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// defaultBuilder is flytekit's own: the Dockerfiles that it writes, built by a buildkitd. The images that it takes its programs from
// are stand-ins in the registry, and the `#syntax` line is dropped, which would have BuildKit pull its frontend: its own does the same.
type defaultBuilder struct{ uv, micromamba string }

// micromambaStandIn makes of the base's Python what stands for the environment that micromamba installs.
const micromambaStandIn = `#!/bin/sh
set -eu
case "$1" in
config) exit 0 ;;
create) exec python3 -m venv --without-pip /opt/micromamba/envs/runtime ;;
*) exit 1 ;;
esac
`

var defaultBuilderOnce struct {
	sync.Once
	defaultBuilder
}

// newDefaultBuilder pushes the stand-ins, once a run.
func newDefaultBuilder(t *testing.T) defaultBuilder {
	t.Helper()
	need(t, varRegistry, varUV, varCA, varFlytekit, varBuildKit)
	if os.Getenv("IMGSPECD_RIG_DIR") == "" {
		t.Skip("IMGSPECD_RIG_DIR is not set: there is no buildctl")
	}
	defaultBuilderOnce.Do(func() {
		host := os.Getenv(varRegistry) + "/imgspecd-test/"
		b := defaultBuilder{uv: host + "stand-in-uv:" + random(), micromamba: host + "stand-in-micromamba:" + random()}
		pushFiles(t, b.uv, map[string][]byte{"uv": read(t, os.Getenv(varUV))})
		pushFiles(t, b.micromamba, map[string][]byte{"usr/bin/micromamba": []byte(micromambaStandIn), "etc/ssl/certs/ca-certificates.crt": read(t, os.Getenv(varCA))})
		defaultBuilderOnce.defaultBuilder = b
	})
	if defaultBuilderOnce.uv == "" {
		t.Fatal("the stand-ins could not be pushed")
	}
	return defaultBuilderOnce.defaultBuilder
}

// build builds ImageSpecs of the project's workflow.py by their variables' names, and returns their images. Those whose base is
// another of them come after it in the list. Secrets are pip_secret_mounts', one list for all.
func (b defaultBuilder) build(t *testing.T, p *project, secrets []string, variables ...string) map[string]string {
	t.Helper()
	out, refs := t.TempDir(), map[string]string{}
	for _, v := range variables {
		refs[v] = os.Getenv(varRegistry) + "/imgspecd-test/theirs-" + random() + ":1"
	}
	nested := p.flytekit(fmt.Sprintf(`
import json, pathlib, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, ".")
from flytekit.image_spec.default_builder import create_docker_context
import workflow
refs, out = json.loads(%q), pathlib.Path(%q)
for name, ref in refs.items():
    spec = getattr(workflow, name)
    for other in refs:
        if spec.base_image is getattr(workflow, other):
            spec.id  # is kept: that of the spec as it was written
            spec.base_image = refs[other]
            print(name)
    (out / name).mkdir()
    create_docker_context(spec, out / name)
    file = out / name / "Dockerfile"
    file.write_text(file.read_text().partition("\n")[2])
`, asJSON(t, refs), out))
	one := func(v string) error {
		args := []string{"--addr", os.Getenv(varBuildKit), "build", "--frontend", "dockerfile.v0", "--progress", "plain",
			"--local", "context=" + filepath.Join(out, v), "--local", "dockerfile=" + filepath.Join(out, v), "--output", "type=image,name=" + refs[v] + ",push=true"}
		for i, file := range secrets {
			args = append(args, "--secret", fmt.Sprintf("id=secret_%d,src=%s", i, file))
		}
		_, err := command{dir: p.dir}.try(t.Context(), filepath.Join(os.Getenv("IMGSPECD_RIG_DIR"), "bin", "buildctl"), args...)
		if err != nil {
			return fmt.Errorf("the default builder's %s: %w", v, err)
		}
		forgetRemote(t, refs[v])
		return nil
	}
	later := strings.Fields(nested)
	for _, turn := range []bool{false, true} {
		var g errgroup.Group
		g.SetLimit(3)
		for _, v := range variables {
			if isLater := slices.Contains(later, v); isLater == turn {
				g.Go(func() error { return one(v) })
			}
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return refs
}
