package daemon

import "time"

// Hurry shortens every time limit, so that tests need not sit them out.
func (d *Daemon) Hurry(limit time.Duration) {
	d.limits = limits{header: limit, body: limit, write: limit, idle: limit}
}
