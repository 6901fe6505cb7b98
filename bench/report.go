package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// report is all that was measured.
type report struct {
	load     string
	noise    []time.Duration
	packages int

	peerCold, peerChange []sample
	ourCold, ourChange   []sample
	changed              api.Stats // of the last change
	warm                 []api.Stats
	started              []started
	p50, p99             time.Duration
	idleFor, idleCPU     time.Duration
	idleRSS, restartRSS  int64
}

func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	row("machine\t%d cores, load %s before; the same work took %s", runtime.NumCPU(), r.load, spread(r.noise))
	row("project\t%d packages in the lock, base python:3.11-slim", r.packages)
	row("")
	row("\tflytekit's builder\timgspecd\tratio")
	row("cold, to the registry\t%s\t%s\t%s", times(r.peerCold, 0), times(r.ourCold, 0), ratio(r.peerCold, r.ourCold, 0))
	row("one package changed\t%s\t%s\t%s", times(r.peerChange, 0), times(r.ourChange, 0), ratio(r.peerChange, r.ourChange, 0))
	row("  beyond the settle time\t\t%s\t%s", times(r.ourChange, settle), ratio(r.peerChange, r.ourChange, settle))
	row("bytes sent, cold\t%s\t%s\t", sent(r.peerCold), sent(r.ourCold))
	row("bytes sent, one package\t%s\t%s\t", sent(r.peerChange), sent(r.ourChange))
	row("most memory (buildkitd, daemon)\t%s\t%s\t", most(r.peerCold, r.peerChange), most(r.ourCold, r.ourChange))
	if len(r.ourCold) > 0 {
		row("")
		row("last change, by the daemon\t%d of %d layers made, %d wheels fetched; read %d ms, build %d ms, publish %d ms, in all %d ms",
			r.changed.LayersMade, r.changed.Layers, r.changed.Fetched, r.changed.ReadMS, r.changed.BuildMS, r.changed.PublishMS, r.changed.TotalMS)
		row("layers from downloaded wheels\t%s", r.warmText())
		for _, st := range r.started {
			for i, what := range imports {
				row("import %s, bytecode = %s\t%s", what, st.bytecode, spread(st.took[i]))
			}
		}
		row("idle for %v\t%v of processor time, %s resident; %s after a restart", r.idleFor, r.idleCPU, bytesText(r.idleRSS), bytesText(r.restartRSS))
		row("GET /v1/images/{ref}\tmedian %v, p99 %v", r.p50.Round(time.Microsecond), r.p99.Round(time.Microsecond))
	}
	_ = w.Flush()
}

// warmText says how fast layers are made, as installed bytes by second and core.
func (r *report) warmText() string {
	if len(r.warm) == 0 {
		return "-"
	}
	speeds := make([]float64, len(r.warm))
	for i, s := range r.warm {
		speeds[i] = float64(s.InstalledBytes) / 1e6 / (float64(max(s.BuildMS, 1)) / 1000) / float64(runtime.NumCPU())
	}
	slices.Sort(speeds)
	return fmt.Sprintf("%d layers, %s installed: %.0f MB/s a core (%.0f to %.0f, %d times)", r.warm[0].LayersMade, bytesText(r.warm[0].InstalledBytes),
		speeds[len(speeds)/2], speeds[0], speeds[len(speeds)-1], len(speeds))
}

// times is spread for samples, each less the given time.
func times(samples []sample, less time.Duration) string {
	if len(samples) == 0 {
		return "-"
	}
	all := make([]time.Duration, len(samples))
	for i, s := range samples {
		all[i] = s.took - less
	}
	return spread(all)
}

// spread is the median, with the extremes beside it when there are several.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(all))
	text := round(sorted[len(sorted)/2])
	if len(sorted) > 1 {
		text += fmt.Sprintf(" (%s to %s, %d times)", round(sorted[0]), round(sorted[len(sorted)-1]), len(sorted))
	}
	return text
}

func round(d time.Duration) string {
	if d > 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func ratio(theirs, ours []sample, less time.Duration) string {
	if len(theirs) == 0 || len(ours) == 0 {
		return "-"
	}
	took := func(a, b sample) int { return cmp.Compare(a.took, b.took) }
	a := slices.SortedFunc(slices.Values(theirs), took)[len(theirs)/2].took
	b := slices.SortedFunc(slices.Values(ours), took)[len(ours)/2].took - less
	return fmt.Sprintf("%.0f times", float64(a)/float64(max(b, 1)))
}

func sent(samples []sample) string {
	if len(samples) == 0 {
		return "-"
	}
	most := slices.MaxFunc(samples, func(a, b sample) int { return cmp.Compare(a.sent, b.sent) })
	return bytesText(most.sent)
}

func most(lists ...[]sample) string {
	var n int64
	for _, l := range lists {
		for _, s := range l {
			n = max(n, s.memory)
		}
	}
	if n == 0 {
		return "-"
	}
	return bytesText(n)
}

func bytesText(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
