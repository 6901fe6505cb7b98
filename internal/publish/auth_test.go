package publish_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// htpasswd lets in "ali" with "sesame".
const htpasswd = "ali:$2b$04$OqU8I3svCIyuV3LfJBJ9a.0O62eUK4BMSRBwJEzPnTak6ASP1yFjG\n"

// privateRegistry starts a registry that asks for a password.
func privateRegistry(t *testing.T) (host string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	host = ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(htpasswd), 0o600))
	config := filepath.Join(dir, "config.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `{"version": "0.1", "log": {"level": "error"}, "http": {"addr": %q},
		"storage": {"filesystem": {"rootdirectory": %q}}, "auth": {"htpasswd": {"realm": "test", "path": %q}}}`,
		host, filepath.Join(dir, "data"), filepath.Join(dir, "htpasswd")), 0o600))
	cmd := exec.Command(program, "serve", config)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			return host
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the registry does not come up")
	return ""
}

type keychain func(authn.Resource) (authn.Authenticator, error)

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) { return k(r) }

func TestRegistryLogin(t *testing.T) {
	host := privateRegistry(t)
	var loggedIn atomic.Bool
	target := publish.NewRegistry(publish.RegistryDeps{Keychain: keychain(func(r authn.Resource) (authn.Authenticator, error) {
		if loggedIn.Load() && r.RegistryStr() == host {
			return &authn.Basic{Username: "ali", Password: "sesame"}, nil
		}
		return authn.Anonymous, nil
	})})
	name, img := host+"/private/app:one", small(t)
	_, err := target.Publish(t.Context(), name, img, progress.Discard)
	if !errors.Is(err, publish.ErrDenied) || !strings.Contains(err.Error(), "docker login "+host) {
		t.Errorf("without credentials: %v", err)
	}
	loggedIn.Store(true) // `docker login` meanwhile
	r, err := target.Publish(t.Context(), name, img, progress.Discard)
	if err != nil || r.Digest != digestOf(t, img) || r.SentLayers != 1 {
		t.Errorf("with credentials: %+v, %v", r, err)
	}
	if r, err := target.Check(t.Context(), name); err != nil || r.Digest != digestOf(t, img) {
		t.Errorf("check: %+v, %v", r, err)
	}
}
