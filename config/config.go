// Package config is what imgspecd can be told, and who told it.
//
// One table (keys.go) lists every key; defaults, flags, environment variables,
// files, checks, the example and the listing of `imgspecd config` all follow
// from it. Load (load.go) lays the sources over each other:
//
//	flag > IMGSPECD_* > project file > user file > default
//
// A project file comes with somebody's repository, so it can only choose among
// what the user allows; it never widens trust. An unknown key is an error, for
// a setting that is silently ignored is worse than none.
//
// With cmd it is the only package that reads environment variables: what
// depends on them (Docker's address, proxies) is answered here.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"
)

// Config is all settings. The example file (example.toml) explains them.
type Config struct {
	StateDir   string
	Socket     string
	Rebuild    string            // RebuildAsk or RebuildAuto
	Bytecode   string            // BytecodeAuto, BytecodeOn or BytecodeOff
	Cwd        string            // working directory of a project's runs, from its root; "." is the root
	Env        map[string]string // variables that a project's specs read, over those of the shell
	Log        Log
	Watch      Watch
	Docker     Docker
	Containerd Containerd
	BuildKit   BuildKit
	Registry   Registry
	Cache      Cache
	Base       Base
	Builders   Builders
	Plugin     Plugin
	Build      Build
	Fetch      Fetch
	Index      Index
	Resolve    Resolve
	UV         UV
	Wheels     Wheels
	TLS        TLS
	Flytekit   Flytekit
	Python     Python

	env  Lookup
	from Sources // to be read again for a project
}

// ForProject returns the settings as they are for one project: the same sources,
// with the project's file between the user's and the environment.
func (c *Config) ForProject(dir string) (*Config, error) {
	s := c.from
	s.ProjectDir = dir
	p, _, err := Load(s)
	return p, err
}

// The values of rebuild: what is done about a ready image whose content would be
// another now, though its name is the same.
const (
	RebuildAsk  = "ask"  // it is said, and the next build that is asked for makes it anew
	RebuildAuto = "auto" // it is built and published again at once
)

// Log is what the daemon says of its work.
type Log struct {
	Level string // debug, info, warn or error
}

// Watch is how file events settle.
type Watch struct {
	Quiet time.Duration // a change counts when nothing more happened for so long
	Max   time.Duration // or after so long, whatever happens
}

// Docker is the use of a Docker engine as a target.
type Docker struct {
	Use  string // UseAuto, UseAlways or UseNever
	Host string // empty: as the docker command would choose, see DockerEndpoint

	Socket string        // the second socket, which answers like a Docker engine; SocketOff: none
	Wait   time.Duration // how long an answer about an image that is being built waits for it

	Restore  string // RestoreAlways or RestoreNever
	Replaced string // ReplacedRemove or ReplacedKeep
}

// The values of docker.restore.
const (
	RestoreAlways = "always" // an image that others removed from the engine is put there again
	RestoreNever  = "never"  // it is shown as gone
)

// The values of docker.replaced.
const (
	ReplacedRemove = "remove" // an image that lost its only name to a newer one is removed
	ReplacedKeep   = "keep"
)

// The values of docker.use.
const (
	UseAuto   = "auto"   // images without a registry go to Docker, if an engine answers
	UseAlways = "always" // every image goes to Docker
	UseNever  = "never"
)

// Containerd is the use of a containerd as a target.
type Containerd struct {
	Use         string // UseAlways or UseNever
	Address     string // its socket
	Namespace   string // that images are put into
	Snapshotter string // that they are unpacked into; empty: the namespace's default
}

// BuildKit is where what must be executed is executed. Its files are in PEM format.
type BuildKit struct {
	Address    string // empty: see BuildKitAddress
	CA         string
	Cert       string
	Key        string
	ServerName string
}

// Registry is the use of registries as targets.
type Registry struct {
	Push     string            // PushAlways, PushOnRequest or PushNever
	Insecure []string          // hosts, as in image names, that are spoken to without verified TLS
	Policy   map[string]string // push of the images that a pattern matches; see PushPolicy
}

// The values of registry.push.
const (
	PushAlways    = "always"     // every image that names a registry is pushed as soon as it is built
	PushOnRequest = "on-request" // only when a build asks for it
	PushNever     = "never"
)

// Cache is the use of a repository in which a team shares layers.
type Cache struct {
	Registry string // "registry/repository"; empty: none
	Mode     string // CacheReadWrite or CacheReadOnly
	Layout   string // CacheThin or CacheWhole
}

// The values of cache.mode and cache.layout.
const (
	CacheReadWrite = "read-write" // layers that are made here are put there
	CacheReadOnly  = "read-only"
	CacheThin      = "thin"  // of an image that goes to a registry, layers that lie in one already are not kept here
	CacheWhole     = "whole" // the layout holds all of every image
)

// Base is the base image of specs that name none.
type Base struct {
	Default string // {python} stands for the Python minor version
}

// Builders is what becomes of specs that name a builder which makes images elsewhere.
type Builders struct {
	Union string // UnionList or UnionDefault
}

// The values of builders.union.
const (
	UnionList    = "list"    // such specs are shown, and not built
	UnionDefault = "default" // they are built as flytekit's default builder would
)

// Plugin is what the daemon tells the plug-ins for flytekit.
type Plugin struct {
	TakeOver []string // builders whose specs they serve too
}

// Build bounds the work on layers.
type Build struct {
	Parallel   int // layers made at once; 0: one per core
	Concurrent int // builds at once
}

// Fetch bounds downloads.
type Fetch struct {
	Parallel int
	Offline  bool // use only what was downloaded before
}

// Wheels is how far wheels are believed.
type Wheels struct {
	Record string // RecordWarn or RecordStrict
}

// The values of wheels.record: what is done about a file that is not what the RECORD of its wheel says.
const (
	RecordWarn   = "warn"   // it is installed, as uv and pip do, and told
	RecordStrict = "strict" // the build fails
)

// Index is where packages come from that nothing else says it of.
type Index struct {
	Default string   // empty: as UV_DEFAULT_INDEX or PIP_INDEX_URL says, else PyPI
	Extra   []string // empty: as UV_INDEX, UV_EXTRA_INDEX_URL or PIP_EXTRA_INDEX_URL says
	Keyring string   // KeyringAuto, KeyringUse or KeyringNever
}

// The values of index.keyring.
const (
	KeyringAuto  = "auto"       // as UV_KEYRING_PROVIDER or PIP_KEYRING_PROVIDER says
	KeyringUse   = "subprocess" // the keyring command is asked
	KeyringNever = "disabled"
)

// Resolve is how requirements are pinned that are not.
type Resolve struct {
	Refresh time.Duration // age at which a resolution is made anew
	Env     []string      // variables that requirement files may use
}

// UV is the program that resolves.
type UV struct {
	Path string // empty: uv on PATH
}

// TLS is whom to trust.
type TLS struct {
	CABundle string // PEM file, trusted besides the system's
}

// Flytekit is whose naming rules apply.
type Flytekit struct {
	Version string // empty: the project's own, from its lock or venv
}

// Python is the interpreter that parses (never runs) the project's files.
type Python struct {
	Path string // empty: python3 on PATH
}

// LogLevel returns log.level as slog's. Load has checked it.
func (c *Config) LogLevel() slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(c.Log.Level)) != nil {
		return slog.LevelInfo
	}
	return l
}

// BuildParallel returns build.parallel with 0 resolved.
func (c *Config) BuildParallel() int {
	if c.Build.Parallel > 0 {
		return c.Build.Parallel
	}
	return runtime.GOMAXPROCS(0)
}

// Check reports everything that is wrong with c, one error a key.
func (c *Config) Check() error { return c.check(nil) }

// check is Check that can say where each value came from.
func (c *Config) check(from Origins) error {
	var errs []error
	for _, k := range keys {
		if k.check == nil {
			continue
		}
		if err := k.check(k.get(c)); err != nil {
			errs = append(errs, &ValueError{Key: k.name, Value: format(k.get(c)), Where: from.where(k.name), Reason: err.Error()})
		}
	}
	if c.Watch.Max < c.Watch.Quiet && len(errs) == 0 {
		errs = append(errs, &ValueError{
			Key: "watch.max", Value: c.Watch.Max.String(), Where: from.where("watch.max"),
			Reason: fmt.Sprintf("it must not be less than watch.quiet (%s)", c.Watch.Quiet),
		})
	}
	if err := c.checkDockerHostIsOther(from); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ValueError is a value that cannot be: which, where it stands and why not.
type ValueError struct {
	Key    string
	Value  string
	Where  string // file:line, variable or flag; empty when unknown
	Reason string
}

func (e *ValueError) Error() string {
	value := login.ReplaceAllString(e.Value, "://***@")
	if e.Where == "" {
		return fmt.Sprintf("%s = %q: %s", e.Key, value, e.Reason)
	}
	return fmt.Sprintf("%s: %s = %q: %s", e.Where, e.Key, value, e.Reason)
}

// login is what stands before the host in an address: it may be a password.
var login = regexp.MustCompile(`://[^/\s]*@`)

// MaxSocketPath is the longest socket path the system takes, in bytes: the size
// of sockaddr_un's sun_path less the NUL at its end.
func MaxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

func checkSocket(v any) error {
	p := v.(string)
	if err := checkAbs(v); err != nil {
		return err
	}
	if limit := MaxSocketPath(); len(p) > limit {
		return fmt.Errorf("it is %d bytes long, and the system takes at most %d; set a shorter one with --socket or IMGSPECD_SOCKET", len(p), limit)
	}
	return nil
}

func checkAbs(v any) error {
	switch p := v.(string); {
	case p == "":
		return errors.New("it cannot be found out, for neither HOME nor the XDG variables are set")
	case !filepath.IsAbs(p):
		return errors.New("it must be an absolute path")
	}
	return nil
}

func checkFile(v any) error {
	p := v.(string)
	if p == "" {
		return nil
	}
	if !filepath.IsAbs(p) {
		return errors.New("it must be an absolute path")
	}
	fi, err := os.Stat(p)
	switch {
	case err != nil:
		return errors.New("no such file can be read")
	case !fi.Mode().IsRegular():
		return errors.New("it is not a file")
	}
	return nil
}
