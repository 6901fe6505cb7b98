package api

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Doctor is what a machine has of what builds need (GET /v1/doctor).
type Doctor struct {
	Checks []Check `json:"checks"`
	// Salt and Environment tell which variables the process has that looked, so that another can compare its own without being
	// told a value: by name, the hex SHA-256 of Salt and the value. Only variables that matter to builds are in it.
	Salt        string            `json:"salt"`
	Environment map[string]string `json:"environment"`
}

// Level is how a check came out.
type Level string

// The levels.
const (
	LevelOK   Level = "ok"
	LevelWarn Level = "warn" // some builds will not do, or not as they could
	LevelFail Level = "fail" // builds that are wanted will fail
)

// Check is one thing that was looked at.
type Check struct {
	Area  string `json:"area"` // daemon, state, socket, watch, docker, buildkit, uv, python, bytecode, registry, index or environment
	Level Level  `json:"level"`
	Text  string `json:"text"` // one line
	Hint  string `json:"hint,omitempty"`
}

// Failed reports whether a check failed.
func (d Doctor) Failed() bool {
	for _, c := range d.Checks {
		if c.Level == LevelFail {
			return true
		}
	}
	return false
}

// buildVariables are those that change what a process can reach or build, besides all that begin with UV_ and PIP_.
var buildVariables = []string{
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BUILDKIT_HOST",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC",
}

// MattersToBuilds reports whether an environment variable changes what builds find. Both ends ask it.
func MattersToBuilds(name string) bool {
	return slices.Contains(buildVariables, name) || strings.HasPrefix(name, "PIP_") ||
		(strings.HasPrefix(name, "UV_") && name != "UV_RUN_RECURSION_DEPTH") // which uv run sets for itself
}

// ConcealValue is how Doctor.Environment tells a value.
func ConcealValue(salt, value string) string {
	sum := sha256.Sum256([]byte(salt + value))
	return hex.EncodeToString(sum[:])
}
