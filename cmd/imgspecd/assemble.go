package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/daemon"
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/builder"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/dockerapi"
	"github.com/imgspecd/imgspecd/internal/engine"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/project"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/publish/containerd"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/teamcache"
	"github.com/imgspecd/imgspecd/internal/watch"
)

// parts is an engine with what must be closed after it.
type parts struct {
	engine *engine.Engine
	reader *engine.ProjectReader
	docker http.Handler // of the second socket; nil: it is off
	polls  func() error // why inputs are polled instead of watched; nil: nothing is watched
	close  func() error
}

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, cfg *config.Config) error {
	log := logger(cfg)
	p, err := assemble(cfg, log, false)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (api.Doctor, error) { return examine(ctx, cfg, p.engine.Images(ctx), p.polls) }
	err = daemon.New(daemon.Deps{Engine: p.engine, Doctor: look, Config: cfg, Log: log, Version: versionText(), Docker: p.docker}).Run(ctx)
	return errors.Join(err, p.close())
}

func logger(cfg *config.Config) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel()}))
}

// assemble wires an engine. A single command's (ephemeral) watches nothing and leaves the records of projects alone.
func assemble(cfg *config.Config, log *slog.Logger, ephemeral bool) (*parts, error) {
	st, err := store.Open(cfg.StateDir)
	var locked *store.LockedError
	if errors.As(err, &locked) {
		return nil, &api.Error{
			Code: api.CodeConflict, Message: "another imgspecd uses the state directory " + locked.Dir,
			Hint: "a daemon runs there: ask it (imgspecd status), stop it, or name another --state-dir",
		}
	}
	if err != nil {
		return nil, err
	}
	p, err := wire(cfg, log, st, ephemeral)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return p, nil
}

func wire(cfg *config.Config, log *slog.Logger, st *store.Store, ephemeral bool) (*parts, error) {
	transport, err := cfg.Transport()
	if err != nil {
		return nil, err
	}
	locks := &engine.Locks{}
	pipe, err := pipeline(cfg, log, st, transport, locks)
	if err != nil {
		return nil, err
	}
	reader := &engine.ProjectReader{
		Projects: &project.Reader{Python: cfg.Python.Path, Cache: st, Log: log},
		Locks:    locks, Pipeline: pipe, Machine: machine(), Settings: settings(cfg),
		Learned: st.Learned,
	}
	deps := engine.Deps{
		Records: st, Reader: reader, Runner: pipe, Disk: st, Logs: st.Logs(), Now: time.Now, Log: log,
		Concurrent: cfg.Build.Concurrent, Grace: 2 * time.Second, Retry: 10 * time.Second,
		Ephemeral: ephemeral, Idle: debug.FreeOSMemory,
		About: api.Info{Version: versionText(), PID: os.Getpid(), StartedAt: time.Now().UTC(), Socket: cfg.Socket, StateDir: cfg.StateDir, TakeOver: cfg.Plugin.TakeOver},
	}
	closeAll, polls := st.Close, (func() error)(nil)
	if ephemeral {
		deps.Retry, deps.Grace = 0, 0 // one command looks once
	} else {
		w, err := watch.New(watch.Deps{Log: log, Quiet: cfg.Watch.Quiet, Max: cfg.Watch.Max})
		if err != nil {
			return nil, err
		}
		deps.Watch, polls = w, w.Problem
		deps.Watched = watchable(cfg, pipe)
		closeAll = func() error { return errors.Join(w.Close(), st.Close()) }
	}
	deps.Places = places{cfg: cfg, pipe: pipe, dir: st.Dir()}.list
	p := &parts{engine: engine.New(deps), reader: reader, polls: polls, close: closeAll}
	if eng, ok := pipe.Docker.(*docker.Docker); ok && cfg.Docker.Socket != config.SocketOff {
		p.docker = asDocker(cfg, log, p.engine, eng, registryDeps(cfg, transport))
	}
	return p, nil
}

// pipeline wires what one build goes through.
func pipeline(cfg *config.Config, log *slog.Logger, st *store.Store, transport *http.Transport, locks *engine.Locks) (*engine.Pipeline, error) {
	eng, err := dockerEngine(cfg, st)
	if err != nil {
		return nil, err
	}
	registry := registryDeps(cfg, transport)
	registry.Elsewhere = mounts(st)
	wheels, err := indexClient(cfg, log, st.Wheels(), st.Tmp(), transport)
	if err != nil {
		return nil, err
	}
	machine := buildKit(cfg, log, st, eng)
	puller := publish.NewPuller(registry)
	team, err := teamCache(cfg, log, st, transport, puller)
	if err != nil {
		return nil, err
	}
	makes := builder.Deps{Index: wheels, Store: st, Parallel: cfg.BuildParallel(), Log: log, Batch: batch(machine)}
	if team != nil { // a nil *Cache in an interface is not nil
		makes.Shared = team
	}
	p := &engine.Pipeline{
		Bases: base.NewResolver(base.Deps{
			Keychain: registry.Keychain, Transport: transport, Insecure: registry.Insecure,
			FromDocker: eng.Image, Blobs: st,
			Cache: &teamcache.Bases{Cache: team, Store: st, Format: base.Format},
			Elsewhere: func(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
				return teamcache.Open(ctx, puller, st, d)
			},
		}),
		Builder:    builder.New(makes),
		Team:       team,
		Layout:     publish.NewLayout(st, st),
		Dir:        st.Dir(),
		Registry:   publish.NewRegistry(registry),
		Docker:     eng,
		Containerd: containerd.New(containerd.Deps{Address: cfg.Containerd.Address, Namespace: cfg.Containerd.Namespace, Snapshotter: cfg.Containerd.Snapshotter}),
		CA:         caBundle(cfg),
		Locks:      locks,
		Logins:     wheels.Learn,
		Pythons:    pythons(cfg),
		Resolver:   resolver(cfg, log, st, os.Environ()),
		Insides:    st,
		Executor:   machine,
		Steps:      st,
		Tmp:        st.Tmp(),
		Indexes:    wheels.Indexes(),
		GitLogin:   gitLogin,
		WasReady:   func(name string) bool { _, ok := st.ReadyImage(name); return ok },
		Now:        time.Now,
	}
	if team != nil && cfg.Cache.Layout == config.CacheThin {
		p.Thin, p.Elsewhere = publish.NewThinLayout(st, st, st), st
	}
	p.DockerUp = func(ctx context.Context) error {
		// One that is not there says so at once; one that is busy must not be taken for that.
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		_, err := eng.Info(ctx)
		return err
	}
	return p, nil
}

// watchable are the places in which others may remove images.
func watchable(cfg *config.Config, pipe *engine.Pipeline) []publish.Watchable {
	eng, ok := pipe.Docker.(publish.Watchable)
	if !ok || cfg.Docker.Use == config.UseNever { // which a project cannot widen
		return nil
	}
	return []publish.Watchable{eng}
}

// mounts says where a registry may have a blob: what is known to lie there, then what the layout's images are of.
func mounts(st *store.Store) func(registry string, h v1.Hash) []string {
	published := publish.Published(st, st)
	return func(registry string, h v1.Hash) []string {
		return append(st.Mounts(registry, h), published(registry, h)...)
	}
}

// settings gives the engine what a project's own file and the user's say for it.
func settings(cfg *config.Config) func(dir string) (engine.Settings, error) {
	return func(dir string) (engine.Settings, error) {
		out := engine.Settings{Files: []string{filepath.Join(dir, "pyproject.toml"), filepath.Join(dir, "imgspecd.toml")}}
		c, err := cfg.ForProject(dir)
		if err != nil {
			return out, err
		}
		out.Policy = engine.Policy{DefaultBase: c.Base.Default, Flytekit: c.FlytekitImage(), Push: c.PushPolicy(cfg), Rebuild: c.Rebuild, Docker: c.Docker.Use, Containerd: c.Containerd.Use, Union: c.Builders.Union, Record: c.Wheels.Record, Share: c.Cache.Mode == config.CacheReadWrite, Bytecode: c.Bytecode, Restore: c.Docker.Restore}
		out.Flytekit, out.Env = c.Flytekit.Version, c.Env
		out.Cwd, err = workingDir(dir, c.Cwd)
		return out, err
	}
}

// workingDir is the directory that a project's runs are started in. Links in it must not lead out of the
// project: what lies there is read and goes into images.
func workingDir(dir, cwd string) (string, error) {
	if filepath.Clean(cwd) == "." {
		return dir, nil
	}
	path, err := filepath.EvalSymlinks(filepath.Join(dir, cwd))
	if err != nil {
		return "", fmt.Errorf("cwd = %q: %w", cwd, err)
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("cwd = %q: %w", cwd, err)
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("cwd = %q: it leads out of the project", cwd)
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return "", fmt.Errorf("cwd = %q: it is not a directory", cwd)
	}
	return filepath.Join(dir, rel), nil
}

func dockerEngine(cfg *config.Config, st *store.Store) (*docker.Docker, error) {
	at, err := cfg.DockerEndpoint()
	if err != nil {
		return nil, err
	}
	d := docker.Deps{Host: at.Host, CertDir: at.Certs, Blobs: st, KeepReplaced: cfg.Docker.Replaced == config.ReplacedKeep}
	if at.Own {
		d.None = errors.New(at.From + " names imgspecd's own socket, and docker.host names no engine")
	}
	return docker.New(d)
}

// asDocker answers flytekit's questions to Docker.
func asDocker(cfg *config.Config, log *slog.Logger, images dockerapi.Images, eng *docker.Docker, registry publish.RegistryDeps) http.Handler {
	return dockerapi.New(dockerapi.Deps{
		Images: images, Dial: eng.Dial, Wait: cfg.Docker.Wait, Version: versionText(), Log: log,
		Describe: func(ctx context.Context, name string) (publish.Description, error) {
			return publish.Describe(ctx, registry, name)
		},
	})
}

// buildKit is what executes steps.
func buildKit(cfg *config.Config, log *slog.Logger, st *store.Store, eng *docker.Docker) *buildkit.Machine {
	http, https, ftp, no, all := cfg.Proxies()
	d := buildkit.Deps{
		Address: cfg.BuildKitAddress(), Default: cfg.BuildKitDefaults(),
		TLS:   buildKitTLS(cfg),
		Blobs: st, Tmp: st.Tmp(), CA: caBundle(cfg), Log: log, SSH: cfg.SSHAgent(), Keychain: authn.DefaultKeychain,
		Proxy: buildkit.Proxy{HTTP: http, HTTPS: https, FTP: ftp, No: no, All: all},
	}
	if cfg.Docker.Use != config.UseNever {
		d.Docker = eng
	}
	return buildkit.New(d)
}

func buildKitTLS(cfg *config.Config) buildkit.TLS {
	return buildkit.TLS{CA: cfg.BuildKit.CA, Cert: cfg.BuildKit.Cert, Key: cfg.BuildKit.Key, ServerName: cfg.BuildKit.ServerName}
}

func registryDeps(cfg *config.Config, transport *http.Transport) publish.RegistryDeps {
	insecure := func(host string) bool { return slices.Contains(cfg.Registry.Insecure, host) }
	return publish.RegistryDeps{Keychain: authn.DefaultKeychain, Transport: transport, Insecure: insecure}
}

// cacheDepot is the repository in which a team shares layers; nil: there is none.
func cacheDepot(cfg *config.Config, transport *http.Transport) (*publish.Depot, error) {
	if cfg.Cache.Registry == "" {
		return nil, nil
	}
	d, err := publish.NewDepot(registryDeps(cfg, transport), cfg.Cache.Registry)
	if err != nil {
		return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("cache.registry = %q: %v", cfg.Cache.Registry, err)}
	}
	return d, nil
}

// teamCache takes layers from there, and gives it those made here; nil: there is none.
func teamCache(cfg *config.Config, log *slog.Logger, st *store.Store, transport *http.Transport, puller *publish.Puller) (*teamcache.Cache, error) {
	depot, err := cacheDepot(cfg, transport)
	if depot == nil || err != nil {
		return nil, err
	}
	return teamcache.New(teamcache.Deps{
		Depot: depot, Puller: puller, Store: st, Bases: st, Format: base.Format, ReadOnly: cfg.Cache.Mode == config.CacheReadOnly, Log: log, Now: time.Now,
	}), nil
}

// batch compiles packages by an image's own Python.
func batch(m *buildkit.Machine) func(context.Context, v1.Image, builder.Batch) error {
	return func(ctx context.Context, base v1.Image, b builder.Batch) error {
		return m.Fill(ctx, base, plan.Step{
			Title: "compile packages", Platform: b.Platform, Args: b.Args, Env: b.Env,
			Mounts: []plan.Mount{{Target: bytecode.BatchIn, Local: b.In}}, Output: bytecode.BatchOut,
		}, b.Out, nil)
	}
}

// readNetrc reads the passwords of indexes where curl and pip look for them.
func readNetrc() (index.Netrc, error) {
	file := os.Getenv("NETRC")
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil //nolint:nilerr // no home, no netrc
		}
		file = filepath.Join(home, ".netrc")
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read netrc: %w", err)
	}
	n, err := index.ParseNetrc(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return n, nil
}

// machine is what Python's platform.machine() says on this host.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		if runtime.GOOS == "linux" {
			return "aarch64"
		}
	}
	return runtime.GOARCH
}

// systemBundles are the places where systems keep their CA bundle (as crypto/x509 looks for it).
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// caBundle is what an image gets whose base has no CA bundle: the host's, and what tls.ca_bundle adds.
func caBundle(cfg *config.Config) []byte {
	var out []byte
	for _, f := range systemBundles {
		if b, err := os.ReadFile(f); err == nil {
			out = b
			break
		}
	}
	if cfg.TLS.CABundle != "" {
		if b, err := os.ReadFile(cfg.TLS.CABundle); err == nil {
			out = append(append(out, '\n'), b...)
		}
	}
	return out
}

// places tells of the targets for `GET /v1/info`.
type places struct {
	cfg  *config.Config
	pipe *engine.Pipeline
	dir  string
}

func (p places) list(ctx context.Context) []api.TargetInfo {
	out := []api.TargetInfo{{Name: "layout", Address: p.dir}, {Name: "registry", Policy: p.cfg.Registry.Push}}
	if p.pipe.Team != nil {
		at, trouble := p.pipe.Team.About()
		c := api.TargetInfo{Name: "cache", Address: at, Policy: p.cfg.Cache.Mode}
		if trouble != nil {
			c.Error = &api.Error{Code: api.CodeUnavailable, Message: trouble.Error(), Hint: "imgspecd doctor asks it again"}
		}
		out = append(out, c)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if p.cfg.Containerd.Use != config.UseNever {
		out = append(out, p.containerd(ctx))
	}
	if p.cfg.Docker.Use == config.UseNever {
		return out
	}
	d := api.TargetInfo{Name: "docker", Policy: p.cfg.Docker.Use}
	if at, err := p.cfg.DockerEndpoint(); err == nil {
		d.Address = at.Host
	}
	eng, _ := p.pipe.Docker.(*docker.Docker)
	info, err := eng.Info(ctx)
	if err != nil {
		d.Error = &api.Error{Code: api.CodeUnavailable, Message: err.Error()}
	}
	d.Version = strings.TrimSpace(info.Version)
	return append(out, d)
}

func (p places) containerd(ctx context.Context) api.TargetInfo {
	c := api.TargetInfo{Name: "containerd", Address: p.cfg.Containerd.Address, Policy: p.cfg.Containerd.Use}
	there, _ := p.pipe.Containerd.(*containerd.Containerd)
	version, err := there.Version(ctx)
	if err != nil {
		c.Error = &api.Error{Code: api.CodeUnavailable, Message: err.Error()}
	}
	c.Version = version
	return c
}
