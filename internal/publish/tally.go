package publish

import (
	"sync/atomic"
	"time"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// tellEvery bounds how often a Tally tells of bytes.
const tellEvery = 100 * time.Millisecond

// Tally counts what is sent to one target in one Publish.
type Tally struct {
	target                string
	report                progress.Func
	sent, layers          atomic.Int64
	expected, wantsLayers atomic.Int64
	last                  atomic.Int64 // unix nanoseconds
}

// NewTally returns a Tally that tells report.
func NewTally(target string, report progress.Func) *Tally {
	return &Tally{target: target, report: report}
}

// Expect says that p will be sent.
func (t *Tally) Expect(p Part) {
	t.expected.Add(p.Size)
	if p.Layer != nil {
		t.wantsLayers.Add(1)
	}
	t.tell()
}

// Bytes says that n bytes have been sent; n is negative when they were in vain.
func (t *Tally) Bytes(n int64) {
	t.sent.Add(n)
	now, last := time.Now().UnixNano(), t.last.Load()
	if now-last >= int64(tellEvery) && t.last.CompareAndSwap(last, now) {
		t.tell()
	}
}

// Part says that p has been sent.
func (t *Tally) Part(p Part) {
	if p.Layer != nil {
		t.layers.Add(1)
	}
	t.tell()
}

func (t *Tally) tell() {
	t.report(progress.Event{
		Step: progress.Publish, Target: t.target, Bytes: t.sent.Load(), BytesTotal: t.expected.Load(),
		Items: int(t.layers.Load()), ItemsTotal: int(t.wantsLayers.Load()),
	})
}

// Note adds a line to the build's log.
func (t *Tally) Note(line string) {
	t.report(progress.Event{Step: progress.Publish, Target: t.target, Note: line})
}

// Done writes what was counted into the receipt.
func (t *Tally) Done(r *Receipt) {
	r.SentBytes, r.SentLayers = t.sent.Load(), int(t.layers.Load())
}
