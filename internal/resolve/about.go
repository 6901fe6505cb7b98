package resolve

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// UV tells which uv is used, and its version.
func (r *Resolver) UV(ctx context.Context) (path, version string, err error) {
	if path, err = r.uv(); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return path, "", fmt.Errorf("run %s --version: %w", path, err)
	}
	return path, strings.TrimSpace(string(out)), nil
}
