package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"keybearer/certs"
	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
)

// rehearsal is keybearer with one rule, and the API that the rule is for, all of it
// on loopback: demo shows it, doctor has a program meet it.
type rehearsal struct {
	document string // the configuration
	api      *localAPI
	run      *session
	records  chan proxy.Record
	env      []string // of a client, through keybearer
}

// newRehearsal starts one. The key of the API is made up, and is the secret of
// that name; environ is what the environment of clients is made of.
func newRehearsal(host rules.Target, document, secret string, environ []string) (_ *rehearsal, err error) {
	r := &rehearsal{document: document, records: make(chan proxy.Record, 1024)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	key := strings.ToLower(secret) + "-" + strings.ToLower(rand.Text())
	if r.api, err = newLocalAPI(host.Host(), key); err != nil {
		return nil, err
	}
	c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(document), Alone: true})
	if err != nil {
		return nil, exit(exitConfig, err)
	}
	environ = append(environ, secret+"="+key)
	store, err := sourcing{environ: environ}.find(c)
	if err != nil {
		return nil, err
	}
	policy, err := newPolicy(c.Set, store)
	if err != nil {
		return nil, err
	}
	if r.run, err = r.open(host); err != nil {
		return nil, err
	}
	r.env = childEnv(environ, c, store, c.References(), r.run.files.params(c, r.run.url()))
	r.run.proxy.SetPolicy(policy)
	go r.run.proxy.Serve(r.run.listener)
	return r, nil
}

// open makes the proxy and its files, as keybearer run does.
func (r *rehearsal) open(host rules.Target) (*session, error) {
	authority, err := certs.New(&certs.Constraints{DNS: []string{host.Host()}})
	if err != nil {
		return nil, exit(exitCA, err)
	}
	there, err := proxy.ParseOverride(host.String() + ":" + r.api.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	s := &session{proxy: &proxy.Proxy{
		Authority:     authority,
		Overrides:     []proxy.Override{there},
		UpstreamRoots: r.api.roots(),
		Identify:      identify,
		Emit:          r.keep,
	}}
	if err := s.prepare(authority, nil); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// keep keeps a record, if somebody still reads them.
func (r *rehearsal) keep(record proxy.Record) {
	select {
	case r.records <- record:
	default:
	}
}

// exchange waits for the record of a request; it comes when the exchange has
// ended, which the client may see first.
func (r *rehearsal) exchange() (proxy.Record, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		select {
		case record := <-r.records:
			if record.Method != "CONNECT" {
				return record, nil
			}
		case <-ctx.Done():
			return proxy.Record{}, errors.New("the proxy told nothing of the request")
		}
	}
}

func (r *rehearsal) close() {
	if r.run != nil {
		r.run.close()
	}
	if r.api != nil {
		r.api.close()
	}
}
