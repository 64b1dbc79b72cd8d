package cli

import (
	"slices"
	"strings"

	"keybearer/internal/config"
	"keybearer/internal/telemetry"
	"keybearer/proxy"
	"keybearer/rules"
	"keybearer/secrets"
)

// explainer says what happens to a request and why, for the command explain and for
// the admin page. It asks the functions that the proxy asks.
type explainer struct {
	config *config.Config
	set    *rules.Set // of the client that asks
	store  *secrets.Store
	via    *proxy.UpstreamProxy // nil if there is none
}

// explain explains r. The address of a name is known only when it is dialled, unless
// --resolve gives it; then it is not "".
func (x explainer) explain(r rules.Request, address string) telemetry.Explanation {
	decide := x.set.Decide
	if r.Plaintext {
		decide = x.set.DecidePlaintext
	}
	d := decide(r.Target)
	e := telemetry.Explanation{Target: r.Target.String(), Address: address, Verdict: d.Verdict.String(), Reason: d.Reason}
	ip := r.Target.Addr()
	switch {
	case d.Verdict != rules.Deny && ip.IsValid() && address == "" && !proxy.MayDial(ip, d.Named, x.config.Settings.AllowPrivate):
		e.Result = "403 destination_ip_prohibited, and nothing is sent upstream: the address has a special purpose; see allow_private"
		return e
	case d.Verdict != rules.Deny && address == "" && x.via.Serves(r.Target):
		e.Upstream = x.config.Settings.UpstreamProxy.String()
	}
	if d.Verdict != rules.Intercept {
		e.Result = unmatched(d.Verdict, r.Plaintext)
		return e
	}
	match, steps := x.set.Explain(r)
	for _, s := range steps {
		e.Rules = append(e.Rules, telemetry.RuleAnswer{Rule: s.Rule, Matched: s.Matched, Why: s.Why})
	}
	x.result(&e, match)
	return e
}

func unmatched(v rules.Verdict, plaintext bool) string {
	switch {
	case v == rules.Deny:
		return "403, and nothing is sent upstream"
	case plaintext:
		return "forwarded as it is, nothing injected"
	}
	return "tunnelled: relayed byte for byte, never decrypted"
}

func (x explainer) result(e *telemetry.Explanation, match rules.Match) {
	switch match.Outcome {
	case rules.AmbiguousPath:
		e.Result = "403 ambiguous_path, and nothing is sent upstream"
	case rules.PlaintextNotInjected:
		e.Result = "forwarded without credentials: plaintext_not_injected"
	case rules.NoRule:
		e.Result = "forwarded as it is, nothing injected"
	case rules.Matched:
		x.matched(e, match.Rule)
	}
}

func (x explainer) matched(e *telemetry.Explanation, rule *rules.Rule) {
	e.Sets, e.Removes = injects(rule), rule.Remove
	usable := true
	for _, name := range rule.References() {
		e.Secrets = append(e.Secrets, telemetry.SecretOrigin{Name: name, Source: origin(x.store, name)})
		usable = usable && x.store.Check(name) == nil
	}
	if files, ok := certificateFiles(rule); ok {
		e.Secrets = append(e.Secrets, telemetry.SecretOrigin{Name: clientCertificate, Source: certificateOrigin(files)})
		_, err := files.Load()
		usable = usable && err == nil
	}
	e.Result = "forwarded with the headers of rule " + rule.Name
	if !usable {
		e.Result = "502: a secret is missing, and nothing is sent upstream"
	}
}

// clientCertificate is what records call it.
const clientCertificate = "client certificate"

// injects lists the names of what a rule puts into a request.
func injects(rule *rules.Rule) (names []string) {
	for _, i := range rule.Injections {
		switch {
		case i.Name == "":
			names = append(names, "what "+rule.Description+" answers with")
		case i.In == rules.InPlaceholder:
			names = append(names, i.Name+" in place of "+i.Placeholder)
		default:
			names = append(names, strings.TrimSpace(i.String()+" "+condition(i)))
		}
	}
	if rule.ClientCertificate() != nil {
		names = append(names, clientCertificate)
	}
	if rule.Signing != nil {
		names = append(names, rule.Signing.String())
	}
	return names
}

// explainRecord explains a request of the past with the policy of now. Its header
// fields are not known any more; that the rule which acted has found those that it
// asks for is.
func (x explainer) explainRecord(r proxy.Record) telemetry.Explanation {
	target, err := rules.ParseTarget(r.Target, 0)
	if err != nil {
		return telemetry.Explanation{Target: r.Target, Verdict: r.Verdict.String(), Reason: r.Reason, Result: "refused before any rule was asked"}
	}
	if _, several := x.config.Set.Clients(); several {
		client, ok := x.config.Set.Client(r.Account)
		if !ok {
			return telemetry.Explanation{Target: r.Target, Verdict: rules.Deny.String(), Reason: "there is no such client",
				Result: "refused before any rule was asked"}
		}
		x.set = client.Set
	}
	request := rules.Request{Target: target, Method: r.Method, Path: r.Path, Header: fieldsOf(x.set, r.Rule)}
	if r.Method == "CONNECT" {
		return x.connection(request)
	}
	request.Plaintext = r.TLS == 0
	return x.explain(request, "")
}

// connection explains a connection, in which no request was seen.
func (x explainer) connection(r rules.Request) telemetry.Explanation {
	d := x.set.Decide(r.Target)
	e := telemetry.Explanation{Target: r.Target.String(), Verdict: d.Verdict.String(), Reason: d.Reason, Result: unmatched(d.Verdict, false)}
	if d.Verdict == rules.Intercept {
		e.Result = "intercepted: the rules are asked for each request in it"
	}
	return e
}

// fieldsOf are the header fields that a request to which a rule applied must have had.
func fieldsOf(set *rules.Set, name string) fields {
	i := slices.IndexFunc(set.Rules(), func(r *rules.Rule) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	var list fields
	for _, field := range set.Rules()[i].Headers() {
		name, value, _ := strings.Cut(field, ":")
		list = append(list, struct{ name, value string }{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return list
}
