package dockerapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
)

// passedOn marks what was passed on, so that an engine's address that leads back here ends at once.
const passedOn = "X-Imgspecd-Passed-On"

// noEngineError is that no engine could be connected to: nothing was sent yet.
type noEngineError struct{ err error }

func (e *noEngineError) Error() string { return e.err.Error() }
func (e *noEngineError) Unwrap() error { return e.err }

type (
	otherwiseKey struct{}
	noEngineKey  struct{}
)

// newProxy passes requests on: streams both ways, and connections that leave HTTP (attach, exec, a build's session).
func (s *server) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "docker", "docker"
			p.Out.URL.RawQuery = p.In.URL.RawQuery // whatever it looks like
			p.Out.Header.Set(passedOn, "1")
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := s.Dial(ctx)
				if err != nil {
					return nil, &noEngineError{err}
				}
				return conn, nil
			},
			// A kept connection to an engine that was restarted fails with the request already on its way.
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ErrorHandler:  s.failed,
	}
}

// pass lets the engine answer; otherwise does where there is none.
func (s *server) pass(w http.ResponseWriter, r *http.Request, otherwise http.HandlerFunc) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // an upload is answered while it goes on
	s.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), otherwiseKey{}, otherwise)))
}

func (s *server) failed(w http.ResponseWriter, r *http.Request, err error) {
	var none *noEngineError
	otherwise, ok := r.Context().Value(otherwiseKey{}).(http.HandlerFunc)
	switch {
	case r.Context().Err() != nil: // nobody reads it
	case ok && errors.As(err, &none):
		otherwise(w, r.WithContext(context.WithValue(r.Context(), noEngineKey{}, none.err)))
	default:
		refuse(w, http.StatusBadGateway, "the Docker engine did not answer: "+err.Error())
	}
}

// noEngineOf is why a request could not be passed on.
func noEngineOf(r *http.Request) error {
	err, _ := r.Context().Value(noEngineKey{}).(error)
	return err
}
