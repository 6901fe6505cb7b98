package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// doors are the sockets of one daemon.
type doors struct {
	own    *door // has the API
	docker *door // answers like a Docker engine; nil: there is none
}

func (d *doors) close() {
	for _, one := range []*door{d.docker, d.own} {
		if one != nil {
			_ = one.Close()
		}
	}
}

// open takes the sockets that systemd holds for us, and makes those that it does not.
func (d *Daemon) open(ctx context.Context) (_ *doors, err error) {
	out := &doors{}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	given, err := activated()
	if err == nil {
		err = out.sort(given, d.deps.Config.Docker.Socket)
	}
	if err != nil {
		for _, g := range given {
			_ = g.Close()
		}
		return nil, err
	}
	if out.own == nil {
		if out.own, err = listen(ctx, d.deps.Config.Socket); err != nil {
			return nil, err
		}
	}
	if out.docker == nil && d.deps.Docker != nil {
		if out.docker, err = listen(ctx, d.deps.Config.Docker.Socket); err != nil {
			return nil, fmt.Errorf("open docker.socket: %w", err)
		}
	}
	return out, nil
}

// sort tells the sockets that systemd hands over apart.
func (d *doors) sort(given []*door, docker string) error {
	for _, g := range given {
		isDocker := len(given) > 1 && (g.path == docker || filepath.Base(g.path) == "docker.sock")
		switch {
		case isDocker && d.docker == nil:
			d.docker = g
		case !isDocker && d.own == nil:
			d.own = g
		default:
			return fmt.Errorf("take the sockets from systemd: it hands over %s, which is one too many", g.path)
		}
	}
	return nil
}

// dockerServer answers at the second door. What is passed on there takes the time that it takes, so there are
// no limits but those of a connection on which nothing is asked; all of it ends when the stop begins.
func (d *Daemon) dockerServer(streams context.Context) *http.Server {
	answer := d.deps.Docker
	if answer == nil { // systemd holds the socket for us, so somebody must say it
		answer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuseAsDocker(w, &api.Error{Message: "docker.socket is off in imgspecd's settings", Hint: "imgspecd service install writes units without it"})
		})
	}
	return &http.Server{
		Handler:           d.observe(admit(answer, refuseAsDocker)),
		ConnContext:       withPeer,
		ReadHeaderTimeout: d.limits.header,
		IdleTimeout:       d.limits.idle,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.deps.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
}

// refuseAsDocker is an error in the form that Docker's clients read.
func refuseAsDocker(w http.ResponseWriter, e *api.Error) {
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusNotImplemented
	}
	writeStatus(w, status, struct {
		Message string `json:"message"`
	}{strings.TrimSpace(e.Error())})
}
