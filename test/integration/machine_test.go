package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The variables by which a machine says what it has.
const (
	varUV        = "IMGSPECD_TEST_UV"
	varFlytekit  = "IMGSPECD_TEST_FLYTEKIT_PYTHON"
	varSkopeo    = "IMGSPECD_TEST_SKOPEO"
	varRegistry  = "IMGSPECD_TEST_REGISTRY"
	varBase      = "IMGSPECD_TEST_BASE_PYTHON"
	varDebian    = "IMGSPECD_TEST_BASE_DEBIAN"
	varPython314 = "IMGSPECD_TEST_BASE_PYTHON314"
	varMulti     = "IMGSPECD_TEST_BASE_MULTI" // an index: for amd64 and arm64
	varMusl      = "IMGSPECD_TEST_BASE_MUSL"
	varLayout    = "IMGSPECD_TEST_BASE_LAYOUT"
	varDocker    = "IMGSPECD_TEST_DOCKER"     // overlay2 graph driver, old API
	varDocker29  = "IMGSPECD_TEST_DOCKER29"   // containerd image store
	varDockerGD  = "IMGSPECD_TEST_DOCKER29GD" // overlay2 graph driver, new API
	varBuildKit  = "IMGSPECD_TEST_BUILDKIT"   // a buildkitd
	varCA        = "IMGSPECD_TEST_CA_BUNDLE"
)

// need ends the test, with one line, unless the machine has all that the variables name.
func need(t *testing.T, vars ...string) {
	t.Helper()
	for _, v := range vars {
		if os.Getenv(v) != "" {
			continue
		}
		if os.Getenv("IMGSPECD_TEST_REQUIRE") != "" {
			t.Fatalf("%s is not set, and nothing may be left out", v)
		}
		t.Skipf("%s is not set: see test/run", v)
	}
}

func random() string {
	b := make([]byte, 5)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

// command is a program to be run by a test.
type command struct {
	dir string
	env []string // added to the tests' own
	in  string
}

// run returns what a program printed; a failure ends the test.
func (c command) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := c.try(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try returns stdout; what went to stderr is in the error.
func (c command) try(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = strings.NewReader(c.in)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// binary builds imgspecd, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "imgspecd-test-")
	if err != nil {
		return "", err
	}
	leftovers = append(leftovers, dir)
	path := filepath.Join(dir, "imgspecd")
	_, err = command{dir: filepath.Join("..", "..")}.try(context.Background(), "go", "build", "-o", path, "./cmd/imgspecd")
	return path, err
})

// leftovers are the directories that the whole run shares.
var leftovers []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range leftovers {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// eventually waits until ok says so; for facts of others that nobody announces.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, limit)
		}
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
