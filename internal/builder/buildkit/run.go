package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/content"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/imgspecd/imgspecd/internal/plan"
)

// Result is what executing a step came to.
type Result struct {
	Layers []Layer // on top of the image, lowest first
	Cached bool    // BuildKit knew the result and executed nothing
}

// Run executes a step on an image and returns what it adds. out hears of every line that the step writes, as it does.
// The error is a *StepError when the step itself failed.
func (m *Machine) Run(ctx context.Context, on v1.Image, s plan.Step, out func(line string)) (Result, error) {
	r, err := m.start(ctx, on, s, out)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", s.Title, err)
	}
	defer r.end()
	layers, err := r.layers(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", s.Title, err)
	}
	return Result{Layers: layers, Cached: r.cached.Load()}, nil
}

// Fill executes a step on an image and copies what it left in its Output to dir.
func (m *Machine) Fill(ctx context.Context, on v1.Image, s plan.Step, dir string, out func(line string)) error {
	r, err := m.start(ctx, on, s, out)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Title, err)
	}
	defer r.end()
	err = r.solve(ctx, r.output, client.ExportEntry{Type: client.ExporterLocal, OutputDir: dir})
	if err != nil {
		return fmt.Errorf("%s: %w", s.Title, err)
	}
	return nil
}

// run is one step being executed.
type run struct {
	m        *Machine
	c        *conn
	step     plan.Step
	on       v1.Image
	platform ocispec.Platform
	stores   map[string]content.Store
	locals   map[string]fsutil.FS
	secrets  map[string][]byte
	end      func()
	base     llb.State
	result   llb.State
	output   llb.State
	out      func(string)
	cached   atomic.Bool
}

// start prepares a step.
func (m *Machine) start(ctx context.Context, on v1.Image, s plan.Step, out func(string)) (*run, error) {
	c, err := m.find(ctx)
	if err != nil {
		return nil, err
	}
	r, err := m.on(ctx, c, on, s, out)
	if err != nil {
		_ = c.Close() // the error that matters is the first
		return nil, err
	}
	done := r.end
	r.end = func() {
		done()
		_ = c.Close() // what was asked of it has been answered
	}
	return r, nil
}

// on prepares a step on a connection.
func (m *Machine) on(ctx context.Context, c *conn, on v1.Image, s plan.Step, out func(string)) (r *run, err error) {
	if !c.info.executes(s.Platform) {
		return nil, &PlatformError{Platform: s.Platform, From: c.info.From, Has: c.info.Platforms}
	}
	r = &run{m: m, c: c, step: s, on: on, platform: platform(s.Platform), secrets: map[string][]byte{}, locals: map[string]fsutil.FS{}, out: out}
	if err := r.readSecrets(); err != nil {
		return nil, err
	}
	if r.base, r.stores, r.end, err = m.source(ctx, c, on, r.platform); err != nil {
		return nil, err
	}
	if err := r.prepare(); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

// secretLimit is BuildKit's own.
const secretLimit = 500 << 10

// The CA bundle is a secret too: a secret is neither in the result nor in the key of BuildKit's cache.
const (
	caSecret = "imgspecd-ca"
	caDir    = "/run/imgspecd"
	caFile   = caDir + "/ca.pem"
	aptFile  = caDir + "/apt.conf"
	aptCA    = "imgspecd-apt"
)

// caVariables are what the usual programs find their CA bundle by.
var caVariables = []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "CARGO_HTTP_CAINFO", "MAMBA_SSL_VERIFY", "CONDA_SSL_VERIFY"}

func (r *run) readSecrets() error {
	for i, s := range r.step.Secrets {
		b := s.Data
		if s.Source != "" {
			var err error
			if b, err = os.ReadFile(s.Source); err != nil {
				return fmt.Errorf("read secret for %s: %w", s.Target, err)
			}
		}
		if len(b) > secretLimit {
			return fmt.Errorf("read secret for %s: %s is larger than BuildKit's limit of %d bytes", s.Target, s.Source, secretLimit)
		}
		r.secrets["secret_"+strconv.Itoa(i)] = b
	}
	if ca := r.m.deps.CA; len(ca) > 0 {
		if len(ca) > secretLimit {
			return fmt.Errorf("the CA bundle is larger than BuildKit's limit of %d bytes", secretLimit)
		}
		r.secrets[caSecret] = ca
		r.secrets[aptCA] = []byte("Acquire::https::CAInfo \"" + caFile + "\";\n")
	}
	return nil
}

// prepare describes the step to BuildKit.
func (r *run) prepare() error {
	s := r.step
	opts := []llb.RunOption{llb.Args(s.Args), llb.WithCustomName(s.Title)}
	if s.Anew {
		opts = append(opts, llb.IgnoreCache)
	}
	user := s.User
	if user == "" {
		user = "root"
	}
	dir := s.Dir
	if dir == "" {
		dir = "/"
	}
	state := r.base.User(user).Dir(dir)
	named := map[string]bool{}
	for _, e := range s.Env {
		name, value, _ := strings.Cut(e, "=")
		named[name] = true
		state = state.AddEnv(name, value)
	}
	for i, secret := range s.Secrets {
		opts = append(opts, llb.AddSecret(secret.Target, llb.SecretID("secret_"+strconv.Itoa(i))))
	}
	if len(r.m.deps.CA) > 0 {
		opts = append(opts, llb.AddSecret(caFile, llb.SecretID(caSecret), llb.SecretFileOpt(0, 0, 0o444)),
			llb.AddSecret(aptFile, llb.SecretID(aptCA), llb.SecretFileOpt(0, 0, 0o444)))
		for _, name := range caVariables {
			if !named[name] {
				opts = append(opts, llb.AddEnv(name, caFile))
			}
		}
		if !named["APT_CONFIG"] {
			opts = append(opts, llb.AddEnv("APT_CONFIG", aptFile))
		}
	}
	opts = append(opts, r.proxies()...)
	for _, mount := range s.Mounts {
		o, err := r.mount(mount)
		if err != nil {
			return err
		}
		opts = append(opts, o)
	}
	exec := state.Run(opts...)
	if s.Output != "" {
		r.output = exec.AddMount(s.Output, llb.Scratch())
	}
	r.result = exec.Root()
	return nil
}

func (r *run) mount(m plan.Mount) (llb.RunOption, error) {
	switch {
	case m.Cache != "":
		return llb.AddMount(m.Target, llb.Scratch(), llb.AsPersistentCacheDir("imgspecd-"+m.Cache, llb.CacheMountLocked)), nil
	case m.Image != "":
		return llb.AddMount(m.Target, llb.Image(m.Image, llb.Platform(r.platform)), llb.SourcePath(m.Source), llb.Readonly), nil
	case m.Git != "":
		if m.Login != "" {
			r.secrets[llb.GitAuthHeaderKey] = []byte(m.Login) // a step has one repository
		}
		return llb.AddMount(m.Target, llb.Git(m.Git, "", llb.GitRef(m.Commit), llb.KeepGitDir())), nil
	case m.Local != "":
		fs, err := fsutil.NewFS(m.Local)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Local, err)
		}
		id := "local-" + strconv.Itoa(len(r.locals))
		r.locals[id] = fs
		// What BuildKit has of it already is found by this name.
		opts := []llb.LocalOption{llb.SharedKeyHint(cmp.Or(m.Digest, m.Local))}
		if m.Source != "" {
			opts = append(opts, llb.IncludePatterns([]string{m.Source}))
			return llb.AddMount(m.Target, llb.Local(id, opts...), llb.SourcePath("/"+m.Source), llb.Readonly), nil
		}
		return llb.AddMount(m.Target, llb.Local(id, opts...), llb.Readonly), nil
	}
	return nil, errors.New("a mount with nothing to mount")
}

// solve has BuildKit execute the step, as far as it has not, and export a state.
func (r *run) solve(ctx context.Context, state llb.State, export client.ExportEntry) error {
	def, err := state.Marshal(ctx, llb.Platform(r.platform))
	if err != nil {
		return err
	}
	opt := client.SolveOpt{OCIStores: r.stores, LocalMounts: r.locals}
	if export.Type != "" {
		opt.Exports = []client.ExportEntry{export}
	}
	if len(r.secrets) > 0 {
		opt.Session = append(opt.Session, secretsprovider.FromMap(r.secrets))
	}
	if r.m.deps.Keychain != nil && slices.ContainsFunc(r.step.Mounts, func(m plan.Mount) bool { return m.Image != "" }) {
		opt.Session = append(opt.Session, r.m.logins())
	}
	if r.m.deps.SSH != "" && slices.ContainsFunc(r.step.Mounts, func(m plan.Mount) bool { return m.Git != "" }) {
		agent, err := sshprovider.NewSSHAgentProvider([]sshprovider.AgentConfig{{ID: "default", Paths: []string{r.m.deps.SSH}}})
		if err != nil {
			return fmt.Errorf("reach the SSH agent: %w", err)
		}
		opt.Session = append(opt.Session, agent)
	}
	status := make(chan *client.SolveStatus)
	watched := make(chan *watcher, 1)
	go func() {
		w := &watcher{title: r.step.Title, out: r.out}
		for s := range status {
			w.see(s)
		}
		watched <- w
	}()
	_, err = r.c.Solve(ctx, def, opt, status)
	w := <-watched
	r.cached.Store(w.cached)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.failure(err)
	}
	return nil
}

// hidden lists where the step had something mounted. An older BuildKit leaves an empty file or directory there.
func (r *run) hidden() map[string]bool {
	at := map[string]bool{}
	add := func(p string) { at[strings.TrimPrefix(filepath.ToSlash(filepath.Clean(p)), "/")] = true }
	for _, m := range r.step.Mounts {
		add(m.Target)
	}
	for _, s := range r.step.Secrets {
		add(s.Target)
	}
	if len(r.m.deps.CA) > 0 {
		add(caDir)
		add(caFile)
		add(aptFile)
	}
	if r.step.Output != "" {
		add(r.step.Output)
	}
	return at
}

// missing lists the directories that BuildKit makes above mounts. They are the step's own only if it has left something in them.
func (r *run) missing() map[string]bool {
	at := map[string]bool{}
	for _, dir := range r.step.Missing {
		at[strings.TrimPrefix(filepath.ToSlash(filepath.Clean(dir)), "/")] = true
	}
	return at
}
