package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/imgspecd/imgspecd/api"
)

// rates knows how fast each step goes, from what the events said and when.
type rates map[string]*rate

type rate struct {
	began time.Time
	from  int64 // bytes at began
	at    time.Time
	bytes int64
}

// see takes in the progress of one image. A step that starts anew is measured anew.
func (r rates) see(im api.Image, now time.Time) {
	for _, p := range im.Progress {
		key := rateKey(im, p)
		old, ok := r[key]
		if !ok || p.Bytes < old.bytes {
			r[key] = &rate{began: now, from: p.Bytes, at: now, bytes: p.Bytes}
			continue
		}
		old.at, old.bytes = now, p.Bytes
	}
}

// of returns bytes per second, 0 while too little was seen.
func (r rates) of(im api.Image, p api.Progress) float64 {
	t, ok := r[rateKey(im, p)]
	if !ok {
		return 0
	}
	d := t.at.Sub(t.began)
	if d < 300*time.Millisecond {
		return 0
	}
	return float64(t.bytes-t.from) / d.Seconds()
}

func rateKey(im api.Image, p api.Progress) string {
	return im.Build + " " + p.Step + " " + p.Target
}

// stepName says in one word what a step does.
func stepName(p api.Progress) string {
	if p.Target != "" {
		return p.Target
	}
	return p.Step
}

// itemName is what a step counts.
func itemName(step string) string {
	switch step {
	case "fetch":
		return "wheel"
	case "layers", "publish", "base":
		return "layer"
	}
	return "item"
}

// progress writes one line per step: with bars where it is live, in words elsewhere.
func (v statusView) progress(im api.Image) string {
	var b strings.Builder
	for _, p := range im.Progress {
		b.WriteString("  " + v.step(im, p) + "\n")
	}
	return b.String()
}

// over reports whether a step has all it wanted.
func over(p api.Progress) bool {
	return p.BytesTotal > 0 && p.Bytes >= p.BytesTotal && p.Items >= p.ItemsTotal
}

func (v statusView) step(im api.Image, p api.Progress) string {
	if p.Step == executeStep {
		return v.executed(p)
	}
	var parts []string
	if p.Bytes > 0 || p.BytesTotal > 0 {
		parts = append(parts, sizeOf(p.Bytes, p.BytesTotal))
	}
	if p.ItemsTotal > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s", p.Items, count(p.ItemsTotal, itemName(p.Step))))
	} else if p.Items > 0 {
		parts = append(parts, count(p.Items, itemName(p.Step)))
	}
	if per := v.rates.of(im, p); per > 0 && !over(p) {
		speed := size(int64(per)) + "/s"
		if left := float64(p.BytesTotal-p.Bytes) / per; p.BytesTotal > p.Bytes && left >= 1 {
			speed = fmt.Sprintf("%s left", upTime(time.Duration(left*float64(time.Second))))
		}
		parts = append(parts, speed)
	}
	name := pad(clean(stepName(p)), 8)
	text := strings.Join(parts, v.sep)
	room := v.width - 2 - ansi.StringWidth(name) - 2
	if !v.live {
		if v.width > 0 {
			text = ansi.Truncate(text, room, v.dots)
		}
		return v.paint(quiet, name+"  "+text)
	}
	const cells = 20
	done, total := p.Bytes, p.BytesTotal
	if total <= 0 {
		done, total = int64(p.Items), int64(p.ItemsTotal)
	}
	if v.width > 0 {
		text = ansi.Truncate(text, max(room-cells-2, 0), v.dots)
	}
	return v.paint(quiet, name) + "  " + v.bar(done, total, cells) + "  " + text
}
