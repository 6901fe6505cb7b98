package main

import (
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/resolve"
	"github.com/imgspecd/imgspecd/internal/store"
)

// The variables of uv and pip that the settings replace.
var (
	defaultIndexVars = []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"}
	extraIndexVars   = []string{"UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"}
	keyringVars      = []string{"UV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"}
)

// indexEnv is the environment with the settings of indexes put into it, in uv's terms.
func indexEnv(cfg *config.Config, environ []string) []string {
	env := slices.Clone(environ)
	replace := func(names []string, value string) {
		env = slices.DeleteFunc(env, func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return slices.Contains(names, name)
		})
		env = append(env, names[0]+"="+value)
	}
	if cfg.Index.Default != "" {
		replace(defaultIndexVars, cfg.Index.Default)
	}
	if len(cfg.Index.Extra) > 0 {
		replace(extraIndexVars, strings.Join(cfg.Index.Extra, " "))
	}
	if cfg.Index.Keyring != config.KeyringAuto {
		replace(keyringVars, cfg.Index.Keyring)
	}
	return env
}

// indexClient makes the one that fetches packages, into those directories.
func indexClient(cfg *config.Config, log *slog.Logger, wheels, tmp string, transport *http.Transport) (*index.Client, error) {
	netrc, err := readNetrc()
	if err != nil {
		return nil, err
	}
	env := indexEnv(cfg, os.Environ())
	s := index.FromEnvironment(env)
	d := index.Deps{
		HTTP: &http.Client{Transport: transport}, Dir: wheels, Tmp: tmp,
		Parallel: cfg.Fetch.Parallel, Offline: cfg.Fetch.Offline, Log: log,
		Netrc: netrc, Indexes: s.Indexes(), Named: s.Named,
	}
	if s.Keyring {
		if program, err := exec.LookPath("keyring"); err == nil {
			d.Keyring = index.KeyringCommand(program, env)
		} else {
			log.Warn("keyring is to be asked for passwords, and is not on PATH")
		}
	}
	return index.NewClient(d), nil
}

// resolver makes what pins requirements that are not pinned.
func resolver(cfg *config.Config, log *slog.Logger, st *store.Store, environ []string) *resolve.Resolver {
	env := indexEnv(cfg, environ)
	s := index.FromEnvironment(env) // for pip's variables, which uv does not read
	d := resolve.Deps{
		UV: cfg.UV.Path, Env: env, Passed: cfg.Resolve.Env, Python: cfg.Python.Path, Default: s.Default,
		Tmp: st.Tmp(), Cache: st, Refresh: cfg.Resolve.Refresh, Offline: cfg.Fetch.Offline, Now: time.Now, Log: log,
	}
	for _, i := range s.Extra {
		d.Extra = append(d.Extra, i.URL)
	}
	if cfg.TLS.CABundle != "" {
		d.CA = caBundle(cfg)
	}
	return resolve.New(d)
}
