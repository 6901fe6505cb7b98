package index

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"
)

// KeyringCommand asks a program as `keyring get SERVICE USER`, which is how uv and pip use keyring's command line.
// The program's own messages are dropped: they may hold what it was asked for.
func KeyringCommand(program string, env []string) Keyring {
	return func(ctx context.Context, service, user string) (string, bool) {
		if strings.HasPrefix(service, "-") || strings.HasPrefix(user, "-") {
			return "", false // it would be taken for an option
		}
		ctx, cancel := context.WithTimeout(ctx, keyringTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, "get", service, user)
		cmd.Env = env
		cmd.WaitDelay = time.Second
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Run(); err != nil {
			return "", false
		}
		pw := strings.TrimRight(out.String(), "\r\n")
		return pw, pw != ""
	}
}

// keyringTimeout is how long a keyring may think. One that waits for somebody to unlock it has nobody to ask here.
const keyringTimeout = 20 * time.Second
