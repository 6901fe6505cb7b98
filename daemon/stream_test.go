package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// feed is an events source that the test fills.
type feed struct {
	ch    chan api.Event
	since atomic.Uint64
	stops atomic.Int32
}

func newFeed() *feed { return &feed{ch: make(chan api.Event, 16)} }

func (f *feed) events(since uint64) (<-chan api.Event, func()) {
	f.since.Store(since)
	return f.ch, func() { f.stops.Add(1) }
}

func TestEvents(t *testing.T) {
	f := newFeed()
	d := serve(t, &fake{events: f.events})
	f.ch <- api.Event{Seq: 4, Kind: "hello"}
	n := 0
	for ev, err := range d.client.Events(t.Context(), client.EventsOptions{Since: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		switch n++; n {
		case 1:
			if ev.Kind != "hello" || f.since.Load() != 3 {
				t.Errorf("%+v since %d", ev, f.since.Load())
			}
			// Each event arrives by itself, before there is a next one.
			f.ch <- api.Event{Seq: 5, Kind: "image", Image: &api.Image{Name: "a"}}
			continue
		case 2:
			if ev.Image == nil || ev.Image.Targets == nil {
				t.Errorf("%+v", ev)
			}
		}
		break
	}
	for deadline := time.Now().Add(5 * time.Second); f.stops.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the subscription outlives its reader")
		}
	}
}

func TestEventsOnce(t *testing.T) {
	f := newFeed()
	d := serve(t, &fake{events: f.events})
	f.ch <- api.Event{Seq: 7, Kind: "hello"}
	f.ch <- api.Event{Seq: 8, Kind: "removed", Removed: "x"}
	var kinds []string
	for ev, err := range d.client.Events(t.Context(), client.EventsOptions{Since: 7, Once: true}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, ev.Kind)
	}
	if strings.Join(kinds, " ") != "hello removed" {
		t.Error(kinds)
	}
}

func TestEventsEndWithTheDaemon(t *testing.T) {
	f := newFeed()
	d := serve(t, &fake{events: f.events})
	f.ch <- api.Event{Seq: 1, Kind: "hello"}
	var last error
	start := time.Now()
	for _, err := range d.client.Events(t.Context(), client.EventsOptions{}) {
		if err == nil {
			d.cancel()
			start = time.Now()
		}
		last = err
	}
	wantCode(t, last, api.CodeUnavailable)
	if err := d.stop(t); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("stopped with %v after %s", err, time.Since(start))
	}
}

// With Resume a stream survives the daemon: the loss is told once, and what
// follows begins after the last event seen.
func TestEventsResume(t *testing.T) {
	socket := socketPath(t)
	first, second := newFeed(), newFeed()
	d := launch(t, &fake{events: first.events}, socket)
	d.answers(t)
	first.ch <- api.Event{Seq: 41, Kind: "hello"}
	first.ch <- api.Event{Seq: 42, Kind: "removed", Removed: "x"}
	second.ch <- api.Event{Seq: 1, Kind: "hello"}
	losses := 0
	c := client.New(socket)
	defer c.Close()
	for ev, err := range c.Events(t.Context(), client.EventsOptions{Resume: true}) {
		switch {
		case err != nil:
			losses++
			go func() {
				time.Sleep(200 * time.Millisecond) // some attempts fail
				launch(t, &fake{events: second.events}, socket)
			}()
			continue
		case ev.Seq == 42:
			if err := d.stop(t); err != nil {
				t.Fatal(err)
			}
			continue
		case ev.Seq == 41:
			continue
		}
		break
	}
	if losses != 1 || second.since.Load() != 42 {
		t.Errorf("%d losses, resumed since %d", losses, second.since.Load())
	}
}

func TestEventsWithoutADaemon(t *testing.T) {
	c := client.New(socketPath(t))
	n := 0
	for _, err := range c.Events(t.Context(), client.EventsOptions{Resume: true}) {
		n++
		wantCode(t, err, api.CodeNoDaemon)
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	f := newFeed()
	d := serve(t, &fake{events: f.events})
	f.ch <- api.Event{Seq: 1, Kind: "hello"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range d.client.Events(ctx, client.EventsOptions{Resume: true}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("%v", last)
	}
}

// What was asked before the stop is answered, by an engine that still runs.
func TestStopFinishesAnswers(t *testing.T) {
	asked := make(chan struct{})
	var running atomic.Bool
	d := serve(t, &fake{
		run: func(ctx context.Context) error {
			running.Store(true)
			<-ctx.Done()
			running.Store(false)
			return nil
		},
		findImage: func(ctx context.Context, _ string) (api.Image, error) {
			close(asked)
			time.Sleep(300 * time.Millisecond)
			if !running.Load() || ctx.Err() != nil {
				return api.Image{}, errors.New("cut off")
			}
			return api.Image{Name: "late"}, nil
		},
		waitImage: func(ctx context.Context, _ string) (api.Image, error) {
			<-ctx.Done()
			return api.Image{Name: "waited", State: api.Building}, nil
		},
	})
	type result struct {
		img api.Image
		err error
	}
	find := make(chan result, 1)
	go func() {
		img, err := d.client.Image(context.Background(), "x", 0)
		find <- result{img, err}
	}()
	wait := make(chan *http.Response, 1)
	go func() {
		resp, err := d.raw().Get("http://x/v1/images/x?wait=10m")
		if err != nil {
			t.Error(err)
		}
		wait <- resp
	}()
	<-asked
	time.Sleep(50 * time.Millisecond) // the wait's request is in, too
	d.cancel()
	if r := <-find; r.err != nil || r.img.Name != "late" {
		t.Errorf("%+v", r)
	}
	if resp := <-wait; resp != nil {
		defer resp.Body.Close()
		var img api.Image
		if err := json.NewDecoder(resp.Body).Decode(&img); err != nil || img.Name != "waited" {
			t.Errorf("%+v, %v", img, err)
		}
	}
	if err := d.stop(t); err != nil {
		t.Error(err)
	}
}

func TestEngineThatEndsEndsTheDaemon(t *testing.T) {
	boom := errors.New("records are gone")
	d := launch(t, &fake{run: func(context.Context) error { return boom }}, socketPath(t))
	<-d.ended
	if !errors.Is(d.err, boom) {
		t.Errorf("%v", d.err)
	}
}

// A peer that sends a byte now and then is dropped, and keeps nobody waiting.
func TestSlowHead(t *testing.T) {
	d := hurried(t, &fake{})
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	go func() {
		for _, b := range []byte("GET /v1/info HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("a", 1000)) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	d.answers(t)
	_ = conn.SetReadDeadline(start.Add(10 * time.Second))
	_, _ = io.ReadAll(conn)
	if took := time.Since(start); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("dropped after %s", took)
	}
}

func TestSlowBody(t *testing.T) {
	d := hurried(t, &fake{})
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if _, err := io.WriteString(conn, "POST /v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"dir\""); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(start.Add(10 * time.Second))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("after %s: %q, %v", time.Since(start), answer, err)
	}
}

// The limits of a request's arrival are not those of its answer.
func TestLongAnswersOutlastTheLimits(t *testing.T) {
	long := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return errors.New("cut off")
		case <-time.After(600 * time.Millisecond):
			return nil
		}
	}
	d := hurried(t, &fake{
		waitImage: func(ctx context.Context, _ string) (api.Image, error) { return api.Image{State: api.Ready}, long(ctx) },
		explain: func(ctx context.Context, _ api.Explain) (api.Explanation, error) {
			return api.Explanation{Name: "x"}, long(ctx)
		},
	})
	if img, err := d.client.Image(t.Context(), "x", -1); err != nil || img.State != api.Ready {
		t.Errorf("%+v, %v", img, err)
	}
	if x, err := d.client.Explain(t.Context(), api.Explain{Image: "x"}); err != nil || x.Name != "x" {
		t.Errorf("%+v, %v", x, err)
	}
}

// A quiet stream lives on; one whose reader has stopped reading is given up.
func TestStreamsAndTheLimits(t *testing.T) {
	f := newFeed()
	d := hurried(t, &fake{events: f.events})
	f.ch <- api.Event{Seq: 1, Kind: "hello"}
	seen := 0
	for ev, err := range d.client.Events(t.Context(), client.EventsOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; ev.Seq == 2 {
			break
		}
		go func() {
			time.Sleep(600 * time.Millisecond)
			f.ch <- api.Event{Seq: 2, Kind: "removed"}
		}()
	}
	if seen != 2 {
		t.Errorf("%d events", seen)
	}
	for f.stops.Load() != 1 {
		time.Sleep(time.Millisecond)
	}
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	big := api.Event{Seq: 3, Kind: "removed", Removed: strings.Repeat("x", 1<<20)}
	for deadline := time.Now().Add(10 * time.Second); f.stops.Load() != 2; {
		select {
		case f.ch <- big:
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("a reader that does not read is still served")
		}
	}
}
