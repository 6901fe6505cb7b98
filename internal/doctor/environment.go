package doctor

import (
	"crypto/rand"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// environment tells which variables that matter a process has, as api.Doctor does.
func environment(environ []string) (salt string, env map[string]string) {
	salt = rand.Text()
	env = map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && api.MattersToBuilds(name) {
			env[name] = api.ConcealValue(salt, value)
		}
	}
	return salt, env
}
