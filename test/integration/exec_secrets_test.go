package integration

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
)

// What steps are told in confidence is seen by them and by nobody else: the login of an index, a secret's content, a proxy's password.
func TestSecretsOfStepsLeaveNoTrace(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	for name, settings := range engines {
		for _, locked := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, lock %v", name, locked), func(t *testing.T) {
				if (locked != (name == "buildkitd") || name == "containerd") && os.Getenv("IMGSPECD_TEST_FULL") == "" {
					t.Skip("IMGSPECD_TEST_FULL is not set")
				}
				begun := time.Now().Add(-time.Second)
				login, secret, proxy := newCanary(), newCanary(), newCanary()
				h := newOpenHouse(t)
				h.login.Store(login)
				depot, through := newDepot(t, "toy"), newForward(t, proxy)
				d := newDaemon(t, append(settings(), "IMGSPECD_UV_PATH="+os.Getenv(varUV), "NO_PROXY=127.0.0.1,localhost", "HTTP_PROXY="+strings.Replace(through.URL, "://", "://"+proxy.user+":"+proxy.password+"@", 1))...)
				p := newConfidential(t, d, h, depot.base(t, os.Getenv(varBase)), login, secret, locked)
				d.start()
				heard := d.hear(t)
				img := d.ready(d.watch(p.dir).Label, "", "layout")
				d.forgets(img)
				said := map[string]string{"events": heard(), "log": d.cli("logs", img.Label)}
				for _, want := range []string{"configured toy", "it has the secret", "played"} {
					if !strings.Contains(said["log"], want) {
						t.Errorf("the log is without %q:\n%s", want, said["log"])
					}
				}
				if through.served.Load() == 0 {
					t.Error("the proxy was not asked")
				}
				d.ask(t, said, p, img)
				d.stop()
				said["the daemon's log"] = d.log()
				if name == "buildkitd" {
					buildKitSays(t, said, begun)
				}
				for _, c := range []canary{login, secret, proxy} {
					for what, text := range said {
						for _, form := range c.forms() {
							if i := strings.Index(text, form); i >= 0 {
								t.Errorf("%s holds %q: ...%s...", what, form, text[max(0, i-160):min(len(text), i+80)])
							}
						}
					}
					searchFiles(t, d.state, c)
				}
			})
		}
	}
}

// newConfidential is a project of a package that is built with a secret, and with another package from an index that wants a login.
func newConfidential(t *testing.T, d *daemon, h *house, base string, login, secret canary, locked bool) *project {
	t.Helper()
	h.put(t, "drum", map[string]string{"drum.py": "x = 1\n"})
	h.put(t, "pip", map[string]string{"pip.py": "x = 1\n"})
	h.put(t, "flytekit", map[string]string{"flytekit.py": "x = 1\n"})
	h.sdistOf(t, "lamp", `"drum"`, "import drum\n"+backend+`
_build = build_wheel
def build_wheel(*args):
    assert len(open("/etc/confidence").read()) > 8
    print("it has the secret")
    return _build(*args)
`)
	p := newProject(t, spec{name: "confidential-" + random(), base: base})
	p.write("confidence", secret.password+"\n")
	address, mounts := strings.Replace(h.URL, "://", "://"+login.user+":"+login.password+"@", 1)+"/simple", `("confidence", "/etc/confidence")`
	if locked {
		address = netrc(t, d, h, login)
		mounts += fmt.Sprintf(`, (%q, "/root/.netrc")`, filepath.Join(d.home, ".netrc"))
		p.write("pyproject.toml", "[project]\nname = \"demo\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"lamp\"]\n\n"+
			"[tool.uv]\npackage = false\n\n[[tool.uv.index]]\nname = \"house\"\nurl = \""+address+"\"\ndefault = true\n")
		command{dir: p.dir, env: append(d.env, "HTTP_PROXY=", "NETRC="+filepath.Join(d.home, ".netrc"), "UV_PYTHON="+os.Getenv(varFlytekit), "UV_PYTHON_DOWNLOADS=never")}.run(t, os.Getenv(varUV), "lock")
	}
	fields := `requirements="uv.lock"`
	if !locked {
		fields = fmt.Sprintf(`packages=["lamp", "flytekit==1.0"], pip_index=%q`, address)
	}
	p.write("workflow.py", fmt.Sprintf("from flytekit import ImageSpec\n\nimage = ImageSpec(name=\"confidential-%s\", base_image=%q, apt_packages=[\"toy\"], commands=[\"echo played\"], pip_secret_mounts=[%s], %s)\n",
		random(), base, mounts, fields))
	return p
}

// newOpenHouse is a house that containers reach too.
func newOpenHouse(t *testing.T) *house {
	t.Helper()
	h := &house{wheels: map[string][]byte{}}
	h.Server = httptest.NewUnstartedServer(h)
	open(t, h.Server)
	h.Start()
	t.Cleanup(h.Close)
	return h
}

// forward is a proxy that wants a login, and counts those it has served.
type forward struct {
	*httptest.Server
	served atomic.Int32
}

func newForward(t *testing.T, c canary) *forward {
	t.Helper()
	f := &forward{}
	proxy := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if user, password, _ := ask.BasicAuth(); user != c.user || password != c.password {
			w.Header().Set("Proxy-Authenticate", `Basic realm="forward"`)
			http.Error(w, "who is it?", http.StatusProxyAuthRequired)
			return
		}
		f.served.Add(1)
		r.Header.Del("Proxy-Authorization")
		proxy.ServeHTTP(w, r)
	}))
	open(t, f.Server)
	f.Start()
	t.Cleanup(f.Close)
	return f
}

// buildKitSays adds what a buildkitd tells of what it has: the records of its cache, and its history with all that is attached to it.
func buildKitSays(t *testing.T, said map[string]string, since time.Time) {
	t.Helper()
	c, err := client.New(t.Context(), os.Getenv(varBuildKit))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	usage, err := c.DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said["BuildKit's disk usage"] = asJSON(t, usage)
	history, err := c.ControlClient().ListenBuildHistory(t.Context(), &control.BuildHistoryRequest{EarlyExit: true})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; {
		event, err := history.Recv()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				t.Error("BuildKit has no history of it")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		r := event.GetRecord()
		if r.GetCreatedAt().AsTime().Before(since) {
			continue
		}
		n++
		said["BuildKit's record "+r.GetRef()] = r.String()
		attached := []*control.Descriptor{r.GetLogs(), r.GetTrace()}
		for _, result := range append(slices.Collect(maps.Values(r.GetResults())), r.GetResult()) {
			attached = append(attached, result.GetAttestations()...)
		}
		for _, d := range attached {
			if d.GetDigest() == "" {
				continue
			}
			said["BuildKit's "+d.GetMediaType()+" of "+r.GetRef()] = string(blobOf(t, c, d.GetDigest()))
		}
	}
}

func blobOf(t *testing.T, c *client.Client, digest string) []byte {
	t.Helper()
	r, err := c.ContentClient().Read(t.Context(), &content.ReadContentRequest{Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for {
		part, err := r.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, part.GetData()...)
	}
}
