package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
	"github.com/imgspecd/imgspecd/internal/doctor"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
	"github.com/imgspecd/imgspecd/internal/resolve"
	"github.com/imgspecd/imgspecd/internal/store"
)

// examine looks at this machine as this process sees it. It opens no state directory and shares no connection with builds.
func examine(ctx context.Context, cfg *config.Config, images []api.Image, watching func() error) (api.Doctor, error) {
	transport, err := cfg.Transport()
	if err != nil {
		return api.Doctor{}, &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	defer transport.CloseIdleConnections()
	d := doctor.Deps{
		StateDir: cfg.StateDir, Socket: cfg.Socket, Environ: os.Environ(), Watching: watching,
		DockerUse: cfg.Docker.Use, Bytecode: cfg.Bytecode, BuildKitNamed: buildKitNamed(cfg),
		Images: images, Push: cfg.Registry.Push, Offline: cfg.Fetch.Offline,
		UV:     func(ctx context.Context) (string, string, error) { return askUV(ctx, cfg.UV.Path) },
		Python: func(ctx context.Context) (string, string, error) { return askPython(ctx, cfg.Python.Path) },
		Compiler: func(ctx context.Context, minor string) (string, string, bool) {
			p, ok := pythons(cfg).Find(ctx, minor+".0")
			return p.Path, p.Version, ok
		},
	}
	engines(&d, cfg)
	network(&d, cfg, transport)
	return doctor.Examine(ctx, d), nil
}

// engines lets a doctor ask the Docker engine and BuildKit.
func engines(d *doctor.Deps, cfg *config.Config) {
	d.DockerAt = func() (string, string, error) {
		at, err := cfg.DockerEndpoint()
		return at.Host, at.From, err
	}
	eng, err := dockerEngine(cfg, nil)
	d.Docker = func(ctx context.Context) (docker.Info, error) {
		if err != nil {
			return docker.Info{}, err
		}
		return eng.Info(ctx)
	}
	d.BuildKit = func(ctx context.Context) (buildkit.Info, error) {
		kit := buildkit.Deps{Address: cfg.BuildKitAddress(), Default: cfg.BuildKitDefaults(), TLS: buildKitTLS(cfg)}
		if err == nil && cfg.Docker.Use != config.UseNever {
			kit.Docker = eng
		}
		m := buildkit.New(kit)
		i, err := m.Info(ctx)
		return i, err
	}
}

func buildKitNamed(cfg *config.Config) string {
	switch {
	case cfg.BuildKit.Address != "":
		return "buildkit.address"
	case cfg.BuildKitAddress() != "":
		return "BUILDKIT_HOST"
	}
	return ""
}

// network lets a doctor ask registries and indexes.
func network(d *doctor.Deps, cfg *config.Config, transport *http.Transport) {
	d.Probe = func(ctx context.Context, image string) error {
		return publish.Probe(ctx, registryDeps(cfg, transport), image)
	}
	if depot, err := cacheDepot(cfg, transport); depot != nil {
		d.Cache, d.CacheRead = depot.Repository().String(), cfg.Cache.Mode == config.CacheReadOnly
		d.ReadCache, d.PutCache = depot.Readable, depot.Writable
	} else if err != nil {
		d.Cache, d.ReadCache = cfg.Cache.Registry, func(context.Context) error { return err }
	}
	wheels, err := indexClient(cfg, quiet, "", "", transport) // which fetches nothing
	if err != nil {
		d.Indexes, d.Index = []string{"the package indexes"}, func(context.Context, int) error { return err }
		return
	}
	all := wheels.Indexes()
	for _, i := range all {
		d.Indexes = append(d.Indexes, logins.ReplaceAllString(i.URL, "://"))
	}
	d.Index = func(ctx context.Context, i int) error {
		_, err := wheels.List(ctx, all[i].URL, "pip")
		var status *index.StatusError
		if errors.As(err, &status) && status.Code == http.StatusNotFound {
			return nil // it answers, and does not have it
		}
		return err
	}
}

// logins are what stands before the host in an address.
var logins = regexp.MustCompile(`://[^/\s]*@`)

// askUV finds the uv that a build would use, and asks its version.
func askUV(ctx context.Context, uv string) (path, version string, err error) {
	path, version, err = resolve.New(resolve.Deps{UV: uv, Env: os.Environ()}).UV(ctx)
	var missing *resolve.Error
	if errors.As(err, &missing) {
		return "", "", errors.New(missing.Reason) // its hint is about one build
	}
	return path, version, err
}

// askPython finds the interpreter that reads projects' files, and asks its version.
func askPython(ctx context.Context, python string) (path, version string, err error) {
	if python == "" {
		python = "python3"
	}
	if path, err = exec.LookPath(python); err != nil {
		return "", "", fmt.Errorf("no %s: %w", python, err)
	}
	out, err := exec.CommandContext(ctx, path, "-I", "-S", "--version").Output()
	if err != nil {
		return path, "", fmt.Errorf("run %s: %w", path, err)
	}
	return path, strings.TrimSpace(string(out)), nil
}

// doctorAlone looks without a daemon. What specs there are is taken from the builds that are remembered, if the state
// directory is there and free.
func doctorAlone(ctx context.Context, cfg *config.Config) (api.Doctor, error) {
	images, err := remembered(cfg.StateDir)
	if err != nil {
		return api.Doctor{}, err
	}
	return examine(ctx, cfg, images, nil)
}

func remembered(dir string) (images []api.Image, err error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, nil //nolint:nilerr // nothing was built here yet
	}
	st, err := store.Open(dir)
	if err != nil {
		return nil, nil //nolint:nilerr // another has it; the check of the directory says what is wrong with it
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	builds, err := st.Builds()
	if err != nil {
		return nil, err
	}
	for _, b := range builds {
		if slices.ContainsFunc(b.Targets, func(t api.TargetState) bool { return t.Name == "registry" }) {
			host, _, _ := strings.Cut(b.Image, "/")
			images = append(images, api.Image{Name: b.Image, Label: b.Label, Registry: host})
		}
	}
	return images, nil
}
