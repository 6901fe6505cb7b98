package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// A full disk fails the build with that reason and leaves nothing half made; with room again, it gets ready.
func TestDiskFull(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	if os.Getuid() != 0 {
		t.Skip("only root can make a small disk")
	}
	d := newDaemon(t, "IMGSPECD_DOCKER_USE=never")
	if err := os.MkdirAll(d.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("imgspecd-test", d.state, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skipf("a small disk cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d.start()
	p := newProject(t, spec{name: "full", base: os.Getenv(varBase)}, "numpy==2.2.6").lock()
	label := d.watch(p.dir).Label
	img := d.settled(label, "")
	if img.State != api.Failed || img.Error == nil || !strings.Contains(img.Error.Message, "no space left on device") {
		t.Fatalf("it is %s: %s (%v)", img.State, img.Detail, img.Error)
	}
	t.Logf("%v", img.Error)
	checkBlobs(t, d.state)

	if err := syscall.Mount("imgspecd-test", d.state, "tmpfs", syscall.MS_REMOUNT, "size=400m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	d.cli("build", p.dir)
	img = d.ready(label, "", "layout")
	skopeoReads(t, d.state, img.Digest)
	checkBlobs(t, d.state)
}
