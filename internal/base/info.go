package base

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// cacheFormat changes when what inspect finds changes, so that an old finding is not believed.
const cacheFormat = 9

// Format is the version of what a Cache is given: what it was given in another is of no use.
const Format = cacheFormat

type cached struct {
	Format int
	Info   Info
}

// info says what is in an image, from the cache or by reading its layers once.
func (r *Resolver) info(ctx context.Context, img v1.Image, want v1.Platform, report progress.Func) (*Info, error) {
	if err := checkPlatform(img, want); err != nil {
		return nil, err
	}
	h, err := img.Digest()
	if err != nil {
		return nil, err
	}
	digest := h.String()
	unlock, err := r.inspecting.Lock(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	info := r.known(digest)
	if info == nil {
		if info, err = r.inspect(ctx, img, report); err != nil {
			return nil, fmt.Errorf("inspect %s: %w", digest, err)
		}
		info.Digest, info.Platform = digest, platformString(want)
		if err := r.keep(digest, info); err != nil {
			return nil, err
		}
	}
	return info, nil
}

func (r *Resolver) known(digest string) *Info {
	if r.deps.Cache == nil {
		return nil
	}
	b, ok := r.deps.Cache.Base(digest)
	if !ok {
		return nil
	}
	var c cached
	if json.Unmarshal(b, &c) != nil || c.Format != cacheFormat || c.Info.Digest != digest {
		return nil
	}
	return &c.Info
}

func (r *Resolver) keep(digest string, info *Info) error {
	if r.deps.Cache == nil {
		return nil
	}
	b, err := json.Marshal(cached{cacheFormat, *info})
	if err != nil {
		return fmt.Errorf("keep what is in %s: %w", digest, err)
	}
	if err := r.deps.Cache.PutBase(digest, b); err != nil {
		return fmt.Errorf("keep what is in %s: %w", digest, err)
	}
	return nil
}

// checkPlatform compares what the image says of itself with what is asked for. An
// image that says nothing is believed.
func checkPlatform(img v1.Image, want v1.Platform) error {
	cfg, err := img.ConfigFile()
	if err != nil {
		return err
	}
	have := v1.Platform{OS: cfg.OS, Architecture: cfg.Architecture, Variant: cfg.Variant}
	if have.OS == "" || have.Architecture == "" || serves(have, want) {
		return nil
	}
	return because(ErrPlatform, "it is for %s, but %s is asked for", platformString(normalize(have)), platformString(want))
}

func platformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// inspect reads all layers once, lowest first.
func (r *Resolver) inspect(ctx context.Context, img v1.Image, report progress.Func) (*Info, error) {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	t, err := r.merge(ctx, img, report)
	if err != nil {
		return nil, err
	}
	if t.empty() {
		return nil, errors.New("its file system is empty")
	}
	info := &Info{
		Layers: len(cfg.RootFS.DiffIDs),
		Env:    cfg.Config.Env, User: cfg.Config.User, WorkingDir: cfg.Config.WorkingDir,
		Cmd: cfg.Config.Cmd, Entrypoint: cfg.Config.Entrypoint, Shell: cfg.Config.Shell,
		Libc:  libc(t),
		HasCA: t.follow(caBundle) != nil,
	}
	for _, d := range cfg.RootFS.DiffIDs {
		info.DiffIDs = append(info.DiffIDs, d.String())
	}
	if info.Python, err = python(t, searchPath(cfg.Config.Env), cfg.Config.Env); err != nil {
		return nil, err
	}
	info.Pythons, info.Runtime, info.Site = pythons(t), runtimeOf(t, info.Python), siteOf(t, info.Python)
	info.Files, err = collect(t)
	return info, err
}

// searchPath is PATH of the config; without one, what runc and containerd set.
func searchPath(env []string) []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	var dirs []string
	for _, d := range strings.Split(path, ":") {
		if strings.HasPrefix(d, "/") { // others are relative to wherever one stands
			dirs = append(dirs, d)
		}
	}
	return dirs
}
