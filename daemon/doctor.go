package daemon

import "net/http"

// doctor has the machine looked at anew each time: what it tells may change at any moment.
func (s *server) doctor(w http.ResponseWriter, r *http.Request) {
	d, err := s.deps.Doctor(r.Context())
	answer(w, d, err)
}
