package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Transport returns how imgspecd reaches indexes and registries: through the
// proxy that the environment names (HTTPS_PROXY and the like), trusting the
// system's certificates (SSL_CERT_FILE and SSL_CERT_DIR move those) and, besides
// them, tls.ca_bundle.
func (c *Config) Transport() (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   max(c.Fetch.Parallel, 4),
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute, // a registry may take its time to commit a big blob
		ExpectContinueTimeout: time.Second,
	}
	if c.TLS.CABundle == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.TLS.CABundle)
	if err != nil {
		return nil, fmt.Errorf("read tls.ca_bundle: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without certificates of its own
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read tls.ca_bundle: %s holds no PEM certificate", c.TLS.CABundle)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}
