package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/api"
)

// relay leads to the rig's registry, and counts what passes, by repository.
type relay struct {
	*httptest.Server
	host string

	mu       sync.Mutex
	read     map[string]int64 // bytes of blobs
	sent     map[string]int64
	mounts   int
	puts     map[string]int // manifests
	refuse   func(r *http.Request) bool
	silent   bool // it does not answer for the cache
	released chan struct{}
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	need(t, varRegistry)
	to := &url.URL{Scheme: "http", Host: os.Getenv(varRegistry)}
	r := &relay{released: make(chan struct{})}
	r.clear()
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of daemons that end
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		repo := strings.TrimPrefix(req.URL.Path, "/v2/")
		for _, at := range []string{"/blobs/", "/manifests/"} {
			repo, _, _ = strings.Cut(repo, at)
		}
		r.mu.Lock()
		refused := r.refuse != nil && r.refuse(req)
		silent := r.silent && strings.HasSuffix(repo, "/layers")
		r.mu.Unlock()
		switch {
		case silent:
			select {
			case <-r.released:
			case <-req.Context().Done():
			}
			return
		case refused:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"writing is for CI"}]}`)
			return
		}
		body := &counted{ReadCloser: req.Body}
		if req.Body != nil && req.Body != http.NoBody {
			req.Body = body
		}
		out := &counting{ResponseWriter: w}
		proxy.ServeHTTP(out, req)
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case strings.Contains(req.URL.Path, "/blobs/uploads/"):
			r.sent[repo] += body.n
			if out.status == http.StatusCreated && req.URL.Query().Get("mount") != "" {
				r.mounts++
			}
		case strings.Contains(req.URL.Path, "/blobs/") && req.Method == http.MethodGet:
			r.read[repo] += out.n
		case strings.Contains(req.URL.Path, "/manifests/") && req.Method == http.MethodPut:
			r.puts[repo]++
		}
	}))
	t.Cleanup(func() { close(r.released); r.Close() })
	r.host = strings.TrimPrefix(r.URL, "http://")
	return r
}

func (r *relay) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read, r.sent, r.puts, r.mounts = map[string]int64{}, map[string]int64{}, map[string]int{}, 0
}

// passed sums up the bytes of blobs that were read, and sent, in all repositories but the bases'.
func (r *relay) passed() (read, sent int64, puts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for repo, n := range r.read {
		if !strings.HasPrefix(repo, "base/") {
			read += n
		}
	}
	for _, n := range r.sent {
		sent += n
	}
	for repo, n := range r.puts {
		if strings.HasSuffix(repo, "/layers") {
			puts += n
		}
	}
	return read, sent, puts
}

type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

type counting struct {
	http.ResponseWriter
	status int
	n      int64
}

func (c *counting) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// bulk is how many bytes the package of these tests has, which cannot be compressed.
const bulk = 3 << 20

// team is a registry with a cache in it, an index, and a project with one big package of that index.
type team struct {
	*relay
	t     *testing.T
	house *house
	cache string
	index *httptest.Server // of the house; files counts what it gives away
	files *int
	p     *project
}

func newTeam(t *testing.T, registry string) *team {
	t.Helper()
	need(t, varUV, varFlytekit, varBase)
	x := &team{relay: newRelay(t), t: t, house: newHouse(t), files: new(int)}
	seed := rand.NewChaCha8([32]byte([]byte(random() + random() + random() + "123")[:32]))
	noise := make([]byte, bulk)
	_, _ = seed.Read(noise)
	x.house.put(t, "needle", map[string]string{"needle/__init__.py": "found = 'in the haystack'\n", "needle/hay.bin": string(noise)})
	var mu sync.Mutex
	x.index = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/files/") {
			mu.Lock()
			*x.files++
			mu.Unlock()
		}
		x.house.ServeHTTP(w, r)
	}))
	t.Cleanup(x.index.Close)
	space := "t-" + random()
	x.cache = x.host + "/" + space + "/layers"
	if registry == "" {
		x.p = newProject(t, spec{name: "team-" + random(), base: x.base()})
	} else {
		x.p = newProject(t, spec{name: "team", registry: x.host + "/" + space, base: x.base()})
	}
	x.p.private(x.index.URL+"/simple", nil)
	t.Cleanup(func() { x.forget(func(string) bool { return true }) })
	return x
}

// base is the rig's base as the relay has it.
func (x *team) base() string {
	return strings.Replace(os.Getenv(varBase), os.Getenv(varRegistry), x.host, 1)
}

// machine is a daemon with nothing of its own but the settings.
func (x *team) machine(settings ...string) *daemon {
	d := newDaemon(x.t, append([]string{"IMGSPECD_CACHE_REGISTRY=" + x.cache, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_BYTECODE=off"}, settings...)...)
	d.start()
	return d
}

// tags are those of the cache.
func (x *team) tags() []string {
	repo, err := name.NewRepository(x.cache)
	if err != nil {
		x.t.Fatal(err)
	}
	tags, err := remote.List(repo)
	if err != nil {
		return nil
	}
	return tags
}

// keys are the tags of layers.
func (x *team) keys() []string {
	return slices.DeleteFunc(x.tags(), func(tag string) bool { return strings.Contains(tag, "-") })
}

// forget removes entries.
func (x *team) forget(which func(tag string) bool) {
	repo, err := name.NewRepository(x.cache)
	if err != nil {
		return
	}
	for _, key := range x.tags() {
		if d, err := remote.Head(repo.Tag(key)); err == nil && which(key) {
			_ = remote.Delete(repo.Digest(d.Digest.String()))
		}
	}
}

// filled has machine A build and publish, and waits until its layer is in the cache.
func (x *team) filled(settings ...string) api.Image {
	x.t.Helper()
	a := x.machine(settings...)
	img := a.ready(a.watch(x.p.dir).Label, "")
	eventually(x.t, "the layer is in the cache", 20*time.Second, func() bool { return len(x.tags()) == 2 })
	if s := figures(x.t, a, img); s.LayersShared != 0 || s.Fetched != 1 {
		x.t.Errorf("the first machine: %+v", s)
	}
	a.stop()
	return img
}

// What one machine has made, another need not: it has the image ready in the registry, and neither the wheel nor a layer has
// passed through it. Whoever reads the image there gets all of it.
func TestTeamCache(t *testing.T) {
	x := newTeam(t, "registry")
	first := x.filled()
	forgetRemote(t, first.Name)
	x.clear()
	*x.files = 0

	b := x.machine()
	label := b.watch(x.p.dir).Label
	img := b.ready(label, "", "registry", "layout")
	if img.Name != first.Name || img.Digest != first.Digest {
		t.Errorf("one machine has %s as %s, the other %s as %s", first.Name, first.Digest, img.Name, img.Digest)
	}
	s := figures(t, b, img)
	if s.LayersShared != 1 || s.SharedBytes < bulk || s.Fetched != 0 {
		t.Errorf("the second machine: %+v", s)
	}
	read, sent, puts := x.passed()
	if *x.files != 0 || read != 0 || sent >= 64<<10 || puts != 0 {
		t.Errorf("%d wheels, %d bytes of blobs read, %d sent, %d entries put", *x.files, read, sent, puts)
	}
	if n := x.read["base/python"]; n >= 64<<10 {
		t.Errorf("%d bytes of the base were read to look into it", n)
	}
	t.Logf("read %d, sent %d bytes, %d mounted: %+v", read, sent, x.mounts, s)
	if text := b.cli("logs", label); !strings.Contains(text, "1 layers are from the team cache") {
		t.Errorf("the log:\n%s", text)
	}
	if text := b.cli("explain", label); !strings.Contains(text, "1 from the team cache") {
		t.Errorf("explain:\n%s", text)
	}
	need(t, varSkopeo)
	command{}.run(t, os.Getenv(varSkopeo), "copy", "--quiet", "--src-tls-verify=false", "docker://"+img.Name, "dir:"+t.TempDir())

	// Another image, whose repository is new: its layer is mounted. It has the first one as its base, so that is read.
	x.clear()
	x.p.edit("workflow.py", `name="team"`, `name="other"`)
	other := b.ready(label, img.Name, "registry")
	forgetRemote(t, other.Name)
	if read, sent, _ := x.passed(); read != 0 || sent >= 64<<10 || x.mounts == 0 {
		t.Errorf("another repository: %d bytes of blobs read, %d sent, %d mounted", read, sent, x.mounts)
	}

	// It stays ready: a daemon that has just started asks the places, and builds nothing.
	b.stop()
	x.clear()
	b.start()
	if again := b.ready(label, ""); again.Digest != other.Digest || again.Build != "" {
		t.Errorf("after a start it is %+v", again)
	}

	// With layout = whole all of it is brought here.
	b.stop()
	b.env = append(b.env, "IMGSPECD_CACHE_LAYOUT=whole")
	b.start()
	whole := b.ready(label, "", "layout", "registry")
	skopeoReads(t, b.state, whole.Digest)
	checkBlobs(t, b.state)
	// What is here, and in the cache, is mounted all the same.
	x.clear()
	x.p.edit("workflow.py", `name="other"`, `name="third"`)
	third := b.ready(label, other.Name, "registry")
	forgetRemote(t, third.Name)
	if read, sent, _ := x.passed(); read != 0 || sent >= 64<<10 || *x.files != 0 {
		t.Errorf("a third repository: %d bytes of blobs read, %d sent, %d wheels", read, sent, *x.files)
	}
}

// Docker wants the bytes: they come from the cache, checked, and no wheel does. A base that is an ImageSpec of its own, of which
// only that is known where its layers lie, is read from there.
func TestTeamCacheIntoDocker(t *testing.T) {
	engine := newDocker(t, varDocker29)
	x := newTeam(t, "")
	docker := []string{"IMGSPECD_DOCKER_USE=auto", "DOCKER_HOST=" + engine.host}
	first := x.filled(docker...)
	engine.forget(first.Name)
	_, _ = command{}.try(t.Context(), "docker", "--host", engine.host, "rmi", "-f", first.Name)
	x.clear()
	*x.files = 0
	b := x.machine(docker...)
	img := b.ready(b.watch(x.p.dir).Label, "", "docker")
	if read, _, _ := x.passed(); *x.files != 0 || read < bulk || read > 2*bulk || img.Digest != first.Digest {
		t.Errorf("%d wheels, %d bytes of blobs; %s and %s", *x.files, read, first.Digest, img.Digest)
	}
	if out := engine.in(img.Name, `python -c 'import needle; print(needle.found)'`); !strings.Contains(out, "haystack") {
		t.Errorf("the image says %q", out)
	}
	checkBlobs(t, b.state)
}

// A base that is an ImageSpec of its own is thin in the layout too: what is to be read of it comes from where it lies.
func TestTeamCacheNestedBase(t *testing.T) {
	x := newTeam(t, "registry")
	space := strings.TrimSuffix(x.cache, "/layers")
	x.house.put(t, "thread", map[string]string{"thread/__init__.py": "x = 1\n"})
	parent := &project{t: t, dir: filepath.Join(x.p.dir, "parent")}
	if err := os.Mkdir(parent.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	parent.private(x.index.URL+"/simple", nil)
	x.p.edit("pyproject.toml", `"needle"`, `"thread"`)
	command{dir: x.p.dir, env: []string{"UV_PYTHON=" + os.Getenv(varFlytekit), "UV_PYTHON_DOWNLOADS=never"}}.run(t, os.Getenv(varUV), "lock")
	x.p.write("workflow.py", fmt.Sprintf(`from flytekit import ImageSpec

image = ImageSpec(name="child", registry=%[1]q, requirements="uv.lock",
    base_image=ImageSpec(name="parent", registry=%[1]q, requirements="parent/uv.lock", base_image=%[2]q))
`, space, x.base()))
	both := func(d *daemon) (child, parent api.Image) {
		label := d.spec(x.p.dir, "image").Label
		return d.ready(label, "", "registry"), d.ready(label+"@base", "", "registry")
	}
	a := x.machine()
	firstChild, firstParent := both(a)
	forgetRemote(t, firstChild.Name)
	forgetRemote(t, firstParent.Name)
	eventually(t, "the layers are in the cache", 20*time.Second, func() bool { return len(x.tags()) == 4 })
	a.stop()
	x.clear()
	*x.files = 0
	b := x.machine()
	child, base := both(b)
	if child.Digest != firstChild.Digest || base.Digest != firstParent.Digest {
		t.Errorf("one machine has %s on %s, the other %s on %s", firstChild.Digest, firstParent.Digest, child.Digest, base.Digest)
	}
	// What was found in the base is in the cache too.
	if read, sent, _ := x.passed(); *x.files != 0 || read != 0 || sent >= 64<<10 {
		t.Errorf("%d wheels, %d bytes of blobs read, %d sent", *x.files, read, sent)
	}
	b.stop()
	x.clear()
	b.start()
	if again := b.ready(child.Label, ""); again.Digest != child.Digest || again.Build != "" {
		t.Errorf("after a start it is %+v", again)
	}
	b.stop()

	// Without that, the base is looked into: its layers are read, once.
	x.forget(func(tag string) bool { return strings.HasPrefix(tag, "base-") })
	x.clear()
	c := x.machine("IMGSPECD_CACHE_MODE=read-only")
	if again, _ := both(c); again.Digest != child.Digest {
		t.Errorf("it is %s, not %s", again.Digest, child.Digest)
	}
	if read, sent, _ := x.passed(); *x.files != 0 || read < bulk || read > bulk+1<<20 || sent >= 64<<10 {
		t.Errorf("%d wheels, %d bytes of blobs read, %d sent", *x.files, read, sent)
	}
	checkBlobs(t, c.state)
}

// What one machine has executed, another need not: it has no BuildKit, and the same image, though what apt leaves is another each time.
func TestTeamCacheSteps(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varBuildKit)
	depot, h := newDepot(t, "toy"), newToyHouse(t)
	x := &team{t: t, cache: os.Getenv(varRegistry) + "/t-" + random() + "/layers"}
	t.Cleanup(func() { x.forget(func(string) bool { return true }) })
	p := newToys(t, h, depot.base(t, os.Getenv(varBase)), `"toy > /root/played", "python -c 'import kite'"`)
	a := x.machine("IMGSPECD_BYTECODE=off", "BUILDKIT_HOST="+os.Getenv(varBuildKit))
	first := a.ready(a.watch(p.dir).Label, "", "layout")
	eventually(t, "what the steps left is in the cache", 20*time.Second, func() bool {
		steps := 0
		for _, tag := range x.tags() {
			if strings.HasPrefix(tag, "step-") {
				steps++
			}
		}
		return steps == 3
	})
	eventually(t, "the layers are in the cache", 20*time.Second, func() bool { return len(x.keys()) == 2 })
	a.stop()

	b := x.machine("IMGSPECD_CACHE_MODE=read-only", "BUILDKIT_HOST=unix:///nowhere/buildkit.sock")
	img := b.ready(b.watch(p.dir).Label, "", "layout")
	log := b.cli("logs", img.Label)
	if img.Digest != first.Digest {
		t.Errorf("one machine has %s, the other %s:\n%s", first.Digest, img.Digest, log)
	}
	for _, want := range []string{"apt: toy: from the team cache", "import kite': from the team cache", "kite-1.0-py3-none-any.whl is from the team cache"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log is without %q:\n%s", want, log)
		}
	}
	if s := figures(t, b, img); s.LayersShared != 2 || s.Fetched != 0 {
		t.Errorf("%+v", s)
	}
	checkBlobs(t, b.state)
}

// An entry that is not what it says is refused, and the layer is made here.
func TestTeamCachePoisoned(t *testing.T) {
	x := newTeam(t, "")
	first := x.filled()
	key := x.keys()[0]
	whole := x.entry(key)
	for name, spoil := range map[string]func(about map[string]any, m map[string]any){
		"another digest in the record": func(about, _ map[string]any) { about["digest"] = "sha256:" + strings.Repeat("ab", 32) },
		"another diff ID":              func(about, _ map[string]any) { about["diff_id"] = "sha256:" + strings.Repeat("ab", 32) },
		"another key":                  func(about, _ map[string]any) { about["key"] = strings.Repeat("ab", 32) },
		"another blob": func(about, m map[string]any) {
			layer := m["layers"].([]any)[0].(map[string]any)
			layer["digest"], layer["size"] = m["config"].(map[string]any)["digest"], m["config"].(map[string]any)["size"]
			about["digest"], about["size"] = layer["digest"], layer["size"]
		},
	} {
		t.Run(name, func(t *testing.T) {
			x.put(t, key, whole, spoil)
			*x.files = 0
			b := x.machine()
			img := b.ready(b.watch(x.p.dir).Label, "")
			if img.Digest != first.Digest || *x.files != 1 {
				t.Errorf("it is %s instead of %s, of %d wheels", img.Digest, first.Digest, *x.files)
			}
			if text := b.cli("logs", img.Label); !strings.Contains(text, "team cache") {
				t.Errorf("the log does not say so:\n%s", text)
			}
			eventually(t, "the image says that an entry differs", 10*time.Second, func() bool {
				im, err := b.Image(t.Context(), img.Label, 0)
				return err == nil && len(im.Warnings) == 1 && strings.Contains(im.Warnings[0].Reason, "team cache")
			})
			b.stop()
		})
	}
}

// entry reads the manifest of an entry.
func (x *team) entry(key string) []byte {
	x.t.Helper()
	repo, err := name.NewRepository(x.cache)
	if err != nil {
		x.t.Fatal(err)
	}
	d, err := remote.Get(repo.Tag(key))
	if err != nil {
		x.t.Fatal(err)
	}
	return d.Manifest
}

// put puts a spoiled entry in the place of one, as whoever may write there can.
func (x *team) put(t *testing.T, key string, manifest []byte, spoil func(about, m map[string]any)) {
	t.Helper()
	var m, about map[string]any
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	var typed struct{ Config struct{ Data []byte } }
	if err := json.Unmarshal(manifest, &typed); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(typed.Config.Data, &about); err != nil {
		t.Fatal(err)
	}
	spoil(about, m)
	config, _ := json.Marshal(about)
	sum := sha256.Sum256(config)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	m["config"] = map[string]any{"mediaType": "application/vnd.imgspecd.layer.v1+json", "digest": digest, "size": len(config), "data": config}
	raw, _ := json.Marshal(m)
	_, repo, _ := strings.Cut(x.cache, "/")
	at := "http://" + os.Getenv(varRegistry) + "/v2/" + repo
	resp, err := http.Post(at+"/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	loc, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	q := loc.Query()
	q.Set("digest", digest)
	loc.RawQuery = q.Encode()
	for _, one := range []struct {
		to, kind string
		body     []byte
	}{{loc.String(), "application/octet-stream", config}, {at + "/manifests/" + key, "application/vnd.oci.image.manifest.v1+json", raw}} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, one.to, bytes.NewReader(one.body))
		req.Header.Set("Content-Type", one.kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s: %s", one.to, resp.Status, text)
		}
	}
}

// Who may not write there does not; a cache that refuses, or does not answer, keeps nobody from building.
func TestTeamCacheUnwritten(t *testing.T) {
	x := newTeam(t, "")
	settled := func(d *daemon) api.Image {
		t.Helper()
		img := d.ready(d.watch(x.p.dir).Label, "")
		d.stop() // which ends what was left to be done
		return img
	}
	readonly := settled(x.machine("IMGSPECD_CACHE_MODE=read-only"))
	x.p.write("imgspecd.toml", "cache.mode = \"read-only\"\n")
	narrowed := settled(x.machine())
	if err := os.Remove(filepath.Join(x.p.dir, "imgspecd.toml")); err != nil {
		t.Fatal(err)
	}
	if _, sent, puts := x.passed(); sent != 0 || puts != 0 || len(x.tags()) != 0 {
		t.Errorf("it was only to be read: %d bytes, %d entries", sent, puts)
	}

	x.mu.Lock()
	x.refuse = func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	x.mu.Unlock()
	d := x.machine()
	refused := d.ready(d.watch(x.p.dir).Label, "")
	eventually(t, "the daemon says that it may not write", 10*time.Second, func() bool {
		info, err := d.Info(t.Context())
		for _, at := range info.Targets {
			if err == nil && at.Name == "cache" && at.Error != nil {
				return strings.Contains(at.Error.Message, "read-only")
			}
		}
		return false
	})
	if n := strings.Count(d.log(), "cache.mode"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if text := d.cli("doctor"); !strings.Contains(text, "not writable") {
		t.Errorf("doctor:\n%s", text)
	}
	d.stop()

	x.mu.Lock()
	x.refuse, x.silent = nil, true
	x.mu.Unlock()
	begin := time.Now()
	silent := settled(x.machine())
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("a cache that does not answer cost %v", took)
	}
	for _, img := range []api.Image{narrowed, refused, silent} {
		if img.Digest != readonly.Digest || img.State != api.Ready {
			t.Errorf("%s is %s, %s instead of %s", img.Name, img.State, img.Digest, readonly.Digest)
		}
	}
}

// A command without a daemon gives its layers away before it ends.
func TestTeamCacheOneCommand(t *testing.T) {
	x := newTeam(t, "")
	d := newDaemon(t, "IMGSPECD_CACHE_REGISTRY="+x.cache, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_BYTECODE=off")
	out, err := command{dir: x.p.dir, env: d.env}.try(context.WithoutCancel(t.Context()), d.bin, "build", "--no-daemon", x.p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(x.keys()); n != 1 {
		t.Fatalf("%d entries after it had ended:\n%s", n, out)
	}
	var m struct {
		ArtifactType string `json:"artifactType"`
	}
	if err := json.Unmarshal(x.entry(x.keys()[0]), &m); err != nil || m.ArtifactType != "application/vnd.imgspecd.layer.v1+json" {
		t.Errorf("the entry is %s (%v)", m.ArtifactType, err)
	}
	need(t, varSkopeo)
	command{}.run(t, os.Getenv(varSkopeo), "inspect", "--tls-verify=false", "--raw", fmt.Sprintf("docker://%s:%s", x.cache, x.keys()[0]))
}
