package engine

import (
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// broker gives every subscriber every event in order. It keeps the last ones, so
// that a client may come back; who is too slow is told "gap" and reads anew.
type broker struct {
	now  func() time.Time
	mu   sync.Mutex
	seq  uint64
	ring []api.Event // the last len(ring) events, oldest first
	keep int
	subs map[*subscriber]struct{}
	shut bool
}

type subscriber struct {
	ch   chan api.Event
	lost bool // an event did not fit: owes a gap
}

func newBroker(now func() time.Time, keep int) *broker {
	return &broker{now: now, keep: keep, subs: map[*subscriber]struct{}{}}
}

// publish numbers ev and hands it out. It never blocks.
func (b *broker) publish(ev api.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	ev.Seq, ev.Time = b.seq, b.now().UTC()
	if len(b.ring) == b.keep {
		b.ring = append(b.ring[:0], b.ring[b.keep/4:]...)
	}
	b.ring = append(b.ring, ev)
	for s := range b.subs {
		s.offer(ev)
	}
}

func (s *subscriber) offer(ev api.Event) {
	if s.lost {
		gap := api.Event{Seq: ev.Seq - 1, Time: ev.Time, Kind: "gap"}
		select {
		case s.ch <- gap:
			s.lost = false
		default:
			return
		}
	}
	select {
	case s.ch <- ev:
	default:
		s.lost = true
	}
}

func (b *broker) subscribe(since uint64) (<-chan api.Event, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var past []api.Event
	if since > 0 {
		past = b.after(since)
	}
	s := &subscriber{ch: make(chan api.Event, len(past)+256)}
	s.ch <- api.Event{Seq: b.seq - uint64(len(past)), Time: b.now().UTC(), Kind: "hello"}
	for _, ev := range past {
		s.ch <- ev
	}
	if b.shut {
		close(s.ch)
		return s.ch, func() {}
	}
	b.subs[s] = struct{}{}
	return s.ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, on := b.subs[s]; on {
			delete(b.subs, s)
			close(s.ch)
		}
	}
}

// after returns the events since that number; a gap first if some are gone, or
// if the number is of an earlier life of the daemon.
func (b *broker) after(since uint64) []api.Event {
	if since > b.seq || (len(b.ring) > 0 && since+1 < b.ring[0].Seq) {
		return []api.Event{{Seq: b.seq, Time: b.now().UTC(), Kind: "gap"}}
	}
	for i, ev := range b.ring {
		if ev.Seq > since {
			return b.ring[i:]
		}
	}
	return nil
}

// close ends every subscription.
func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	for s := range b.subs {
		delete(b.subs, s)
		close(s.ch)
	}
}
