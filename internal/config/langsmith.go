package config

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"keybearer/internal/tokens"
	"keybearer/rules"
	"keybearer/secrets"
)

// googleAPIs is the host matcher that LangSmith's gcp rules have built in.
const googleAPIs = "*.googleapis.com"

// gcpRules makes of LangSmith's gcp rules what they are short for: a rule that sets
// Authorization for the hosts of Google's APIs, and a secret, fetched for a service
// account, in named.
func (r *report) gcpRules(list []rules.RuleConfig, policyPath string, named map[string]secrets.Source) {
	for i := range list {
		rule, path := &list[i], fmt.Sprintf("%srules[%d]", policyPath, i)
		if rule.Type != "gcp" {
			if rule.GCP != nil {
				r.errorf(path+".gcp", "is for type: gcp; add that")
			}
			continue
		}
		if !r.suspect(path) {
			r.gcpRule(rule, path, fmt.Sprintf("gcp.rules.%d", i), named)
		}
		rule.MatchHosts, rule.AllowBroadHosts = []string{googleAPIs}, true // they are all Google's
	}
}

func (r *report) gcpRule(rule *rules.RuleConfig, path, secret string, named map[string]secrets.Source) {
	account := rule.GCP
	switch {
	case account == nil || account.ServiceAccountJSON == nil:
		r.errorf(path+".gcp", "needs service_account_json: {type: workspace_secret, value: \"{NAME}\"}")
		return
	case len(rule.MatchHosts) > 0:
		r.errorf(path+".match_hosts", "a gcp rule is for %s; take match_hosts out, or write a rule with inject_headers and a secret with gcp", googleAPIs)
		return
	case len(rule.InjectHeaders)+len(rule.Headers) > 0 || rule.BasicAuth != nil:
		r.errorf(path, "a gcp rule sets Authorization and nothing else; use another rule for other headers")
		return
	}
	if _, taken := named[secret]; taken {
		r.errorf(join("secrets", secret), "is the name that keybearer gives the tokens of a gcp rule; choose another")
	}
	credentials, err := account.ServiceAccountJSON.Template()
	if err != nil {
		r.errorf(path+".gcp.service_account_json.value", "%v", err)
	}
	if len(credentials.References()) == 0 {
		r.literals = append(r.literals, path+".gcp.service_account_json")
	}
	named[secret] = secrets.Source{Fetch: tokens.GCP{Credentials: credentials, Scopes: account.Scopes}}
	rule.InjectHeaders = map[string]string{"Authorization": "Bearer ${" + secret + "}"}
}

// maxAnswerTTL is the longest ttl_seconds; LangSmith takes an hour.
const maxAnswerTTL = 24 * time.Hour

// callbacks puts the sources of LangSmith's callbacks into named.
func (r *report) callbacks(list []rules.CallbackConfig, policyPath string, named map[string]secrets.Source) {
	for i, written := range list {
		path, name := fmt.Sprintf("%scallbacks[%d]", policyPath, i), rules.AnswerName(i)
		if _, taken := named[name]; taken {
			r.errorf(join("secrets", name), "is the name that keybearer gives the answers of a callback; choose another")
		}
		headers := map[string]secrets.Text{}
		named[name] = secrets.Source{Fetch: callback(written, headers)}
		if r.suspect(path) {
			continue
		}
		r.url(path+".url", written.URL)
		if written.TTLSeconds < 1 || written.TTLSeconds > int64(maxAnswerTTL/time.Second) {
			r.errorf(path+".ttl_seconds", "must be a number of seconds from 1 to %d", int64(maxAnswerTTL/time.Second))
		}
		for n, header := range written.RequestHeaders {
			headers[header.Name] = r.requestHeader(fmt.Sprintf("%s.request_headers[%d]", path, n), header)
		}
	}
}

func callback(c rules.CallbackConfig, headers map[string]secrets.Text) secrets.Fetcher {
	if c.FullRequest {
		return secrets.RequestCallback{URL: c.URL, Headers: headers}
	}
	return secrets.Callback{URL: c.URL, Headers: headers, TTL: time.Duration(c.TTLSeconds) * time.Second}
}

func (r *report) requestHeader(path string, h rules.HeaderConfig) secrets.Text {
	switch {
	case !httpguts.ValidHeaderFieldName(h.Name) || strings.EqualFold(h.Name, "Host") || strings.EqualFold(h.Name, "Content-Type"):
		r.errorf(path+".name", "is not the name of a header that can be set")
	case h.Type == "":
		r.errorf(path+".type", "is missing; it is workspace_secret, plaintext or opaque")
	case h.Value == "" || !httpguts.ValidHeaderFieldValue(h.Value):
		r.errorf(path+".value", "is not a value that a header can have")
	}
	if h.Type == "opaque" {
		r.literals = append(r.literals, path)
	}
	t, err := h.Template()
	if err != nil {
		r.errorf(path+".value", "%v", err)
	}
	return t
}
