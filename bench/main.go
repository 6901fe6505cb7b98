// Command bench measures imgspecd beside flytekit's own default builder, in one
// run on one machine: `make bench`.
//
// Both build the same project (flytekit, pandas, pyarrow, scikit-learn, httpx)
// on the same base and push to the same local registry, through a proxy that
// counts what is sent: cold, with nothing downloaded, and after a change of one
// package. The peer is the Dockerfile that the real flytekit writes, built by a
// fresh buildkitd. The machine's own noise is measured too and reported first.
//
// It never decides: figures are for people, tests have no clocks.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// sample is one measurement.
type sample struct {
	took   time.Duration
	sent   int64 // bytes to the registry
	memory int64 // most resident memory so far, of the daemon or of buildkitd
}

func main() {
	binary := flag.String("imgspecd", "bin/imgspecd", "the program to measure")
	changes := flag.Int("changes", 5, "changes of one package, for imgspecd")
	peerRuns := flag.Int("peer", 2, "changes of one package, for the peer (some 50 s each); negative: no peer at all")
	idle := flag.Duration("idle", 30*time.Second, "how long to watch the daemon do nothing")
	only := flag.String("only", "", "peer or imgspecd: leave the other out")
	bytecode := flag.String("bytecode", "auto", "auto, on or off: imgspecd's setting of that name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *binary, *bytecode, min(*changes, len(versions)-1), *peerRuns, *idle, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, bytecode string, changes, peerRuns int, idle time.Duration, only string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	m, err := newMachine(binary, bytecode)
	if err != nil {
		return err
	}
	defer os.RemoveAll(m.work)
	s, err := newScale(ctx, m.registry)
	if err != nil {
		return err
	}
	r := &report{load: load(), noise: noise()}
	run := strconv.FormatInt(time.Now().Unix(), 36)
	proj, err := newProject(ctx, m, filepath.Join(m.work, "project"), s.host+"/imgspecd-bench-"+run, s.host+"/"+m.base, max(changes, peerRuns))
	if err != nil {
		return err
	}
	r.packages = proj.packages(0)
	if only != "imgspecd" && peerRuns >= 0 {
		if err := measurePeer(ctx, m, s, proj, run, peerRuns, r); err != nil {
			return fmt.Errorf("peer: %w", err)
		}
	}
	if only != "peer" {
		if err := measureOurs(ctx, m, s, proj, changes, idle, r); err != nil {
			return fmt.Errorf("imgspecd: %w", err)
		}
	}
	r.noise = append(r.noise, noise()...)
	r.print(os.Stdout)
	return nil
}

func measurePeer(ctx context.Context, m machine, s *scale, proj *project, run string, changes int, r *report) error {
	p, err := newPeer(ctx, m, s)
	if err != nil {
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	for i := range 1 + changes {
		if err := proj.save(i); err != nil {
			return err
		}
		got, err := p.build(ctx, proj, run+"-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		say("peer", i, got)
		if i == 0 {
			r.peerCold = append(r.peerCold, got)
		} else {
			r.peerChange = append(r.peerChange, got)
		}
	}
	return p.stop()
}

func measureOurs(ctx context.Context, m machine, s *scale, proj *project, changes int, idle time.Duration, r *report) error {
	o, err := startOurs(ctx, m, s, "")
	if err != nil {
		return err
	}
	var img api.Image
	for i := range 1 + changes {
		act := func() error { return proj.save(i) }
		if i == 0 {
			if err := proj.save(0); err != nil {
				return err
			}
			act = func() error {
				_, err := o.AddProject(ctx, api.AddProject{Dir: proj.dir})
				return err
			}
		}
		var got sample
		if img, got, err = o.until(ctx, img.Name, act); err != nil {
			return fmt.Errorf("%w\nthe daemon's log: %s", err, tailOf(filepath.Join(o.dir, "log")))
		}
		say("imgspecd", i, got)
		if i == 0 {
			r.ourCold = append(r.ourCold, got)
		} else {
			r.ourChange = append(r.ourChange, got)
		}
	}
	if r.changed, err = o.stats(ctx, img); err != nil {
		return err
	}
	if r.p50, r.p99, err = o.answers(ctx, img.Label, 5000); err != nil {
		return err
	}
	if err := measureIdle(ctx, o, idle, r); err != nil {
		return err
	}
	if err := o.stop(); err != nil {
		return err
	}
	if err := proj.save(0); err != nil {
		return err
	}
	if err := measureWarm(ctx, m, s, proj, o.wheels(), r); err != nil {
		return err
	}
	if err := measureImports(ctx, m, s, proj, o.wheels(), r); err != nil {
		return err
	}
	return o.remove()
}

// measureIdle watches the daemon do nothing, after its builds and again after a restart.
func measureIdle(ctx context.Context, o *ours, idle time.Duration, r *report) error {
	time.Sleep(idle / 3)
	before := cpu(o.cmd.Process.Pid)
	time.Sleep(idle)
	r.idleCPU, r.idleFor, r.idleRSS = cpu(o.cmd.Process.Pid)-before, idle, memory(o.cmd.Process.Pid, "VmRSS")
	if err := o.stop(); err != nil {
		return err
	}
	if err := o.start(ctx); err != nil {
		return err
	}
	time.Sleep(idle / 3)
	r.restartRSS = memory(o.cmd.Process.Pid, "VmRSS")
	return nil
}

// measureWarm builds from nothing but the downloaded wheels: what making layers costs.
func measureWarm(ctx context.Context, m machine, s *scale, proj *project, wheels string, r *report) error {
	for range 5 {
		o, err := startOurs(ctx, m, s, wheels)
		if err != nil {
			return err
		}
		img, err := o.force(ctx, proj)
		if err != nil {
			return err
		}
		stats, err := o.stats(ctx, img)
		if err != nil {
			return err
		}
		r.warm = append(r.warm, stats)
		if err := o.stop(); err != nil {
			return err
		}
		if err := o.remove(); err != nil {
			return err
		}
	}
	return nil
}

func say(who string, i int, s sample) {
	what := "cold"
	if i > 0 {
		what = "httpx " + versions[i]
	}
	fmt.Fprintf(os.Stderr, "bench: %s, %s: %v, %s sent\n", who, what, s.took.Round(time.Millisecond), bytesText(s.sent))
}

func tailOf(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return tail(string(b))
}
