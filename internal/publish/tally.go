package publish

import (
	"sync/atomic"
	"time"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// tellEvery bounds how often a tally tells of bytes.
const tellEvery = 100 * time.Millisecond

// tally counts what is sent to one target in one Publish.
type tally struct {
	target                string
	report                progress.Func
	sent, layers          atomic.Int64
	expected, wantsLayers atomic.Int64
	last                  atomic.Int64 // unix nanoseconds
}

func newTally(target string, report progress.Func) *tally {
	return &tally{target: target, report: report}
}

// expect says that p will be sent.
func (t *tally) expect(p part) {
	t.expected.Add(p.Size)
	if p.layer != nil {
		t.wantsLayers.Add(1)
	}
	t.tell()
}

func (t *tally) bytes(n int64) {
	t.sent.Add(n)
	now, last := time.Now().UnixNano(), t.last.Load()
	if now-last >= int64(tellEvery) && t.last.CompareAndSwap(last, now) {
		t.tell()
	}
}

// part says that p has been sent.
func (t *tally) part(p part) {
	if p.layer != nil {
		t.layers.Add(1)
	}
	t.tell()
}

func (t *tally) tell() {
	t.report(progress.Event{
		Step: progress.Publish, Target: t.target, Bytes: t.sent.Load(), BytesTotal: t.expected.Load(),
		Items: int(t.layers.Load()), ItemsTotal: int(t.wantsLayers.Load()),
	})
}

func (t *tally) note(line string) {
	t.report(progress.Event{Step: progress.Publish, Target: t.target, Note: line})
}

func (t *tally) done(r *Receipt) {
	r.SentBytes, r.SentLayers = t.sent.Load(), int(t.layers.Load())
}
