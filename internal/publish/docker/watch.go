package docker

import (
	"context"
	"slices"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/publish"
)

var _ publish.Watchable = (*Docker)(nil)

const (
	// together is how long events are gathered: a prune makes many.
	together = 100 * time.Millisecond
	// firstWait is the wait before a lost engine is looked for; it doubles up to lastWait.
	firstWait = 250 * time.Millisecond
	lastWait  = 30 * time.Second
	// restart is how long an engine may be away before that is told.
	restart = time.Second
	// answers is how long an engine may take to say what it is.
	answers = 15 * time.Second
	// steady is how long a stream lasts that is not one of a row of failures.
	steady = 10 * time.Second
	// ownIDs is how many images are remembered that were put there or taken away from here.
	ownIDs = 256
)

// Watch follows the engine's events. An engine that restarts, or another in its place, is followed as soon as it answers.
func (d *Docker) Watch(ctx context.Context, changed func(publish.Change)) {
	wait, gone := firstWait, true // that it is gone need not be told before it was there
	for {
		there, lasted := d.follow(ctx, changed)
		if there {
			gone = false
		}
		if lasted {
			wait = firstWait
		}
		if ctx.Err() != nil {
			return
		}
		if !there && !gone && wait >= restart {
			gone = true
			changed(publish.Change{All: true})
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, lastWait)
	}
}

// follow passes on what one stream of events tells, until it ends.
func (d *Docker) follow(ctx context.Context, changed func(publish.Change)) (there, lasted bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api, now, err := d.clock(ctx)
	if err != nil {
		return false, false
	}
	began := time.Now()
	stream := api.Events(ctx, client.EventsListOptions{
		Since:   now, // by its own clock: what happens before it listens to us is told too
		Filters: make(client.Filters).Add("type", string(events.ImageEventType)),
	})
	changed(publish.Change{All: true}) // while nobody looked
	var c publish.Change
	var due <-chan time.Time
	for {
		select {
		case m := <-stream.Messages:
			d.read(m, &c)
			if due == nil && (c.All || len(c.Images) > 0) {
				due = time.After(together)
			}
		case <-due:
			changed(c)
			c, due = publish.Change{}, nil
		case <-stream.Err: //nolint:errcheck // whatever it is: what was gathered is part of "anything" once it is back
			return true, time.Since(began) >= steady
		}
	}
}

// clock returns a client of the engine, and what time it has.
func (d *Docker) clock(ctx context.Context) (*client.Client, string, error) {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	c, err := d.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	r, err := c.api.Info(ctx, client.InfoOptions{})
	return c.api, r.Info.SystemTime, err
}

// read adds to c what one event may mean for images that were there. Engines before 29 say the ID
// alone of an image that loses a name, and of one that is loaded all do.
func (d *Docker) read(m events.Message, c *publish.Change) {
	id, name := m.Actor.ID, m.Actor.Attributes["name"]
	switch m.Action {
	case events.ActionDelete, events.ActionUnTag:
		if !d.is(&d.removed, id) {
			c.Images = append(c.Images, id, publish.FullName(name))
		}
	case events.ActionTag, events.ActionPull:
		c.Images = append(c.Images, publish.FullName(name))
	case events.ActionLoad, events.ActionImport:
		if !d.is(&d.sent, id) {
			c.All = true
		}
	}
}

// sending notes that an image is put there from here, removing that one is taken away: neither is news.
func (d *Docker) sending(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = remember(d.sent, id)
	d.removed = slices.DeleteFunc(d.removed, func(o string) bool { return o == id })
}

func (d *Docker) removing(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = remember(d.removed, id)
}

func (d *Docker) is(ids *[]string, id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(*ids, id)
}

func remember(ids []string, id string) []string {
	ids = append(slices.DeleteFunc(ids, func(o string) bool { return o == id }), id)
	return ids[max(0, len(ids)-ownIDs):]
}
