package cli

import (
	"fmt"
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
// --resolve gives it; then it is not "". Head is what the client sends, "" if no more of
// it is known than r: then it stays open whether conditions on the rest hold.
func (x explainer) explain(r rules.Request, address, head string) telemetry.Explanation {
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
	e.Result = unmatched(d.Verdict, r.Plaintext)
	var match rules.Match
	if d.Verdict == rules.Intercept {
		match = x.ask(&e, r)
	}
	if seen := d.Verdict == rules.Intercept || d.Verdict == rules.Tunnel && r.Plaintext; seen && head != "" {
		x.foretell(&e, r, head, match)
	}
	return e
}

// ask asks the rules.
func (x explainer) ask(e *telemetry.Explanation, r rules.Request) rules.Match {
	match, steps := x.set.Explain(r)
	for _, s := range steps {
		e.Rules = append(e.Rules, telemetry.RuleAnswer{Rule: s.Rule, Matched: s.Matched, Why: s.Why})
	}
	x.result(e, match)
	return match
}

// foretell puts into e what the proxy would do with the whole of a request.
func (x explainer) foretell(e *telemetry.Explanation, r rules.Request, head string, match rules.Match) {
	policy, _ := proxy.NewPolicy(x.config.Set, x.store.Still()) // what other rules lack is nothing here
	record, gone := policy.DryRun(x.set, r.Target, r.Plaintext, head)
	switch {
	case record.Error != "":
		e.Result = refused(record.Status, record.Reason)
		return
	case match.Outcome != rules.Matched:
		return
	}
	e.Sets, e.Leaves = nil, nil
	for _, i := range insertions(match.Rule) {
		if i.isAmong(record.Injected) {
			e.Sets = append(e.Sets, i.words)
		} else {
			e.Leaves = append(e.Leaves, i.words)
		}
	}
	e.Removes = slices.Clone(e.Removes)
	for _, name := range gone {
		if !slices.ContainsFunc(e.Removes, func(other string) bool { return strings.EqualFold(name, other) }) {
			e.Removes = append(e.Removes, name)
		}
	}
	if record.Reason != "" {
		e.Result = "forwarded without the headers of rule " + match.Rule.Name + ": " + record.Reason
	}
}

func refused(status int, why string) string {
	return fmt.Sprintf("%d: %s, and nothing is sent upstream", status, why)
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
		e.Result = refused(502, "a secret of the rule is not available")
	}
}

// clientCertificate is what records call it.
const clientCertificate = "client certificate"

// insertion is one thing that a rule puts into a request.
type insertion struct {
	name  string // in records; "" if it is not known before
	words string
}

// isAmong reports whether it is, by what was injected. A rule that does not know the
// name puts in nothing else.
func (i insertion) isAmong(injected []string) bool {
	return slices.Contains(injected, i.name) || i.name == "" && len(injected) > 0
}

func insertions(rule *rules.Rule) (all []insertion) {
	for _, i := range rule.Injections {
		switch {
		case i.Name == "":
			all = append(all, insertion{"", "what " + rule.Description + " answers with"})
		case i.In == rules.InPlaceholder:
			all = append(all, insertion{i.String(), i.Name + " in place of " + i.Placeholder})
		default:
			all = append(all, insertion{i.String(), strings.TrimSpace(i.String() + " " + condition(i))})
		}
	}
	if rule.ClientCertificate() != nil {
		all = append(all, insertion{clientCertificate, clientCertificate})
	}
	if rule.Signing != nil {
		all = append(all, insertion{rule.Signing.String(), rule.Signing.String()})
	}
	return all
}

// injects lists the names of what a rule puts into a request.
func injects(rule *rules.Rule) (names []string) {
	for _, i := range insertions(rule) {
		names = append(names, i.words)
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
	return x.explain(request, "", "")
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
