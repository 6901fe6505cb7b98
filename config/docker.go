package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DefaultDockerHost is where an engine listens unless it was told otherwise.
const DefaultDockerHost = "unix:///var/run/docker.sock"

// DockerEndpoint is the engine that the docker command would talk to.
type DockerEndpoint struct {
	Host  string // unix://, tcp://, http:// or https:// address
	From  string // what named it, for people: `context "colima"`, DOCKER_HOST, ...
	Certs string // directory with ca.pem, cert.pem and key.pem; empty: no TLS
	// SkipVerify is the context's wish not to verify the engine's certificate.
	SkipVerify bool
	// Own: it is this daemon's own docker.socket, as in a shell that points flytekit there. So no engine is named.
	Own bool
}

// DockerEndpoint finds the engine by the docker command's own rules: docker.host,
// DOCKER_HOST, DOCKER_CONTEXT, the current context, the default socket. An error
// means that a place was named but cannot be used; nothing was dialled.
func (c *Config) DockerEndpoint() (DockerEndpoint, error) {
	e, err := c.findDocker()
	e.Own = err == nil && c.isOwn(e.Host)
	return e, err
}

func (c *Config) findDocker() (DockerEndpoint, error) {
	if c.Docker.Host != "" {
		return c.withCerts(DockerEndpoint{Host: c.Docker.Host, From: "docker.host"}), nil
	}
	if h := c.env.get("DOCKER_HOST"); h != "" {
		if err := checkDockerHost(h); err != nil {
			return DockerEndpoint{}, fmt.Errorf("DOCKER_HOST = %q: %w", h, err)
		}
		return c.withCerts(DockerEndpoint{Host: h, From: "DOCKER_HOST"}), nil
	}
	name, from := c.env.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	dir := c.dockerConfigDir()
	if name == "" {
		file := filepath.Join(dir, "config.json")
		current, err := currentContext(file)
		if err != nil {
			return DockerEndpoint{}, err
		}
		name, from = current, file
	}
	if name == "" || name == "default" {
		return DockerEndpoint{Host: DefaultDockerHost, From: "default"}, nil
	}
	e, err := readContext(dir, name)
	if err != nil {
		return DockerEndpoint{}, fmt.Errorf("use docker context %q, named by %s: %w", name, from, err)
	}
	return e, nil
}

// withCerts adds what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say of a tcp:// engine.
func (c *Config) withCerts(e DockerEndpoint) DockerEndpoint {
	if c.env.get("DOCKER_TLS_VERIFY") == "" || strings.HasPrefix(e.Host, "unix://") {
		return e
	}
	if e.Certs = c.env.get("DOCKER_CERT_PATH"); e.Certs == "" {
		e.Certs = c.dockerConfigDir()
	}
	return e
}

func (c *Config) dockerConfigDir() string {
	if d := c.env.get("DOCKER_CONFIG"); d != "" {
		return d
	}
	return filepath.Join(c.env.get("HOME"), ".docker")
}

func currentContext(file string) (string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read docker's settings: %w", err)
	}
	var doc struct {
		CurrentContext string `json:"currentContext"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		// The decoder's own message may quote the file, which can hold passwords.
		return "", fmt.Errorf("read docker's settings: %s is not the JSON it should be", file)
	}
	return doc.CurrentContext, nil
}

// readContext reads a context from docker's store, which names its directories by
// the SHA-256 of the context's name.
func readContext(dir, name string) (DockerEndpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return DockerEndpoint{}, fmt.Errorf("there is no such context in %s", dir)
	}
	if err != nil {
		return DockerEndpoint{}, err
	}
	var doc struct {
		Name      string
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return DockerEndpoint{}, fmt.Errorf("parse its meta.json: %w", err)
	}
	docker, ok := doc.Endpoints["docker"]
	if !ok || docker.Host == "" {
		return DockerEndpoint{}, errors.New("it has no docker endpoint")
	}
	if err := checkDockerHost(docker.Host); err != nil {
		return DockerEndpoint{}, err
	}
	e := DockerEndpoint{Host: docker.Host, From: fmt.Sprintf("context %q", name), SkipVerify: docker.SkipTLSVerify}
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	if fi, err := os.Stat(certs); err == nil && fi.IsDir() {
		e.Certs = certs
	}
	return e, nil
}

func checkDockerHost(v any) error {
	h := v.(string)
	scheme, rest, ok := strings.Cut(h, "://")
	switch {
	case h == "":
		return nil
	case !ok || rest == "":
		return errors.New("it must be an address such as unix:///var/run/docker.sock or tcp://host:2376")
	case scheme == "unix", scheme == "tcp", scheme == "http", scheme == "https":
		return nil
	case scheme == "ssh":
		return errors.New("ssh:// is not supported; forward the engine's socket (ssh -L /path/docker.sock:/var/run/docker.sock host) and name that")
	}
	return fmt.Errorf("%s:// is not supported", scheme)
}
