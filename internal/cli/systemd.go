package cli

import (
	"errors"
	"log/slog"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Without systemd each function here does nothing: the variables that it sets for
// a service are not there.

// inherited returns the socket that systemd listens on for us (LISTEN_FDS), nil if
// there is none.
func inherited() (net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil || len(listeners) == 0 {
		return nil, err
	}
	if l, ok := listeners[0].(*net.TCPListener); ok && len(listeners) == 1 {
		return l, nil
	}
	return nil, exit(exitUsage, errors.New("systemd passes sockets that keybearer cannot serve; "+
		"the socket unit needs a single ListenStream= with an address and a port"))
}

// A manager is told what state the service is in (NOTIFY_SOCKET).
type manager struct{ logger *slog.Logger }

func (m manager) ready()    { m.tell(daemon.SdNotifyReady) }
func (m manager) stopping() { m.tell(daemon.SdNotifyStopping) }

// reloading says that the configuration is being loaded; ready says when it is.
// The time lets systemd tell which reload it is (Type=notify-reload).
func (m manager) reloading() {
	m.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

func (m manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.logger.Warn("systemd does not know the state of the service: " + err.Error())
	}
}
