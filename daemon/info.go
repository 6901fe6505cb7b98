package daemon

import (
	"net/http"
	"os"

	"github.com/imgspecd/imgspecd/api"
)

// info adds to what the engine says what only the process knows.
func (s *server) info(w http.ResponseWriter, r *http.Request) {
	i := s.deps.Engine.Info(r.Context())
	i.API = api.Version
	i.Version = s.deps.Version
	i.PID = os.Getpid()
	i.StartedAt = s.started.UTC()
	i.Socket = s.socket
	i.StateDir = s.deps.Config.StateDir
	if i.Targets == nil {
		i.Targets = []api.TargetInfo{}
	}
	write(w, i)
}
