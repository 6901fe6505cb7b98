package resolve

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// handed are the variables that uv gets as they are: where things lie, how the web is reached, whom to trust. What would
// change the choice of versions is not among them, but for indexes: that belongs into the image spec.
var handed = []string{
	"HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_DIRS", "NETRC", "SSH_AUTH_SOCK",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST",
	"UV_CACHE_DIR", "UV_CONFIG_FILE", "UV_PYTHON_INSTALL_DIR", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS",
	"UV_KEYRING_PROVIDER", "UV_INDEX_STRATEGY", "UV_CREDENTIALS_DIR",
	varDefault, varOldDefault, varIndex, varExtra, varLinks,
}

// The variables by which uv is told of indexes.
const (
	varDefault    = "UV_DEFAULT_INDEX"
	varOldDefault = "UV_INDEX_URL"
	varIndex      = "UV_INDEX"
	varExtra      = "UV_EXTRA_INDEX_URL"
	varLinks      = "UV_FIND_LINKS"
)

// deciding are the variables that the answer depends on.
var deciding = map[string]bool{
	varDefault: true, varOldDefault: true, varIndex: true, varExtra: true, varLinks: true, "UV_INDEX_STRATEGY": true, "UV_CONFIG_FILE": true,
}

// passes reports whether uv gets a variable of this machine.
func (r *Resolver) passes(name string) bool {
	if slices.Contains(handed, name) || slices.Contains(r.deps.Passed, name) {
		return true
	}
	return strings.HasPrefix(name, "UV_INDEX_") && (strings.HasSuffix(name, "_USERNAME") || strings.HasSuffix(name, "_PASSWORD"))
}

// indexEnv is what uv gets of this machine's environment, with the request's own indexes. A request that names a default
// index means that one and those it names besides: none of this machine's is asked, lest a package of the same name come from there.
func (r *Resolver) indexEnv(j *job) []string {
	o := j.options
	ownDefault := o.index != "" || slices.Contains(o.args, "--no-index")
	ownExtra := ownDefault || len(o.extra) > 0
	env := map[string]string{}
	for _, kv := range r.deps.Env {
		if name, v, ok := strings.Cut(kv, "="); ok && v != "" && r.passes(name) {
			env[name] = v
		}
	}
	if ownDefault {
		delete(env, varDefault)
		delete(env, varOldDefault)
	}
	if ownExtra {
		delete(env, varIndex)
		delete(env, varExtra)
	}
	switch {
	case o.index != "":
		env[varDefault] = o.index
	case !ownDefault && env[varDefault] == "" && env[varOldDefault] == "" && r.deps.Default != "":
		env[varDefault] = r.deps.Default
	}
	switch {
	case len(o.extra) > 0:
		env[varExtra] = strings.Join(o.extra, " ")
	case !ownExtra && env[varIndex] == "" && env[varExtra] == "" && len(r.deps.Extra) > 0:
		env[varExtra] = strings.Join(r.deps.Extra, " ")
	}
	if len(o.findLinks) > 0 {
		env[varLinks] = strings.Join(o.findLinks, ",")
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// environ is the whole environment of a run. It names no virtual environment, so that none's Python is started.
func (r *Resolver) environ(j *job, tmp string) ([]string, error) {
	env := append(r.indexEnv(j), "PATH="+r.path(), "LC_ALL=C", "NO_COLOR=1", "UV_NO_PROGRESS=1", "UV_PYTHON_DOWNLOADS=never")
	if len(r.deps.CA) == 0 {
		return env, nil
	}
	file := filepath.Join(tmp, "ca.pem")
	if err := os.WriteFile(file, r.deps.CA, 0o600); err != nil {
		return nil, err
	}
	env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "SSL_CERT_FILE=") })
	return append(env, "SSL_CERT_FILE="+file), nil
}

// path is this machine's PATH without the directories of virtual environments: their Python would run what .pth files hold.
func (r *Resolver) path() string {
	var kept []string
	for _, dir := range filepath.SplitList(r.lookup("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.Clean(dir)), "pyvenv.cfg")); err == nil {
			continue
		}
		kept = append(kept, dir)
	}
	return strings.Join(kept, string(filepath.ListSeparator))
}

func (r *Resolver) lookup(name string) string {
	for _, kv := range slices.Backward(r.deps.Env) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// uv finds the program: as configured, on PATH, or where its installers put it, which a service's PATH may lack.
func (r *Resolver) uv() (string, error) {
	if r.deps.UV != "" {
		if !executable(r.deps.UV) {
			return "", &Error{Kind: NoUV, Reason: r.deps.UV + " (uv.path) is not a program", Hint: "set uv.path to uv's own path"}
		}
		return r.deps.UV, nil
	}
	dirs := filepath.SplitList(r.lookup("PATH"))
	if home := r.lookup("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".local", "bin"), filepath.Join(home, ".cargo", "bin"))
	}
	for _, dir := range append(dirs, "/opt/homebrew/bin", "/usr/local/bin") {
		if file := filepath.Join(dir, "uv"); filepath.IsAbs(dir) && executable(file) {
			return file, nil
		}
	}
	return "", &Error{
		Kind: NoUV, Reason: "uv is needed to pin these requirements, and is not on PATH",
		Hint: "install uv (https://docs.astral.sh/uv), set uv.path, or use a uv.lock",
	}
}

func executable(file string) bool {
	fi, err := os.Stat(file)
	return err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0
}
