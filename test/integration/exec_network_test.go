package integration

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Steps reach servers with a company's certificate, and know of its proxies, by all the usual programs. Nothing of it is in the image.
func TestStepsBehindACompany(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varRegistry, varDocker, varDocker29, varBuildKit)
	for name, settings := range engines {
		t.Run(name, func(t *testing.T) {
			unlessFull(t, name)
			h, depot := newToyHouse(t), newDepot(t, "toy")
			const host = "packages.house.invalid" // which only the proxy knows
			cert, ca := certificate(t, host)
			company := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/simple/") || strings.HasPrefix(r.URL.Path, "/files/") {
					h.ServeHTTP(w, r)
					return
				}
				depot.serve(w, r)
			}))
			company.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			company.Config.ErrorLog = log.New(io.Discard, "", 0) // of those that do not trust it
			company.StartTLS()
			t.Cleanup(company.Close)
			tunnel := newTunnel(t, host+":443", strings.TrimPrefix(company.URL, "https://"))
			base := basedOn(t, os.Getenv(varBase), map[string]string{
				"etc/apt/sources.list": "deb [trusted=yes] https://" + host + " ./\n", "etc/apt/sources.list.d/.wh..wh..opq": "",
				"etc/apt/apt.conf.d/99test": "Acquire::Languages \"none\";\nAcquire::Retries \"0\";\n",
			})
			bundle := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(bundle, ca, 0o600); err != nil {
				t.Fatal(err)
			}
			proxy := "http://proxy-" + random() + ".invalid:3128"
			d := startDaemon(t, append(settings(), "IMGSPECD_TLS_CA_BUNDLE="+bundle, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+tunnel.URL, "NO_PROXY=127.0.0.1,localhost,.org,.pythonhosted.org")...)
			sum := sha256.Sum256([]byte(proxy))
			script := fmt.Sprintf(`set -eu
test "$(printf %%s "$http_proxy" | sha256sum | cut -c1-64)" = %[2]s && test "$http_proxy" = "$HTTP_PROXY"
python -c "import urllib.request as u; print('python:', len(u.urlopen('%[1]s/simple/ball/').read()))"
if SSL_CERT_FILE= python -c "import urllib.request as u; u.urlopen('%[1]s/simple/ball/')" 2> /dev/null; then echo 'it is trusted anyway'; exit 1; fi
/usr/local/bin/python -m pip download -q --no-deps --no-cache-dir -d /tmp/pip -i %[1]s/simple ball && echo pip: $(ls /tmp/pip) && rm -r /tmp/pip
uv pip install -q --target /tmp/uv --no-cache --default-index %[1]s/simple drum && echo uv: $(basename /tmp/uv/d*.py) && rm -r /tmp/uv
`, "https://"+host, hex.EncodeToString(sum[:]))
			p := newProject(t, spec{name: "company-" + random(), base: base}, "certifi==2025.1.31").lock()
			p.write("script.sh", script)
			p.edit("workflow.py", `requirements="uv.lock",`, `requirements="uv.lock", apt_packages=["toy"], copy=["script.sh"], commands=["/bin/sh /root/script.sh"],`)
			img := d.ready(d.watch(p.dir).Label, "", "layout")
			d.forgets(img)
			told := d.cli("logs", img.Label)
			for _, want := range []string{"configured toy", "python: ", "pip: ball-1.0-py3-none-any.whl", "uv: drum"} {
				if !strings.Contains(told, want) {
					t.Errorf("the log is without %q:\n%s", want, told)
				}
			}

			mine := inLayout(t, d.state, img.Digest)
			for file := range filesOf(t, mine, nil, len(layers(t, pull(t, base)))) {
				if strings.HasPrefix(file, "run/") || strings.Contains(file, "ca.pem") {
					t.Errorf("the image has /%s", file)
				}
			}
			config, err := mine.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "APT_CONFIG", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
				if slices.ContainsFunc(config.Config.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
					t.Errorf("the image's config has %s", name)
				}
			}
			d.stop()
			searchFiles(t, d.state, canary{"company", strings.Split(string(ca), "\n")[2]})
			searchFiles(t, d.state, canary{"company", strings.TrimPrefix(proxy, "http://")})
			searchFiles(t, d.state, canary{"company", strings.TrimPrefix(tunnel.URL, "http://")})
		})
	}
}
