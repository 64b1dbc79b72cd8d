package telemetry

import (
	"strings"
	"time"

	"keybearer/proxy"
)

// Event is a [proxy.Record] as the admin listener tells it: the same words as in
// the log. It holds no header value, no query and no secret.
type Event struct {
	ID     uint64    `json:"id"`
	Time   time.Time `json:"time"` // when it began
	Client string    `json:"client"`
	Target string    `json:"target,omitempty"`
	// Account is the name of the client in the configuration, if it has clients.
	Account string `json:"account,omitempty"`

	Protocol string   `json:"protocol,omitempty"`
	Verdict  string   `json:"verdict"`
	Method   string   `json:"method,omitempty"`
	Path     string   `json:"path,omitempty"`
	Rule     string   `json:"rule,omitempty"`
	Injected []string `json:"injected,omitempty"`

	Status   int   `json:"status,omitempty"`
	Received int64 `json:"received"` // bytes from the client
	Sent     int64 `json:"sent"`     // bytes to the client
	Masked   int   `json:"masked,omitempty"`

	ConnectMS   float64 `json:"connect_ms,omitempty"`
	HandshakeMS float64 `json:"handshake_ms,omitempty"`
	FirstByteMS float64 `json:"first_byte_ms,omitempty"`
	DurationMS  float64 `json:"duration_ms"`

	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func newEvent(r *proxy.Record) Event {
	return Event{
		ID: r.ID, Time: r.Start, Client: r.Client, Account: Clean(r.Account), Target: Clean(r.Target),
		Protocol: r.Protocol, Verdict: r.Verdict.String(), Method: Clean(r.Method), Path: Clean(r.Path),
		Rule: Clean(r.Rule), Injected: r.Injected,
		Status: r.Status, Received: r.BytesReceived, Sent: r.BytesSent, Masked: r.Masked,
		ConnectMS: ms(r.Connect), HandshakeMS: ms(r.Handshake), FirstByteMS: ms(r.FirstByte), DurationMS: ms(r.Duration),
		Error: r.Error, Reason: Clean(r.Reason),
	}
}

// ms is d in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Clean is s without what a terminal might obey. JSON escapes neither DEL nor the
// C1 controls, nor what turns the direction of text.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(visible, s)
}

// State is what is in force, as the admin listener tells it: names, places and
// times; never a value.
type State struct {
	Version string        `json:"version"`
	Started time.Time     `json:"started"`
	Loaded  time.Time     `json:"loaded"` // when the policy in force was
	Listen  string        `json:"listen"`
	Rules   []RuleState   `json:"rules"`
	Secrets []SecretState `json:"secrets"`
	// Rejected is why the newest configuration is not in force; empty if it is.
	Rejected []string `json:"rejected,omitempty"`
	Draining bool     `json:"draining,omitempty"` // it accepts no more connections
	// AuthorityExpires is when clients stop trusting what keybearer signs.
	AuthorityExpires time.Time `json:"authority_expires,omitzero"`
}

// Problems says why requests may be refused that should not be, as of now: what /readyz
// and the page tell. It is empty if all is well.
func (s *State) Problems(now time.Time) []string {
	var all []string
	if s.Draining {
		all = append(all, "keybearer is shutting down")
	}
	for _, secret := range s.Secrets {
		if secret.Problem != "" {
			all = append(all, secret.Problem)
		}
	}
	for _, r := range s.Rules {
		if problem := r.ProblemAt(now); problem != "" {
			all = append(all, "rule "+r.Name+" refuses its requests: "+problem)
		}
	}
	return all
}

func (s *State) refusing() (rules int) {
	for _, r := range s.Rules {
		if r.Problem != "" {
			rules++
		}
	}
	return rules
}

// RuleState is one enabled rule, in the order in which rules are asked.
type RuleState struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Hosts       []string `json:"hosts"`
	Paths       []string `json:"paths,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Injects     []string `json:"injects,omitempty"` // names of headers
	Removes     []string `json:"removes,omitempty"`
	Secrets     []string `json:"secrets,omitempty"` // their names
	Problem     string   `json:"problem,omitempty"` // why it refuses its requests
	// Expires is when its client certificate does; zero if it has none that is valid.
	Expires time.Time `json:"expires,omitzero"`
}

// ProblemAt is Problem, or what has come to be one since.
func (r *RuleState) ProblemAt(now time.Time) string {
	if r.Problem == "" && !r.Expires.IsZero() && now.After(r.Expires) {
		return "client certificate: expired on " + r.Expires.UTC().Format(time.DateOnly) + "; renew it"
	}
	return r.Problem
}

// SecretState is one secret that the configuration refers to.
type SecretState struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Modified time.Time `json:"modified"` // when its file was, or it was fetched; else the start of the process
	Problem  string    `json:"problem,omitempty"`
}

// Explanation says what happens to a request and why, rule by rule.
type Explanation struct {
	Target   string         `json:"target"`
	Address  string         `json:"address,omitempty"`  // to connect to, where it is not the target's own
	Upstream string         `json:"upstream,omitempty"` // the proxy on the way there
	Verdict  string         `json:"verdict"`
	Reason   string         `json:"reason"`
	Rules    []RuleAnswer   `json:"rules,omitempty"`
	Sets     []string       `json:"sets,omitempty"`    // names of headers
	Leaves   []string       `json:"leaves,omitempty"`  // names of those that the rule does not set in this request
	Removes  []string       `json:"removes,omitempty"` // names of headers
	Secrets  []SecretOrigin `json:"secrets,omitempty"`
	Result   string         `json:"result"`
	// Reloaded is whether the policy is another one than when the request was made.
	Reloaded bool `json:"reloaded,omitempty"`
}

// RuleAnswer is whether a rule acts, and why or why not.
type RuleAnswer struct {
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// SecretOrigin is where a secret comes from, in words.
type SecretOrigin struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}
