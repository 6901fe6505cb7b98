package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// examined is a machine without uv, whose registry refuses a push.
func examined() api.Doctor {
	return api.Doctor{
		Checks: []api.Check{
			{Area: "state", Level: api.LevelOK, Text: "38.1 GB free in /home/me/.local/state/imgspecd"},
			{Area: "docker", Level: api.LevelOK, Text: `engine 29.0.1 (API 1.52) at unix:///home/me/.colima/docker.sock (context "colima"), linux/amd64, containerd image store, overlayfs`},
			{
				Area: "uv", Level: api.LevelWarn, Text: "uv is needed to pin these requirements, and is not on PATH",
				Hint: "install uv (https://docs.astral.sh/uv) or set uv.path; only specs without a lock need it",
			},
			{Area: "registry", Level: api.LevelFail, Text: "ghcr.io/acme/etl: reachable, push denied", Hint: "docker login ghcr.io"},
		},
		Salt: "salt", Environment: map[string]string{},
	}
}

func TestDoctorScreens(t *testing.T) {
	d := examined()
	d.Environment = map[string]string{"HTTPS_PROXY": api.ConcealValue("salt", "http://a"), "PIP_INDEX_URL": api.ConcealValue("salt", "https://u:secret@b")}
	for _, width := range []int{80, 120} {
		a := &app{out: testScreen(width), Deps: Deps{
			Version: "1.4.0", Now: func() time.Time { return now },
			Environ: func() []string {
				return []string{"HTTPS_PROXY=http://b", "DOCKER_HOST=unix:///x", "HOME=/home/me", "UV_INDEX_CORP_PASSWORD=secret"}
			},
		}}
		d := d
		d.Checks = append([]api.Check{a.daemonCheck(api.Info{Version: "1.3.9", StartedAt: before(75 * time.Hour), Socket: "/run/user/1000/imgspecd/imgspecd.sock"})},
			append(d.Checks, a.environmentChecks(d)...)...)
		got := a.doctorText(d)
		golden(t, fmt.Sprintf("doctor-%d", width), width, got)
		if strings.Contains(got, "secret") || strings.Contains(got, "http://") {
			t.Errorf("a value is told:\n%s", got)
		}
	}
}
