package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// key is one setting: all that is known of it stands in the table below.
type key struct {
	name  string // as in the file: section.key
	help  string // one line; the flag's usage
	value any    // the default; nil: made from the environment (paths.go)
	field func(*Config) any
	check func(any) error
	// refused says why a project file may not set the key; empty: it may.
	refused string
	// widest lists the values from the widest trust to the narrowest; a project file may only go down it.
	widest []string
	path   bool // a leading ~/ stands for the home
}

// Reasons for which a project file may not set a key.
const (
	trust  = "a project must not decide whom your machine trusts or what it runs"
	shared = "one daemon serves all projects"
)

var keys = []key{
	{
		name: "state_dir", help: "directory of the daemon's state", refused: shared, path: true,
		field: func(c *Config) any { return &c.StateDir }, check: checkAbs,
	},
	{
		name: "socket", help: "socket of the daemon", refused: shared, path: true,
		field: func(c *Config) any { return &c.Socket }, check: checkSocket,
	},
	{
		name: "rebuild", help: "a ready image whose content would differ under the same name: ask (say so) or auto (build it again)", value: RebuildAsk,
		field: func(c *Config) any { return &c.Rebuild }, check: oneOf(RebuildAuto, RebuildAsk),
	},
	{
		name: "cwd", help: "directory, in the project, that a run is started in: relative paths of specs start there", value: ".",
		field: func(c *Config) any { return &c.Cwd }, check: checkInside,
	},
	{
		name: "env", help: "environment variables that specs read, over those of the shell that ran imgspecd watch", value: map[string]string{},
		field: func(c *Config) any { return &c.Env },
	},
	{
		name: "log.level", help: "what the daemon logs: debug, info, warn or error", value: "info", refused: shared,
		field: func(c *Config) any { return &c.Log.Level }, check: oneOf("debug", "info", "warn", "error"),
	},
	{
		name: "watch.quiet", help: "how long nothing more must change before a change counts", value: 150 * time.Millisecond, refused: shared,
		field: func(c *Config) any { return &c.Watch.Quiet }, check: between(0, time.Minute),
	},
	{
		name: "watch.max", help: "how long a change waits at most", value: 2 * time.Second, refused: shared,
		field: func(c *Config) any { return &c.Watch.Max }, check: between(0, 10*time.Minute),
	},
	{
		name: "docker.use", help: "which images go to Docker: auto (those without a registry), always or never", value: UseAuto,
		field: func(c *Config) any { return &c.Docker.Use }, check: oneOf(UseAuto, UseAlways, UseNever),
		widest: []string{UseAlways, UseAuto, UseNever},
	},
	{
		name: "docker.host", help: "address of the Docker engine; default: as the docker command finds it", value: "", refused: trust,
		field: func(c *Config) any { return &c.Docker.Host }, check: checkDockerHost,
	},
	{
		name: "docker.socket", help: "second socket, which answers flytekit's questions to Docker: a path, or off", refused: shared, path: true,
		field: func(c *Config) any { return &c.Docker.Socket }, check: checkDockerSocket,
	},
	{
		name: "docker.wait", help: "how long an answer there waits for an image that is being built", value: 10 * time.Minute, refused: shared,
		field: func(c *Config) any { return &c.Docker.Wait }, check: between(0, 24*time.Hour),
	},
	{
		name: "docker.restore", help: "an image that others removed from Docker, or gave its name to another: always (make it ready again) or never (show it as gone)", value: RestoreAlways,
		field: func(c *Config) any { return &c.Docker.Restore }, check: oneOf(RestoreAlways, RestoreNever),
		widest: []string{RestoreAlways, RestoreNever},
	},
	{
		name: "docker.replaced", help: "an image in Docker whose only name a newer one takes: remove or keep (as <none>)", value: ReplacedRemove, refused: shared,
		field: func(c *Config) any { return &c.Docker.Replaced }, check: oneOf(ReplacedRemove, ReplacedKeep),
	},
	{
		name: "containerd.use", help: "which images go to containerd: always (every one) or never", value: UseNever,
		field: func(c *Config) any { return &c.Containerd.Use }, check: oneOf(UseAlways, UseNever),
		widest: []string{UseAlways, UseNever},
	},
	{
		name: "containerd.address", help: "socket of containerd; that of k3s is /run/k3s/containerd/containerd.sock", value: "/run/containerd/containerd.sock", refused: trust, path: true,
		field: func(c *Config) any { return &c.Containerd.Address }, check: checkContainerd,
	},
	{
		name: "containerd.namespace", help: "namespace that images are in there; Kubernetes' is k8s.io", value: "default", refused: trust,
		field: func(c *Config) any { return &c.Containerd.Namespace }, check: checkNamespace,
	},
	{
		name: "containerd.snapshotter", help: "snapshotter that they are unpacked into; default: the namespace's own, else overlayfs", value: "", refused: trust,
		field: func(c *Config) any { return &c.Containerd.Snapshotter },
	},
	{
		name: "buildkit.address", help: "BuildKit that executes what must be executed: unix://, tcp://, docker-container://, kube-pod://, podman-container:// or ssh://; default: BUILDKIT_HOST, else Docker's own, else a buildkitd in its usual place",
		value: "", refused: trust,
		field: func(c *Config) any { return &c.BuildKit.Address }, check: checkBuildKit,
	},
	{
		name: "buildkit.ca", help: "PEM file of the certificates that a tcp:// BuildKit is trusted by", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.BuildKit.CA }, check: checkFile,
	},
	{
		name: "buildkit.cert", help: "PEM file of the certificate that a tcp:// BuildKit knows you by", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.BuildKit.Cert }, check: checkFile,
	},
	{
		name: "buildkit.key", help: "PEM file of that certificate's key", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.BuildKit.Key }, check: checkFile,
	},
	{
		name: "buildkit.server_name", help: "name in the certificate of a tcp:// BuildKit, where it is not the host's", value: "", refused: trust,
		field: func(c *Config) any { return &c.BuildKit.ServerName },
	},
	{
		name: "registry.push", help: "when images that name a registry are pushed: always, on-request or never", value: PushAlways,
		field: func(c *Config) any { return &c.Registry.Push }, check: oneOf(PushAlways, PushOnRequest, PushNever),
		widest: []string{PushAlways, PushOnRequest, PushNever},
	},
	{
		name: "registry.policy", help: "registry.push for images whose name begins with a pattern, such as ghcr.io/acme or *.dkr.ecr.*; the longest pattern wins", value: map[string]string{}, refused: trust,
		field: func(c *Config) any { return &c.Registry.Policy }, check: checkPolicy,
	},
	{
		name: "registry.insecure", help: "registries (host[:port]) spoken to without verified TLS", value: []string{}, refused: trust,
		field: func(c *Config) any { return &c.Registry.Insecure }, check: checkHosts,
	},
	{
		name: "cache.registry", help: "repository (registry/repository) in which a team shares layers; whoever writes there decides what is in your images", value: "", refused: trust,
		field: func(c *Config) any { return &c.Cache.Registry }, check: checkRepository,
	},
	{
		name: "cache.mode", help: "whether layers made here are put there: read-write or read-only", value: CacheReadWrite,
		field: func(c *Config) any { return &c.Cache.Mode }, check: oneOf(CacheReadWrite, CacheReadOnly),
		widest: []string{CacheReadWrite, CacheReadOnly},
	},
	{
		name: "cache.layout", help: "with cache.registry, what the layout holds of images that go to a registry: thin (not the layers that lie in one) or whole", value: CacheThin, refused: shared,
		field: func(c *Config) any { return &c.Cache.Layout }, check: oneOf(CacheThin, CacheWhole),
	},
	{
		name: "base.default", help: "base image of specs that name none; {python} is the Python minor version", value: "python:{python}-slim-bookworm",
		field: func(c *Config) any { return &c.Base.Default }, check: notEmpty,
	},
	{
		name: "builders.union", help: "specs with builder=\"union\": list (show them, build nothing) or default (build them as the default builder would)", value: UnionList,
		field: func(c *Config) any { return &c.Builders.Union }, check: oneOf(UnionList, UnionDefault),
	},
	{
		name: "plugin.take_over", help: "builders of flytekit, such as envd or default, whose specs the plug-in has built here too", value: []string{}, refused: trust,
		field: func(c *Config) any { return &c.Plugin.TakeOver }, check: checkBuilders,
	},
	{
		name: "build.parallel", help: "layers made at once; 0: one per core", value: 0, refused: shared,
		field: func(c *Config) any { return &c.Build.Parallel }, check: between(0, 1024),
	},
	{
		name: "build.concurrent", help: "builds at once", value: 2, refused: shared,
		field: func(c *Config) any { return &c.Build.Concurrent }, check: between(1, 64),
	},
	{
		name: "fetch.parallel", help: "downloads at once", value: 16, refused: shared,
		field: func(c *Config) any { return &c.Fetch.Parallel }, check: between(1, 128),
	},
	{
		name: "fetch.offline", help: "use only packages that were downloaded before", value: false, refused: shared,
		field: func(c *Config) any { return &c.Fetch.Offline },
	},
	{
		name: "bytecode", help: "compile packages ahead, as flytekit's builder does: auto (without tests, if this machine has the image's Python or a BuildKit), on (all, or fail) or off", value: BytecodeAuto,
		field: func(c *Config) any { return &c.Bytecode }, check: oneOf(BytecodeAuto, BytecodeOn, BytecodeOff),
	},
	{
		name: "index.default", help: "package index of those who name none; default: UV_DEFAULT_INDEX, PIP_INDEX_URL or PyPI", value: "", refused: trust,
		field: func(c *Config) any { return &c.Index.Default }, check: checkIndex,
	},
	{
		name: "index.extra", help: "package indexes before the default one; default: UV_INDEX or PIP_EXTRA_INDEX_URL", value: []string{}, refused: trust,
		field: func(c *Config) any { return &c.Index.Extra }, check: checkIndexes,
	},
	{
		name: "index.keyring", help: "whether the keyring command is asked for passwords: auto (as uv and pip are told), subprocess or disabled", value: KeyringAuto, refused: trust,
		field: func(c *Config) any { return &c.Index.Keyring }, check: oneOf(KeyringAuto, KeyringUse, KeyringNever),
	},
	{
		name: "resolve.refresh", help: "age at which requirements that are not pinned are resolved anew", value: 24 * time.Hour, refused: shared,
		field: func(c *Config) any { return &c.Resolve.Refresh }, check: between(time.Minute, 10*365*24*time.Hour),
	},
	{
		name: "resolve.env", help: "variables of the daemon that requirement files may use as ${NAME}", value: []string{}, refused: trust,
		field: func(c *Config) any { return &c.Resolve.Env }, check: checkNames,
	},
	{
		name: "uv.path", help: "uv, which pins requirements that are not; default: uv on PATH", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.UV.Path }, check: checkFile,
	},
	{
		name: "wheels.record", help: "a file that is not what its wheel's RECORD says: warn (install it and say so) or strict (fail)", value: RecordWarn,
		field: func(c *Config) any { return &c.Wheels.Record }, check: oneOf(RecordWarn, RecordStrict),
		widest: []string{RecordWarn, RecordStrict},
	},
	{
		name: "tls.ca_bundle", help: "PEM file of certificates trusted besides the system's", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.TLS.CABundle }, check: checkFile,
	},
	{
		name: "flytekit.version", help: "flytekit version whose rules name the images; default: the project's own", value: "",
		field: func(c *Config) any { return &c.Flytekit.Version }, check: checkVersion,
	},
	{
		name: "python.path", help: "interpreter that parses (never runs) a project's files; default: python3 on PATH", value: "", refused: trust, path: true,
		field: func(c *Config) any { return &c.Python.Path }, check: checkFile,
	},
}

// find returns the key of that name.
func find(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// flagName returns the name of the flag that sets key: log.level is --log-level.
func flagName(name string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(name) }

// envName returns the variable that sets key: log.level is IMGSPECD_LOG_LEVEL.
func envName(name string) string {
	return "IMGSPECD_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// get returns the key's value in c.
func (k key) get(c *Config) any {
	switch p := k.field(c).(type) {
	case *string:
		return *p
	case *int:
		return *p
	case *bool:
		return *p
	case *time.Duration:
		return *p
	case *[]string:
		return *p
	case *map[string]string:
		return *p
	}
	panic("config: no such kind of key: " + k.name)
}

// set puts a raw value, as a file, a variable or a flag gives it, into c.
func (k key) set(c *Config, raw any) (err error) {
	switch p := k.field(c).(type) {
	case *string:
		s, ok := raw.(string)
		if !ok {
			return errors.New("it must be a string, in quotes")
		}
		*p = s
	case *int:
		*p, err = toInt(raw)
	case *bool:
		*p, err = toBool(raw)
	case *time.Duration:
		*p, err = toDuration(raw)
	case *[]string:
		*p, err = toList(raw)
	case *map[string]string:
		*p, err = toTable(raw)
	}
	return err
}

// isTable reports whether the key's value is a table of names that people choose.
// Viper would write such names in lower case, so they pass by it.
func (k key) isTable() bool {
	_, is := k.value.(map[string]string)
	return is
}

// format is how a value is shown to people.
func format(v any) string {
	if m, ok := v.(map[string]string); ok {
		pairs := make([]string, 0, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			pairs = append(pairs, name+"="+m[name])
		}
		return strings.Join(pairs, ",")
	}
	if l, ok := v.([]string); ok {
		return strings.Join(l, ",")
	}
	return fmt.Sprint(v)
}

func oneOf(allowed ...string) func(any) error {
	return func(v any) error {
		if !slices.Contains(allowed, v.(string)) {
			return fmt.Errorf("it must be one of %s", strings.Join(allowed, ", "))
		}
		return nil
	}
}

func between[T int | time.Duration](low, high T) func(any) error {
	return func(v any) error {
		if n := v.(T); n < low || n > high {
			return fmt.Errorf("it must be from %v to %v", low, high)
		}
		return nil
	}
}

func notEmpty(v any) error {
	if v.(string) == "" {
		return errors.New("it must not be empty")
	}
	return nil
}

// checkInside takes a path that does not lead out of the project by its text;
// where links in it lead is seen when it is used.
func checkInside(v any) error {
	if !filepath.IsLocal(v.(string)) {
		return errors.New("it must be a directory in the project, relative to its root")
	}
	return nil
}

func checkHosts(v any) error {
	for _, h := range v.([]string) {
		if strings.ContainsAny(h, "/@ ") {
			return fmt.Errorf("%q is not host or host:port", h)
		}
	}
	return nil
}

// checkRepository wants a repository of a registry, without a tag: entries are its tags.
func checkRepository(v any) error {
	s := v.(string)
	host, path, ok := strings.Cut(s, "/")
	if s != "" && (!ok || path == "" || strings.ContainsAny(path, ":@ ") || strings.ContainsAny(host, "@ ") || (host != "localhost" && !strings.ContainsAny(host, ".:"))) {
		return errors.New("it must be registry/repository, without a tag, such as \"ghcr.io/acme/layers\"")
	}
	return nil
}

func checkContainerd(v any) error {
	if strings.Contains(v.(string), "://") {
		path, ok := strings.CutPrefix(v.(string), "unix://")
		if !ok {
			return errors.New("it must be the path of a socket, such as /run/containerd/containerd.sock")
		}
		v = path
	}
	return checkAbs(v)
}

// namespace is what containerd takes for one (pkg/identifiers).
var namespace = regexp.MustCompile(`^[A-Za-z0-9]+(?:[-._][A-Za-z0-9]+)*$`)

func checkNamespace(v any) error {
	if s := v.(string); len(s) > 76 || !namespace.MatchString(s) {
		return errors.New("it must be letters, digits and single separators (-._), at most 76")
	}
	return nil
}

// checkIndex wants an address that may be shown: every listing of the settings does.
func checkIndex(v any) error {
	s := v.(string)
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.ContainsAny(s, " \t\n"):
		return errors.New("it must be the https:// address of a package index")
	case u.User != nil:
		return errors.New("it must hold no user and no password: put those into ~/.netrc")
	}
	return nil
}

func checkIndexes(v any) error {
	for _, s := range v.([]string) {
		if err := checkIndex(s); err != nil {
			return err
		}
	}
	return nil
}

func checkBuilders(v any) error {
	for _, s := range v.([]string) {
		if s == "" || strings.ContainsAny(s, ", \t\n") {
			return fmt.Errorf("%q is not the name of a builder", s)
		}
	}
	return nil
}

var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

func checkNames(v any) error {
	for _, s := range v.([]string) {
		if !variableName.MatchString(s) {
			return fmt.Errorf("%q is not the name of a variable, in capitals", s)
		}
	}
	return nil
}

var version = regexp.MustCompile(`^(\d+(\.\d+)*([a-z0-9.+-]*))?$`)

func checkVersion(v any) error {
	if !version.MatchString(v.(string)) {
		return errors.New("it must be a version such as 1.16.3")
	}
	return nil
}
