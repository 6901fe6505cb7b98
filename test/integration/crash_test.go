package integration

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A daemon that is killed ten times while it builds leaves nothing half made under a final name, and gets there in the end.
func TestKilledWhileBuilding(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varSkopeo)
	d := newDaemon(t, "IMGSPECD_DOCKER_USE=never")
	seedWheels(t, d.state)
	p := newProject(t, spec{
		name: "crash", registry: os.Getenv(varRegistry) + "/t-" + random(), base: os.Getenv(varBase),
	}, science...).lock()
	d.start()
	label := d.watch(p.dir).Label
	for i := range 10 {
		if i > 0 {
			d.spawn()
		}
		after := rand.N(1500 * time.Millisecond)
		time.Sleep(after) // a crash has no event to wait for
		d.kill()
		t.Logf("killed after %v", after)
		checkBlobs(t, d.state)
	}
	d.start()
	img := d.ready(label, "", "layout", "registry")
	forgetRemote(t, img.Name)
	skopeoReads(t, d.state, img.Digest)
	checkBlobs(t, d.state)
	if left, err := filepath.Glob(filepath.Join(d.state, "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v (%v)", left, err)
	}
	if got, err := pull(t, img.Name).Digest(); err != nil || got.String() != img.Digest {
		t.Errorf("the registry has %v, the layout %s (%v)", got, img.Digest, err)
	}
}

// A second daemon on the same state says so and ends; the first goes on.
func TestSecondDaemonRefuses(t *testing.T) {
	d := newDaemon(t, "IMGSPECD_DOCKER_USE=never")
	d.start()
	env := append(d.env, "IMGSPECD_SOCKET="+filepath.Join(d.home, "s2", "imgspecd.sock"))
	out, err := command{dir: d.home, env: env}.try(t.Context(), d.bin, "serve")
	if code := exitCode(err); code <= 0 {
		t.Fatalf("a second daemon on the same state ended with %v\n%s", err, out)
	}
	t.Logf("it says: %v", err)
	if _, err := d.Info(t.Context()); err != nil {
		t.Error(err)
	}
}

// A socket left by a crash is taken over.
func TestStaleSocketIsTakenOver(t *testing.T) {
	d := newDaemon(t, "IMGSPECD_DOCKER_USE=never")
	d.start()
	d.kill()
	if _, err := os.Lstat(d.Socket); err != nil {
		t.Fatalf("a killed daemon should leave its socket: %v", err)
	}
	d.start()
	d.stop()
	if _, err := os.Lstat(d.Socket); err == nil {
		t.Error("a daemon that was stopped leaves its socket")
	}
}
