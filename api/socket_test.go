package api_test

import (
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

func TestSocketPath(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"runtime dir":   {map[string]string{"XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/h"}, "/run/user/1/imgspecd/imgspecd.sock"},
		"relative":      {map[string]string{"XDG_RUNTIME_DIR": "run", "HOME": "/h"}, "/h/.local/state/imgspecd/run/imgspecd.sock"},
		"none":          {map[string]string{"HOME": "/h"}, "/h/.local/state/imgspecd/run/imgspecd.sock"},
		"state home":    {map[string]string{"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/imgspecd/run/imgspecd.sock"},
		"own state dir": {map[string]string{"IMGSPECD_STATE_DIR": "/o", "XDG_STATE_HOME": "/s"}, "/o/run/imgspecd.sock"},
		"own socket":    {map[string]string{"IMGSPECD_SOCKET": "/o.sock", "XDG_RUNTIME_DIR": "/run/user/1"}, "/o.sock"},
		"nothing":       {nil, ""},
	} {
		if got := api.SocketPath(func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
