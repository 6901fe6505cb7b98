package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells the service manager how the daemon is. Without one it does nothing.
type notifier struct {
	log *slog.Logger
}

func newNotifier(log *slog.Logger) notifier { return notifier{log: log} }

func (n notifier) send(state string) {
	_, err := daemon.SdNotify(false, state)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		n.log.Debug("whoever started the daemon no longer listens", "state", state) // serve --detach waits for the start alone
	} else if err != nil {
		n.log.Warn("the service manager was not told", "state", state, "err", err)
	}
}

func (n notifier) ready(status string) {
	n.send(daemon.SdNotifyReady + "\nSTATUS=" + status)
}

func (n notifier) stopping() { n.send(daemon.SdNotifyStopping) }

// watchdog says "alive" twice per period as long as alive agrees: a loop that
// hangs gets the process restarted, where a timer of its own would hide it.
func (n notifier) watchdog(ctx context.Context, alive func(context.Context) bool) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, cancel := context.WithTimeout(ctx, period/4)
		if alive(asked) {
			n.send(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			n.log.Error("the engine does not answer; the service manager will restart the daemon")
		}
		cancel()
	}
}

// activated returns the listeners that systemd hands over to this process. The
// sockets stay systemd's: they are never unlinked here.
func activated() ([]*door, error) {
	files := activation.Files(true)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var out []*door
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			return out, fmt.Errorf("take the socket from systemd: %w", err)
		}
		ul, ok := l.(*net.UnixListener)
		if !ok {
			l.Close()
			return out, fmt.Errorf("take the socket from systemd: %s is no unix socket", l.Addr())
		}
		out = append(out, &door{UnixListener: ul, path: ul.Addr().String(), activated: true})
	}
	return out, nil
}
