package proxy

import (
	"time"

	"keybearer/rules"
)

// Record tells what happened in one exchange or one tunnel, after it ended. It
// holds no header value, no query and no secret.
type Record struct {
	ID       uint64 // counts up from 1 in each Proxy
	Start    time.Time
	Duration time.Duration

	Client   string // the client's address, host:port
	Account  string // the name of the one of clients that it has shown to be, "" if none
	Target   string // host:port, "" if the client named none that is valid
	Protocol string // "tunnel", "http/1.1", "h2"; "" when refused before any
	TLS      uint16 // version of TLS with the client, as in crypto/tls; 0 if keybearer did not terminate it
	Verdict  rules.Verdict

	Method   string   // "CONNECT" for a tunnel
	Path     string   // as sent, without the query
	Rule     string   // name of the rule that acted, "" if none
	Injected []string // names of the headers that were set in what was sent; not to be changed

	Status        int   // of the final response, 0 if none was sent
	BytesReceived int64 // bytes of body, or of tunnel, from the client
	BytesSent     int64 // bytes of body, or of tunnel, to the client
	Masked        int   // how often an injected value was masked in the response

	// Connect and Handshake are how long it took to reach the upstream (DNS and
	// TCP) and to agree on TLS with it: told by the exchange that is the first on
	// a connection, which may have been made while the client's was, before Start.
	// On a connection that was kept they are 0.
	Connect   time.Duration
	Handshake time.Duration
	// FirstByte is from Start to the head of the final response; 0 if none came.
	FirstByte time.Duration

	Error  string // RFC 9209 error type, "" if all went well
	Reason string // in words: why it was refused, failed, tunnelled or not injected
}

// begin opens a record; the caller emits it in a defer. It is opened in place: each copy
// would lie on the stack for as long as the caller runs, and an exchange has 4 kB.
func (c *clientConn) begin(r *Record) {
	*r = Record{ID: c.p.recordID.Add(1), Start: time.Now(), Client: c.remote, Account: c.account, TLS: c.version}
}

func (p *Proxy) emit(r *Record) {
	if p.Emit != nil {
		r.Duration = time.Since(r.Start)
		p.Emit(*r)
	}
}
