package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

func TestBuild(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	p := makePlan(t, info, h.some(t, 5))
	b := newBuilder(newStore(t, t.TempDir()))
	var mu sync.Mutex
	last := map[progress.Step]progress.Event{}
	img, stats, err := b.Build(t.Context(), p, baseImg, func(ev progress.Event) {
		mu.Lock()
		defer mu.Unlock()
		last[ev.Step] = ev
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil { // digests, diff IDs and sizes are what the bytes are
		t.Error(err)
	}
	if stats.Packages != 5 || stats.Layers != 7 || stats.LayersMade != 7 || stats.Fetched != 5 || stats.FetchedBytes == 0 || stats.InstalledBytes == 0 {
		t.Errorf("stats: %+v", stats)
	}
	for _, step := range []progress.Step{progress.Fetch, progress.Layers} {
		if ev := last[step]; ev.Items != ev.ItemsTotal || ev.Bytes != ev.BytesTotal || ev.Bytes == 0 {
			t.Errorf("%s ended at %+v", step, ev)
		}
	}
	checkConfig(t, img)
	checkTree(t, img)

	again, stats, err := b.Build(t.Context(), p, baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if stats.LayersMade != 0 || stats.Fetched != 0 || digest(t, again) != digest(t, img) {
		t.Errorf("second build: %+v", stats)
	}
}

func checkConfig(t *testing.T, img v1.Image) {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("manifest is %s, config %s", m.MediaType, m.Config.MediaType)
	}
	for i, l := range m.Layers {
		if l.MediaType != types.OCILayer {
			t.Errorf("layer %d is %s", i, l.MediaType)
		}
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.Config
	if c.User != "flytekit" || c.WorkingDir != "/root" || !slices.Equal(c.Cmd, []string{"python3"}) || c.Entrypoint != nil || !slices.Equal(c.Shell, []string{"/bin/bash", "-c"}) {
		t.Errorf("config: %+v", c)
	}
	if c.Env[len(c.Env)-1] != "_F_IMG_ID=id" || c.Labels["kept"] != "yes" || c.Labels["org.opencontainers.image.version"] != "tag" || len(c.ExposedPorts) != 1 {
		t.Errorf("config: %+v", c)
	}
	layers := 0
	for _, h := range cfg.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	if layers != len(m.Layers) || !cfg.Created.Equal(layer.Epoch) {
		t.Errorf("history tells of %d layers of %d; created %v", layers, len(m.Layers), cfg.Created)
	}
}

// checkTree looks into the layers: owners, parents, and what a wheel installs.
func checkTree(t *testing.T, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	const site = "/root/.venv/lib/python3.11/site-packages"
	found := 0
	for _, l := range layers[3:] { // above the base, system and venv
		files := readLayer(t, l)
		for path, e := range files {
			for _, dir := range []string{"/root", "/root/.venv", site} {
				if _, ok := files[dir]; !ok {
					t.Errorf("a layer with %s lacks %s", path, dir)
				}
			}
			if e.Uid != 1000 || e.Gid != 0 || e.Uname != "" || !e.ModTime.Equal(layer.Epoch) {
				t.Errorf("%s: %d:%d %q %v", path, e.Uid, e.Gid, e.Uname, e.ModTime)
			}
		}
		if d := files["/root"]; d.Mode&0o777 != 0o700 {
			t.Errorf("/root has mode %o in a package's layer", d.Mode)
		}
		if f, ok := files["/root/.venv/bin/pkg03"]; ok {
			found++
			if f.Mode&0o777 != 0o755 || !strings.HasPrefix(f.data, "#!/root/.venv/bin/python\n") {
				t.Errorf("script: %o\n%s", f.Mode, f.data)
			}
			if f := files[site+"/pkg03/__init__.py"]; f.data != strings.Repeat("value_3 = 9\n", 800) {
				t.Errorf("module: %q", f.data)
			}
			for _, name := range []string{"INSTALLER", "RECORD", "REQUESTED"} {
				if _, ok := files[site+"/pkg03-1.0.dist-info/"+name]; !ok {
					t.Errorf("no %s", name)
				}
			}
		}
	}
	if found != 1 {
		t.Errorf("pkg03 is in %d layers", found)
	}
}

// Two empty stores, wheels that come in other orders and at other speeds: one digest.
func TestSameDigestFromEmptyStores(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	artifacts := h.some(t, 12)
	build := func(delay func(name string) time.Duration) string {
		h.mu.Lock()
		h.before = func(name string) { time.Sleep(delay(name)) }
		h.mu.Unlock()
		img, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), makePlan(t, info, artifacts), baseImg, progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return digest(t, img)
	}
	first := build(func(string) time.Duration { return 0 })
	slices.Reverse(artifacts)
	second := build(func(name string) time.Duration { return time.Duration(name[4]-'0') * 5 * time.Millisecond })
	if first != second {
		t.Errorf("%s and %s", first, second)
	}
}

func TestOneChangeOneLayer(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	artifacts := h.some(t, 8)
	b := newBuilder(newStore(t, t.TempDir()))
	before, _, err := b.Build(t.Context(), makePlan(t, info, artifacts), baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	artifacts[4] = h.add(t, "pkg04", "2.0", map[string]string{"pkg04/__init__.py": "new\n"})
	after, stats, err := b.Build(t.Context(), makePlan(t, info, artifacts), baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if stats.LayersMade != 1 || stats.Fetched != 1 {
		t.Errorf("%+v", stats)
	}
	x, _ := before.Manifest()
	y, _ := after.Manifest()
	had := map[v1.Hash]bool{}
	for _, l := range x.Layers {
		had[l.Digest] = true
	}
	differ := 0
	for _, l := range y.Layers {
		if !had[l.Digest] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d of %d layers are new", differ, len(y.Layers))
	}
}

func TestCancelKeepsWhatIsFinished(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	artifacts := h.some(t, 4)
	release := make(chan struct{})
	h.before = func(name string) {
		if strings.HasPrefix(name, "pkg02") {
			<-release
		}
	}
	defer close(release)
	b := newBuilder(newStore(t, t.TempDir()))
	ctx, cancel := context.WithCancelCause(t.Context())
	overtaken := errors.New("overtaken")
	_, _, err := b.Build(ctx, makePlan(t, info, artifacts), baseImg, func(ev progress.Event) {
		if ev.Step == progress.Layers && ev.Items == ev.ItemsTotal-1 {
			cancel(overtaken)
		}
	})
	if !errors.Is(err, overtaken) {
		t.Fatalf("Build = %v", err)
	}
	p := makePlan(t, info, artifacts)
	var missing []string
	for _, l := range p.Layers {
		if _, _, _, ok := b.Existing(l.Key); !ok {
			missing = append(missing, l.Title)
		}
	}
	if diff := cmp.Diff([]string{"pkg02 1.0"}, missing); diff != "" {
		t.Error(diff)
	}
}

func TestBuildsShareWork(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	artifacts := h.some(t, 6)
	b := newBuilder(newStore(t, t.TempDir()))
	var wg sync.WaitGroup
	made := make([]int, 4)
	for i := range made {
		wg.Go(func() {
			_, stats, err := b.Build(t.Context(), makePlan(t, info, artifacts), baseImg, progress.Discard)
			if err != nil {
				t.Error(err)
			}
			made[i] = stats.LayersMade
		})
	}
	wg.Wait()
	total := 0
	for _, n := range made {
		total += n
	}
	if total != 8 {
		t.Errorf("%v layers were made, of 8", made)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, n := range h.asked {
		if n != 1 {
			t.Errorf("%s was fetched %d times", name, n)
		}
	}
}

func TestBadInput(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	build := func(p *plan.Plan, img v1.Image) error {
		_, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, img, progress.Discard)
		return err
	}
	good := h.some(t, 2)

	other := good[1]
	other.Hash = "sha256:" + strings.Repeat("0", 64)
	if err := build(makePlan(t, info, append(good[:1:1], other)), baseImg); err == nil || !strings.Contains(err.Error(), other.Filename) {
		t.Errorf("hash mismatch: %v", err)
	}
	evil := h.add(t, "evil", "1.0", map[string]string{"../../../etc/cron.d/x": "x"})
	if err := build(makePlan(t, info, append(good[:1:1], evil)), baseImg); err == nil || !strings.Contains(err.Error(), "evil-1.0-py3-none-any.whl") {
		t.Errorf("wheel that escapes: %v", err)
	}
	gone := h.add(t, "gone", "1.0", nil)
	h.remove(gone.Filename)
	if err := build(makePlan(t, info, append(good[:1:1], gone)), baseImg); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("missing wheel: %v", err)
	}

	moved, err := mutate.Config(baseImg, v1.Config{User: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := build(makePlan(t, info, good), moved); err == nil || !strings.Contains(err.Error(), "the plan was made for "+info.Digest) {
		t.Errorf("another base: %v", err)
	}
	trigger, err := mutate.Config(baseImg, v1.Config{OnBuild: []string{"RUN x"}})
	if err != nil {
		t.Fatal(err)
	}
	info.Digest = digest(t, trigger)
	var unsupported *plan.Unsupported
	if err := build(makePlan(t, info, good), trigger); !errors.As(err, &unsupported) {
		t.Errorf("ONBUILD: %v", err)
	}
}

// In one layer a path appears once: the later package has it.
func TestTwoPackagesOneFile(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	a := h.add(t, "aa", "1.0", map[string]string{"shared/x.py": "from aa\n", "aa.py": "a\n"})
	z := h.add(t, "zz", "1.0", map[string]string{"shared/x.py": "from zz\n", "zz.py": "z\n"})
	p := makePlan(t, info, append(h.some(t, 0), a, z))
	p.Layers = append(p.Layers[:2:2], plan.Layer{Kind: plan.Packages, Key: "both", Title: "both", Files: p.Layers[2].Files, Packages: append(p.Layers[2].Packages, p.Layers[3].Packages...)})
	img, _, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := img.Layers()
	if f := readLayer(t, layers[3])["/root/.venv/lib/python3.11/site-packages/shared/x.py"]; f.data != "from zz\n" {
		t.Errorf("the file is %q", f.data)
	}
}

func TestPartsHoldAllOfAPackage(t *testing.T) {
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("big/m%02d.py", i)] = strings.Repeat(fmt.Sprint(i), 1000+i)
	}
	p := makePlan(t, info, append(h.some(t, 0), h.add(t, "big", "1.0", files)))
	whole := p.Layers[2]
	for i := 1; i <= 3; i++ {
		l := whole
		l.Key, l.Part, l.Parts = fmt.Sprint("part", i), i, 3
		p.Layers = append(p.Layers, l)
	}
	img, stats, err := newBuilder(newStore(t, t.TempDir())).Build(t.Context(), p, baseImg, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Fetched != 1 {
		t.Errorf("%+v", stats)
	}
	layers, _ := img.Layers()
	want, got := readLayer(t, layers[3]), map[string]tarEntry{}
	for _, l := range layers[4:] {
		part := readLayer(t, l)
		if len(part) < 7 {
			t.Errorf("a part has %d entries", len(part))
		}
		for path, e := range part {
			if old, ok := got[path]; ok && old.Typeflag != '5' {
				t.Errorf("%s is in two parts", path)
			}
			got[path] = e
		}
	}
	for path, e := range want {
		if got[path].data != e.data || got[path].Mode != e.Mode {
			t.Errorf("%s differs", path)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries in parts, %d in the whole", len(got), len(want))
	}
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small tmpfs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a tmpfs: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	h := newWheelhouse(t)
	baseImg, info := testBase(t)
	noise := make([]byte, 400<<10)
	seed := uint64(1)
	for i := range noise {
		seed = seed*6364136223846793005 + 1442695040888963407
		noise[i] = byte(seed >> 56)
	}
	big := h.add(t, "big", "1.0", map[string]string{"big.bin": string(noise)})
	s := newStore(t, dir)
	b := newBuilder(s)
	fillUp(t, dir, 600<<10) // the wheel fits, its layer does not
	_, _, err := b.Build(t.Context(), makePlan(t, info, append(h.some(t, 0), big)), baseImg, progress.Discard)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Build on a full disk: %v", err)
	}
	entries, err := os.ReadDir(s.Tmp())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "blob-") {
			t.Errorf("%s is left in tmp", e.Name())
		}
	}
	os.Remove(dir + "/fill")
	if _, _, err := b.Build(t.Context(), makePlan(t, info, append(h.some(t, 0), big)), baseImg, progress.Discard); err != nil {
		t.Errorf("Build after room was made: %v", err)
	}
}

// fillUp leaves so many bytes free.
func fillUp(t *testing.T, dir string, leave uint64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := fs.Bavail * uint64(fs.Bsize)
	if free < leave {
		t.Fatalf("only %d bytes are free", free)
	}
	if err := os.WriteFile(dir+"/fill", make([]byte, free-leave), 0o600); err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}
