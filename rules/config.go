package rules

import "fmt"

// Config is the policy as written: the proxy_config of the LangSmith API, key
// for key, and the few keys that keybearer adds. internal/config decodes it;
// [Compile] gives it meaning.
type Config struct {
	Rules         []RuleConfig         `yaml:"rules" doc:"Which requests get which headers; the first enabled rule that matches acts, alone."`
	NoProxy       []string             `yaml:"no_proxy" doc:"Hosts that are tunnelled untouched, whatever the rules say: names, .suffixes, patterns, IPs, CIDRs, each with an optional :port."`
	AccessControl *AccessControlConfig `yaml:"access_control" doc:"Which hosts may be reached at all; exactly one of the two lists."`
	ClientAuth    *BasicAuthConfig     `yaml:"client_auth" doc:"The Basic proxy credentials that every client must send; both parts may hold ${NAME}."`
}

// RuleConfig is one entry of rules.
type RuleConfig struct {
	Name            string            `yaml:"name" doc:"Required; unique; used in logs."`
	Description     string            `yaml:"description" doc:"For people."`
	Enabled         *bool             `yaml:"enabled" doc:"Default true."`
	MatchHosts      []string          `yaml:"match_hosts" doc:"At least one, unless the rule has aws: api.openai.com, *.github.com, s3.*.amazonaws.com; optional :port or :*, default 443."`
	MatchPaths      []string          `yaml:"match_paths" doc:"Globs on the path without the query; empty = every path. A trailing /* spans segments."`
	MatchMethods    []string          `yaml:"match_methods" doc:"Empty = every method."`
	MatchHeaders    []string          `yaml:"match_headers" doc:"\"name: value\", exact; all must hold."`
	InjectHeaders   map[string]string `yaml:"inject_headers" doc:"Header name to value; ${NAME} is replaced by the secret NAME, $$ is a literal $."`
	Headers         []HeaderConfig    `yaml:"headers" doc:"LangSmith's present form of inject_headers."`
	BasicAuth       *BasicAuthConfig  `yaml:"basic_auth" doc:"Sets Authorization: Basic."`
	InjectQuery     map[string]string `yaml:"inject_query" doc:"Query parameter to value, as in inject_headers; percent-encoded, in place of the client's own."`
	Placeholder     map[string]string `yaml:"placeholder" doc:"Secret name to a text that stands for it: where the client sends that text in a header, a query parameter or Basic credentials, the secret takes its place. run and env hand it out under the secret's name."`
	Type            string            `yaml:"type" doc:"LangSmith's word for what the rule has: aws if it has aws." enum:"aws"`
	AWS             *AWSConfig        `yaml:"aws" doc:"Signs requests for AWS (Signature Version 4) in place of the client's own signature. Without match_hosts the rule is for *.amazonaws.com. run and env hand out keys to sign with."`
	When            string            `yaml:"when" doc:"Whether headers and query parameters are set: always (the default), if_absent keeps the client's own, if_present only replaces it." enum:"always,if_absent,if_present"`
	RemoveHeaders   []string          `yaml:"remove_headers" doc:"Header names taken out of the request."`
	EnvVars         map[string]string `yaml:"env_vars" doc:"Dummy variables for tools that refuse to start without one; handed out by run and env."`
	ScrubResponses  string            `yaml:"scrub_responses" doc:"Which response bodies injected values are masked in." enum:"text,all,off"`
	AllowPlaintext  bool              `yaml:"allow_plaintext" doc:"Inject into plain http:// requests too; exact hosts only."`
	AllowBroadHosts bool              `yaml:"allow_broad_hosts" doc:"Permit a host pattern that spans a public suffix."`
}

// AWSConfig is the value of aws.
type AWSConfig struct {
	AccessKeyID     *CredentialConfig `yaml:"access_key_id" doc:"Required: the access key ID, ${NAME}."`
	SecretAccessKey *CredentialConfig `yaml:"secret_access_key" doc:"Required: the secret access key, ${NAME}; it is signed with and never sent."`
	SessionToken    *CredentialConfig `yaml:"session_token" doc:"The session token that belongs to temporary keys, ${NAME}."`
	Region          string            `yaml:"region" doc:"The region to sign for, as in eu-central-1; default: the one that the client has signed for."`
	Service         string            `yaml:"service" doc:"The service to sign for, as in s3; default: the one that the client has signed for."`
}

// CredentialConfig is a secret as LangSmith writes it in rules that are not for
// headers. A text in its place, which holds references, is a Value without a Type.
type CredentialConfig struct {
	Type  string `yaml:"type" doc:"workspace_secret: {NAME} is a reference; opaque: a literal treated as a secret." enum:"workspace_secret,opaque"`
	Value string `yaml:"value" doc:"The value."`
}

// HeaderConfig is one entry of headers.
type HeaderConfig struct {
	Name  string `yaml:"name" doc:"Header name."`
	Type  string `yaml:"type" doc:"workspace_secret: {NAME} is a reference; plaintext: a literal; opaque: a literal treated as a secret." enum:"workspace_secret,plaintext,opaque"`
	Value string `yaml:"value" doc:"The value."`
}

// BasicAuthConfig is the value of basic_auth and of client_auth; both parts may
// hold references.
type BasicAuthConfig struct {
	Username string `yaml:"username" doc:"May hold ${NAME}."`
	Password string `yaml:"password" doc:"May hold ${NAME}."`
}

// AccessControlConfig is the value of access_control.
type AccessControlConfig struct {
	AllowList []string `yaml:"allow_list" doc:"Only these hosts: patterns, CIDRs, ~regex, each with an optional :port."`
	DenyList  []string `yaml:"deny_list" doc:"All but these hosts."`
}

// A Problem is something wrong, or doubtful, in a Config.
type Problem struct {
	Path    string // where: "rules[1].match_hosts[0]"
	Message string // what, in words, with the next step
	Warning bool   // doubtful only: the policy still compiles
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s", p.Path, p.Message) }
