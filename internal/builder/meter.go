package builder

import (
	"sync"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// reportEvery is how many bytes pass between two reports of a step.
const reportEvery = 1 << 20

// meter says how far the making of layers is. Bytes are those of blobs; their total
// is estimated from the wheels' sizes, and put right layer by layer.
type meter struct {
	report progress.Func

	mu        sync.Mutex
	state     progress.Event
	told      int64
	layers    int // made here
	installed int64
}

func newMeter(report progress.Func, layers int, total int64) *meter {
	return &meter{report: report, state: progress.Event{Step: progress.Layers, ItemsTotal: layers, BytesTotal: total}}
}

func (m *meter) add(bytes int64) {
	m.mu.Lock()
	m.state.Bytes += bytes
	m.state.BytesTotal = max(m.state.BytesTotal, m.state.Bytes)
	ev := m.state
	quiet := ev.Bytes < m.told+reportEvery
	if !quiet {
		m.told = ev.Bytes
	}
	m.mu.Unlock()
	if !quiet {
		m.report(ev)
	}
}

// made counts a layer that was written, all of whose bytes were added.
func (m *meter) made(size, weight, installed int64) {
	m.end(func() {
		m.layers++
		m.installed += installed
		m.state.BytesTotal += size - weight
	})
}

// found counts a layer that another build had made meanwhile.
func (m *meter) found(weight int64) { m.end(func() { m.state.Bytes += weight }) }

func (m *meter) end(count func()) {
	m.mu.Lock()
	count()
	m.state.Items++
	m.state.BytesTotal = max(m.state.BytesTotal, m.state.Bytes)
	if m.state.Items == m.state.ItemsTotal {
		m.state.BytesTotal = m.state.Bytes
	}
	ev := m.state
	m.mu.Unlock()
	m.report(ev)
}

// sum is how many layers were made, and the bytes of the files in them.
func (m *meter) sum() (layers int, installed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.layers, m.installed
}
