package builder

import (
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// asUseradd is what the default builder executes: for the date that layers have, and
// without the CA bundle.
const asUseradd = `set -e
id -u flytekit >/dev/null 2>&1 || SOURCE_DATE_EPOCH=315532800 useradd --create-home --shell /bin/bash flytekit 2>/dev/null
chown -R flytekit /root && chown -R flytekit /home
su flytekit -s /bin/bash -c 'mkdir -p $HOME && echo "export PATH=$FINAL_PATH" >> $HOME/.profile'
`

// look prints all that the system layer writes to.
const look = `
for f in passwd group shadow gshadow subuid subgid; do
	if [ -f /etc/$f ]; then stat -c '%A %u:%g %n' /etc/$f; cat /etc/$f; else echo no $f; fi
done
find /home /root -path /root/.venv -prune -o -printf '%M %U:%G %p -> %l\n' | sort
find /home /root -path /root/.venv -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
`

// The system layer against the commands it stands for, on bases that make useradd choose.
func TestSystemLayerIsWhatUseraddMakes(t *testing.T) {
	registry, image := os.Getenv("IMGSPECD_TEST_REGISTRY"), os.Getenv("IMGSPECD_TEST_BASE_PYTHON")
	if registry == "" || image == "" || os.Getenv("IMGSPECD_TEST_DOCKER") == "" {
		t.Skip("needs the rig: IMGSPECD_TEST_REGISTRY, _BASE_PYTHON and _DOCKER")
	}
	for _, c := range []struct{ name, change string }{
		{"plain", "true"},
		{"ids-taken", "useradd -u 1000 -U a; useradd -u 1007 -U b; groupadd -g 1008 c; useradd -u 70000 d"},
		{"group-taken", "groupadd -g 1000 staff2"},
		{"ids-at-the-end", "useradd -u 60000 a; groupadd -g 1000 b"},
		{"no-own-group", "sed -i 's/^USERGROUPS_ENAB.*/USERGROUPS_ENAB no/' /etc/login.defs"},
		{"settings", "printf 'HOME_MODE 0700\\nUID_MIN 2000\\nGID_MIN 3000\\nSUB_UID_COUNT 1000\\n' >>/etc/login.defs; sed -i '/^UID_MIN/d;/^GID_MIN/d;/^SUB_UID_COUNT/d;/^PASS_MIN_DAYS/d' /etc/login.defs; " +
			"printf 'UID_MIN 2000\\nGID_MIN 3000\\nSUB_UID_COUNT 1000\\n' >>/etc/login.defs; echo HOME=/home/users >>/etc/default/useradd; mkdir -p /home/users"},
		{"no-shadow", "rm -f /etc/shadow /etc/gshadow /etc/subuid"},
		{"sub-ids", "printf 'a:100000:65536\\nb:231072:65536\\n' >/etc/subuid; printf 'x:100500:10\\n' >/etc/subgid"},
		{"user-there", "useradd -u 1234 -g 100 -m -d /home/me flytekit; rm -f /home/me/.profile"},
		{"home-there", "mkdir -m 0711 /home/flytekit; echo mine >/home/flytekit/file"},
		{"homes-in-use", "mkdir -p /root/a/b /home/x; echo 1 >/root/a/b/c; ln -s /etc/passwd /root/a/link; chmod 4755 /root/a/b/c; echo 2 >/home/x/y; chown 33:33 /home/x/y; chmod 2750 /home/x; chmod 6755 /home/x/y; chmod 1777 /root/a"},
		{"skel", "mkdir -p /etc/skel/.config/d; echo s >/etc/skel/.config/d/f; chmod 600 /etc/skel/.config/d/f; ln -s d /etc/skel/.config/l; rm /etc/skel/.profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := fmt.Sprintf("%s/imgspecd-test-%08x/%s:base", registry, rand.Uint32(), c.name)
			ours := strings.TrimSuffix(ref, "base") + "ours"
			prepare(t, image, c.change, ref)
			p := buildSystem(t, ref, ours)
			finalPath := ""
			for _, e := range p.Config.Env {
				if v, ok := strings.CutPrefix(e, "PATH="); ok {
					finalPath = v
				}
			}
			want := docker(t, "run", "--rm", "-u", "0", "-e", "FINAL_PATH="+finalPath, ref, "bash", "-c", asUseradd+look)
			got := docker(t, "run", "--rm", "-u", "0", ours, "bash", "-c", look)
			if strings.Count(want, "flytekit") < 3 {
				t.Fatalf("useradd made little:\n%s", want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("useradd (-) and the system layer (+):\n%s", diff)
			}
			// and it works as a user's image
			if out := docker(t, "run", "--rm", ours, "bash", "-lc", "id -un; echo $PATH; python -c 'import sys; print(sys.prefix)'"); out != "flytekit\n"+finalPath+"\n/root/.venv\n" {
				t.Errorf("as the user:\n%s", out)
			}
		})
	}
}

// prepare makes a base image that differs from another by a command.
func prepare(t *testing.T, image, change, ref string) {
	t.Helper()
	id := strings.TrimSpace(docker(t, "create", image, "bash", "-ec", change))
	t.Cleanup(func() { dockerCommand("rm", id).Run() })
	docker(t, "start", "-a", id)
	docker(t, "commit", "-c", `CMD ["python3"]`, id, ref)
	t.Cleanup(func() { dockerCommand("rmi", ref).Run() })
	docker(t, "push", "-q", ref)
}

// buildSystem builds an image without packages and puts it into the registry and the engine.
func buildSystem(t *testing.T, ref, ours string) *plan.Plan {
	t.Helper()
	resolver := base.NewResolver(base.Deps{Transport: http.DefaultTransport})
	b, err := resolver.Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p := makePlan(t, b.Info, nil)
	img, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, b.Image, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.ParseReference(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	docker(t, "pull", "-q", ours)
	t.Cleanup(func() { dockerCommand("rmi", ours).Run() })
	return p
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := dockerCommand(args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s%s", args[0], err, out, stderr.String())
	}
	return string(out)
}

func dockerCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+os.Getenv("IMGSPECD_TEST_DOCKER"))
	return cmd
}
