package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SocketOff is the docker.socket that is none.
const SocketOff = "off"

// dockerSocket is where the second socket is unless told otherwise: beside the daemon's own.
func dockerSocket(socket string) string {
	if socket == "" {
		return SocketOff
	}
	return filepath.Join(filepath.Dir(socket), "docker.sock")
}

func checkDockerSocket(v any) error {
	p := v.(string)
	if p == SocketOff {
		return nil
	}
	if !filepath.IsAbs(p) {
		return errors.New("it must be an absolute path, or off")
	}
	if limit := MaxSocketPath(); len(p) > limit {
		return fmt.Errorf("it is %d bytes long, and the system takes at most %d; set a shorter one, or off, with IMGSPECD_DOCKER_SOCKET", len(p), limit)
	}
	return nil
}

// isOwn reports whether an engine's address is one of this daemon's own sockets: asked for an engine, it would ask itself.
func (c *Config) isOwn(host string) bool {
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return false
	}
	for _, own := range []string{c.Docker.Socket, c.Socket} {
		if own == "" || own == SocketOff {
			continue
		}
		if filepath.Clean(path) == filepath.Clean(own) {
			return true
		}
		a, errA := os.Stat(path) // through links
		b, errB := os.Stat(own)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return true
		}
	}
	return false
}

// checkDockerHostIsOther refuses a docker.host that leads back here.
func (c *Config) checkDockerHostIsOther(from Origins) error {
	if c.Docker.Host == "" || !c.isOwn(c.Docker.Host) {
		return nil
	}
	return &ValueError{
		Key: "docker.host", Value: c.Docker.Host, Where: from.where("docker.host"),
		Reason: "that is imgspecd's own socket; it must be the address of a real Docker engine",
	}
}
