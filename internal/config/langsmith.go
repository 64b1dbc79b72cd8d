package config

import (
	"fmt"

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
		if rule.Type == "" {
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
	named[secret] = secrets.Source{Fetch: tokens.GCP{Credentials: credentials, Scopes: account.Scopes}}
	rule.InjectHeaders = map[string]string{"Authorization": "Bearer ${" + secret + "}"}
}
