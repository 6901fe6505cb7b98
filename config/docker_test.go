package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contextDir(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func TestDockerEndpoint(t *testing.T) {
	dir := t.TempDir()
	docker := filepath.Join(dir, ".docker")
	put(t, filepath.Join(docker, "config.json"), `{"currentContext": "colima", "auths": {"x": {"auth": "c2VjcmV0"}}}`)
	meta := func(name, body string) {
		put(t, filepath.Join(docker, "contexts/meta", contextDir(name), "meta.json"), body)
	}
	meta("colima", `{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///c.sock","SkipTLSVerify":false}}}`)
	meta("far", `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`)
	meta("ssh", `{"Name":"ssh","Endpoints":{"docker":{"Host":"ssh://me@far"}}}`)
	meta("kube", `{"Name":"kube","Endpoints":{"kubernetes":{"Host":"https://k"}}}`)
	certs := filepath.Join(docker, "contexts/tls", contextDir("far"), "docker")
	if err := os.MkdirAll(certs, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "other/config.json"), `{}`)
	put(t, filepath.Join(dir, "broken/config.json"), `{"auths": {"x": {"auth": "c2VjcmV0"`)

	for name, tt := range map[string]struct {
		key  string
		env  map[string]string
		want DockerEndpoint
		err  string
	}{
		"setting wins":    {key: "tcp://k:1", env: map[string]string{"DOCKER_HOST": "unix:///h"}, want: DockerEndpoint{Host: "tcp://k:1", From: "docker.host"}},
		"host":            {env: map[string]string{"DOCKER_HOST": "unix:///h", "DOCKER_CONTEXT": "far"}, want: DockerEndpoint{Host: "unix:///h", From: "DOCKER_HOST"}},
		"host, tls":       {env: map[string]string{"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1"}, want: DockerEndpoint{Host: "tcp://h:2376", From: "DOCKER_HOST", Certs: docker}},
		"host, certs":     {env: map[string]string{"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}, want: DockerEndpoint{Host: "tcp://h:2376", From: "DOCKER_HOST", Certs: "/c"}},
		"current context": {want: DockerEndpoint{Host: "unix:///c.sock", From: `context "colima"`}},
		"named context":   {env: map[string]string{"DOCKER_CONTEXT": "far"}, want: DockerEndpoint{Host: "tcp://far:2376", From: `context "far"`, Certs: certs, SkipVerify: true}},
		"default context": {env: map[string]string{"DOCKER_CONTEXT": "default"}, want: DockerEndpoint{Host: DefaultDockerHost, From: "default"}},
		"other config":    {env: map[string]string{"DOCKER_CONFIG": filepath.Join(dir, "other")}, want: DockerEndpoint{Host: DefaultDockerHost, From: "default"}},
		"no config":       {env: map[string]string{"HOME": filepath.Join(dir, "none")}, want: DockerEndpoint{Host: DefaultDockerHost, From: "default"}},
		"no such context": {env: map[string]string{"DOCKER_CONTEXT": "gone"}, err: `use docker context "gone", named by DOCKER_CONTEXT: there is no such context`},
		"ssh context":     {env: map[string]string{"DOCKER_CONTEXT": "ssh"}, err: "ssh:// is not supported; forward"},
		"no endpoint":     {env: map[string]string{"DOCKER_CONTEXT": "kube"}, err: "it has no docker endpoint"},
		"no scheme":       {env: map[string]string{"DOCKER_HOST": "/var/run/docker.sock"}, err: `DOCKER_HOST = "/var/run/docker.sock": it must be an address such as unix://`},
		"broken config":   {env: map[string]string{"DOCKER_CONFIG": filepath.Join(dir, "broken")}, err: "is not the JSON it should be"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"HOME": dir}
			for k, v := range tt.env {
				env[k] = v
			}
			c := &Config{Docker: Docker{Host: tt.key}, env: environment(env)}
			got, err := c.DockerEndpoint()
			if tt.err == "" && (err != nil || got != tt.want) {
				t.Fatalf("%+v, %v; want %+v", got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "c2VjcmV0")) {
				t.Fatalf("error %v, want %q and no secret", err, tt.err)
			}
		})
	}
}

// A shell that points flytekit to the second socket may be the one that the daemon is started from.
func TestDockerEndpointIsNotTheDaemonItself(t *testing.T) {
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(run, "docker.sock"), "")
	link := filepath.Join(dir, "link.sock")
	if err := os.Symlink(filepath.Join(run, "docker.sock"), link); err != nil {
		t.Fatal(err)
	}
	load := func(vars map[string]string) (*Config, error) {
		all := map[string]string{"HOME": dir, "IMGSPECD_SOCKET": filepath.Join(run, "imgspecd.sock")}
		for k, v := range vars {
			all[k] = v
		}
		c, _, err := Load(Sources{Env: environment(all)})
		return c, err
	}
	for host, own := range map[string]bool{
		"unix://" + run + "/docker.sock":      true,
		"unix://" + run + "/./docker.sock":    true,
		"unix://" + run + "/imgspecd.sock":    true,
		"unix://" + link:                      true,
		"unix:///var/run/docker.sock":         false,
		"tcp://" + run[1:] + "/docker.sock:1": false,
	} {
		c, err := load(map[string]string{"DOCKER_HOST": host})
		if err != nil {
			t.Fatal(err)
		}
		if e, err := c.DockerEndpoint(); err != nil || e.Own != own {
			t.Errorf("%s: own = %v, %v; want %v", host, e.Own, err, own)
		}
		_, err = load(map[string]string{"IMGSPECD_DOCKER_HOST": host})
		if own != (err != nil && strings.Contains(err.Error(), "imgspecd's own socket")) {
			t.Errorf("docker.host = %s: %v", host, err)
		}
	}
	c, err := load(map[string]string{"DOCKER_HOST": "unix://" + link, "IMGSPECD_DOCKER_HOST": "unix:///real.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := c.DockerEndpoint(); err != nil || e.Own || e.Host != "unix:///real.sock" {
		t.Errorf("docker.host does not win: %+v, %v", e, err)
	}
	if c, err = load(map[string]string{"IMGSPECD_DOCKER_SOCKET": "off"}); err != nil || c.Docker.Socket != SocketOff {
		t.Errorf("off: %v, %v", c, err)
	}
	if _, err = load(map[string]string{"IMGSPECD_DOCKER_SOCKET": "here"}); err == nil || !strings.Contains(err.Error(), "absolute path, or off") {
		t.Errorf("a relative path: %v", err)
	}
}

func TestTransportTrustsTheBundle(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	bundle := put(t, filepath.Join(t.TempDir(), "ca.pem"),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	get := func(c *Config) error {
		tr, err := c.Transport()
		if err != nil {
			return err
		}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(srv.URL)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(&Config{}); err == nil {
		t.Error("an unknown authority was trusted")
	}
	if err := get(&Config{TLS: TLS{CABundle: bundle}}); err != nil {
		t.Error(err)
	}
	if err := get(&Config{TLS: TLS{CABundle: put(t, bundle+".txt", "no certificate")}}); err == nil || !strings.Contains(err.Error(), "holds no PEM certificate") {
		t.Error(err)
	}
}
