package plan

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ENV as BuildKit carries it out: what BuildKit makes of a line is right, whatever
// the table above says.
func TestInstructionAsBuildKit(t *testing.T) {
	address, bin := os.Getenv("IMGSPECD_TEST_BUILDKIT"), os.Getenv("IMGSPECD_RIG_DIR")
	if address == "" || bin == "" {
		t.Skip("needs the rig: IMGSPECD_TEST_BUILDKIT and IMGSPECD_RIG_DIR")
	}
	buildctl := filepath.Join(bin, "bin", "buildctl")
	for _, c := range instructions {
		t.Run(c.line, func(t *testing.T) {
			dir := t.TempDir()
			dockerfile := "FROM scratch\nENV PATH=/bin A=1 EMPTY=\nENV " + c.line + "\n\nLABEL a=b\n"
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(buildctl, "--addr", address, "build", "--frontend", "dockerfile.v0", "--progress", "plain",
				"--local", "context="+dir, "--local", "dockerfile="+dir, "--output", "type=oci")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			got := slices.Clone(instructionsBefore)
			ours := got.instruction(c.line)
			if err != nil {
				if ours == nil {
					t.Errorf("BuildKit refuses this, and here it gives %q:\n%s", got, stderr.String())
				}
				return
			}
			want := configEnv(t, out)
			if ours != nil {
				if !strings.Contains(ours.Error(), "is not supported") {
					t.Errorf("BuildKit gives %q, and here: %v", want, ours)
				}
				return
			}
			if diff := cmp.Diff(want, []string(got)); diff != "" {
				t.Errorf("BuildKit (-), here (+):\n%s", diff)
			}
		})
	}
}

// configEnv finds the config in an archive of an OCI layout.
func configEnv(t *testing.T, archive []byte) []string {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			t.Fatal("no config in the archive")
		}
		if err != nil {
			t.Fatal(err)
		}
		var cfg struct {
			Architecture string `json:"architecture"`
			Config       struct{ Env []string }
		}
		if b, err := io.ReadAll(r); err == nil && strings.HasPrefix(h.Name, "blobs/") && json.Unmarshal(b, &cfg) == nil && cfg.Architecture != "" {
			return cfg.Config.Env
		}
	}
}
