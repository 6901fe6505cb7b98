package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// In a company, the index is behind a proxy, and its certificate is the company's own. What is resolved and what is fetched goes there.
func TestProxyAndOwnCertificates(t *testing.T) {
	need(t, varUV, varFlytekit, varBase)
	h := newHouse(t)
	for _, name := range []string{"needle", "pip", "flytekit"} {
		h.put(t, name, map[string]string{name + ".py": "x = 1\n"})
	}
	const host = "index.house.invalid" // which only the proxy knows
	cert, ca := certificate(t, host)
	tlsHouse := httptest.NewUnstartedServer(h)
	tlsHouse.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	tlsHouse.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it yet
	tlsHouse.StartTLS()
	t.Cleanup(tlsHouse.Close)
	asked := newTunnel(t, host+":443", strings.TrimPrefix(tlsHouse.URL, "https://"))

	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := []string{"HTTPS_PROXY=" + asked.URL, "https_proxy=" + asked.URL, "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost"}
	d := newDaemon(t, append(proxy, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_UV_PATH="+os.Getenv(varUV), "IMGSPECD_TLS_CA_BUNDLE="+bundle)...)
	d.start()

	locked := newProject(t, spec{name: "locked", base: os.Getenv(varBase)})
	locked.private("https://"+host+"/simple", append(d.env, "SSL_CERT_FILE="+bundle))
	loose := newProject(t, spec{name: "loose", base: os.Getenv(varBase)})
	loose.write("workflow.py", fmt.Sprintf("from flytekit import ImageSpec\n\nimage = ImageSpec(name=\"loose\", base_image=%q, packages=[\"needle\", \"flytekit==1.0\"], pip_index=%q)\n",
		os.Getenv(varBase), "https://"+host+"/simple"))
	for _, p := range []*project{locked, loose} {
		before := asked.n.Load()
		d.ready(d.watch(p.dir).Label, "")
		if asked.n.Load() == before {
			t.Error("the proxy was not asked")
		}
	}
}

// tunnel is a proxy that leads from one address to another, and nowhere else. Containers reach it too.
type tunnel struct {
	*httptest.Server
	n atomic.Int32
}

func newTunnel(t *testing.T, from, to string) *tunnel {
	t.Helper()
	p := &tunnel{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != from {
			http.Error(w, "no way", http.StatusForbidden)
			return
		}
		p.n.Add(1)
		there, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() {
			_, _ = io.Copy(there, buf) // it ends when either side does
			there.Close()
		}()
		_, _ = io.Copy(here, there)
	}))
	open(t, p.Server)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// certificate makes one for a host, and the authority that answers for it.
func certificate(t *testing.T, host string) (tls.Certificate, []byte) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sign := func(c, by *x509.Certificate, k, byKey *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, by, &k.PublicKey, byKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "house"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, ownKey := key(), key()
	ca := sign(authority, authority, caKey, caKey)
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return tls.Certificate{Certificate: [][]byte{sign(own, authority, ownKey, caKey)}, PrivateKey: ownKey}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
}
