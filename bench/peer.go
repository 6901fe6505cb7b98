package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed peer.py
var peerPy string

//go:embed micromamba.sh
var micromamba string

// peer is flytekit's default builder: the Dockerfile that the real flytekit writes, built by a buildkitd of its own
// with nothing in it, and pushed. What `docker build --push` would do.
type peer struct {
	m     machine
	scale *scale
	uv    string // stand-in images
	mamba string
	dir   string
	cmd   *exec.Cmd
}

func newPeer(ctx context.Context, m machine, s *scale) (*peer, error) {
	p := &peer{m: m, scale: s}
	var err error
	if p.uv, p.mamba, err = pushStandIns(ctx, s.host, m.uv, micromamba, m.ca); err != nil {
		return nil, err
	}
	return p, os.WriteFile(filepath.Join(m.work, "peer.py"), []byte(peerPy), 0o600)
}

// start starts a buildkitd that knows nothing yet.
func (p *peer) start(ctx context.Context) error {
	var err error
	if p.dir, err = os.MkdirTemp(p.m.work, "buildkit-"); err != nil {
		return err
	}
	config := filepath.Join(p.dir, "buildkitd.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[registry.%q]\n  http = true\n", p.scale.host), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(ctx, filepath.Join(p.m.bin, "buildkitd"), "--config", config, "--addr", p.address(),
		"--root", filepath.Join(p.dir, "root"), "--containerd-worker=false", "--oci-worker=true", "--oci-worker-net=host")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 20 * time.Second
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		if p.buildctl(ctx, "debug", "workers") == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("buildkitd does not answer, see " + log.Name())
}

func (p *peer) address() string { return "unix://" + filepath.Join(p.dir, "s") }

func (p *peer) buildctl(ctx context.Context, args ...string) error {
	return p.m.run(ctx, p.dir, filepath.Join(p.m.bin, "buildctl"), append([]string{"--addr", p.address()}, args...)...)
}

// stop ends buildkitd and deletes all it had.
func (p *peer) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = p.cmd.Wait() // what counts is measured before
	return os.RemoveAll(p.dir)
}

// build builds and pushes the project as it is now.
func (p *peer) build(ctx context.Context, proj *project, tag string) (sample, error) {
	out, err := os.MkdirTemp(p.m.work, "context-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	p.scale.take()
	if err := p.m.run(ctx, proj.dir, p.m.python, filepath.Join(p.m.work, "peer.py"), out, p.uv, p.mamba); err != nil {
		return sample{}, err
	}
	start := time.Now() // writing the Dockerfile is not counted: most of it is Python starting
	err = p.buildctl(ctx, "build", "--frontend", "dockerfile.v0", "--local", "context="+out, "--local", "dockerfile="+out,
		"--opt", "platform=linux/"+architecture(), "--output", fmt.Sprintf("type=image,name=%s/imgspecd-bench/peer:%s,push=true", p.scale.host, tag))
	return sample{took: time.Since(start), sent: p.scale.take(), memory: memory(p.cmd.Process.Pid, "VmHWM")}, err
}
