package cli

import (
	"fmt"
	"net"
	"strings"

	"keybearer/internal/admin"
	"keybearer/internal/telemetry"
	"keybearer/proxy"
)

// adminListener is what stands behind the setting admin. A nil one is off: it can be
// told all the same.
type adminListener struct {
	listener net.Listener
	server   *admin.Server
	recent   *telemetry.Recent
	metrics  *telemetry.Metrics
}

// openAdmin listens on address, for what p does, and takes part in its records; nil if
// address is "". Explain explains a record.
func openAdmin(address string, p *proxy.Proxy, dropped func() uint64, explain func(proxy.Record) telemetry.Explanation) (*adminListener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := admin.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w; end what listens there, or give another address with --admin", err)
	}
	a := &adminListener{listener: l, recent: telemetry.NewRecent(), metrics: telemetry.NewMetrics(p.Stats, dropped)}
	a.server = &admin.Server{Recent: a.recent, Metrics: a.metrics, Explain: func(id uint64) (telemetry.Explanation, bool) {
		record, ok := a.recent.Find(id)
		if !ok {
			return telemetry.Explanation{}, false
		}
		return explain(record), true
	}}
	p.Own = append(p.Own, l.Addr())
	log := p.Emit
	p.Emit = func(r proxy.Record) {
		log(r)
		a.metrics.Emit(r)
		a.recent.Emit(r)
	}
	return a, nil
}

// url is where the page is, for a browser; that of a socket is for keybearer top.
func (a *adminListener) url() string {
	if address := a.listener.Addr(); address.Network() == "tcp" {
		return "http://" + address.String() + "/"
	}
	return "unix:" + a.listener.Addr().String()
}

func (a *adminListener) serve() {
	if a != nil {
		go a.server.Serve(a.listener) // until close
	}
}

func (a *adminListener) close() {
	if a != nil {
		a.server.Close()
		a.listener.Close()
	}
}

// setState tells what is in force.
func (a *adminListener) setState(s telemetry.State) {
	if a != nil {
		a.recent.SetState(s)
		a.metrics.SetState(s)
	}
}

// reloaded counts an attempt to reload.
func (a *adminListener) reloaded(ok bool) {
	if a != nil {
		a.metrics.Reloaded(ok)
	}
}

// checkAdmin refuses to show a whole network what goes through the proxy, unless that
// was asked for.
func (o *serveOptions) checkAdmin(address string) error {
	if o.allowRemote || isOwnAdmin(address) {
		return nil
	}
	return exit(exitUsage, fmt.Errorf(remoteAdmin+", or add --allow-remote if only those you trust can connect", address))
}

const remoteAdmin = "other machines may reach %s, and see the hosts and paths of all requests there; let admin be an address of 127.0.0.1 or a unix:PATH"

func isOwnAdmin(address string) bool {
	return address == "" || strings.HasPrefix(address, "unix:") || isOwnMachine(address)
}

// reject keeps the old configuration and says why.
func (r *reloader) reject(err error) {
	r.lines("not reloaded, the old configuration stays", err)
	r.admin.reloaded(false)
	r.rejected = strings.Split(err.Error(), "\n")
	r.tell()
}

// enforce notes that a configuration is in force.
func (r *reloader) enforce(now *inForce) {
	r.inForce.Store(now)
	r.rejected = nil
	r.tell()
}
