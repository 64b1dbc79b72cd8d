package rules

import (
	"errors"
	"fmt"
)

// Config is the policy as written: the proxy_config of the LangSmith API, key
// for key, and the few keys that keybearer adds. internal/config decodes it;
// [Compile] gives it meaning.
type Config struct {
	Rules         []RuleConfig         `yaml:"rules" doc:"Which requests get which headers; the first enabled rule that matches acts, alone."`
	NoProxy       []string             `yaml:"no_proxy" doc:"Hosts that are tunnelled untouched, whatever the rules say: names, .suffixes, patterns, IPs, CIDRs, each with an optional :port."`
	AccessControl *AccessControlConfig `yaml:"access_control" doc:"Which hosts may be reached at all; exactly one of the two lists."`
	Callbacks     []CallbackConfig     `yaml:"callbacks" doc:"LangSmith: servers that answer with the headers to inject, for requests that no rule acts on."`
	ClientAuth    *BasicAuthConfig     `yaml:"client_auth" doc:"The Basic proxy credentials that every client must send; both parts may hold ${NAME}."`

	Clients map[string]ClientConfig `yaml:"clients" doc:"Who may use the proxy, by name, each with its own rules; instead of client_auth. A client sends its name and token as Basic proxy credentials."`
}

// RuleConfig is one entry of rules.
type RuleConfig struct {
	Name            string            `yaml:"name" doc:"Required; unique; used in logs."`
	Description     string            `yaml:"description" doc:"For people."`
	Enabled         *bool             `yaml:"enabled" doc:"Default true."`
	Type            string            `yaml:"type" doc:"LangSmith: gcp, for a rule that gives requests to *.googleapis.com access tokens of a service account; aws, for one that has aws. Left out for a rule that injects headers; LangSmith's others are not implemented." enum:"gcp,aws"`
	GCP             *GCPConfig        `yaml:"gcp" doc:"Whose access tokens, with type: gcp."`
	MatchHosts      []string          `yaml:"match_hosts" doc:"At least one, unless the rule has aws: api.openai.com, *.github.com, s3.*.amazonaws.com; optional :port or :*, default 443."`
	MatchPaths      []string          `yaml:"match_paths" doc:"Globs on the path without the query; empty = every path. A trailing /* spans segments."`
	MatchMethods    []string          `yaml:"match_methods" doc:"Empty = every method."`
	MatchHeaders    []string          `yaml:"match_headers" doc:"\"name: value\", exact; all must hold."`
	InjectHeaders   map[string]string `yaml:"inject_headers" doc:"Header name to value; ${NAME} is replaced by the secret NAME, $$ is a literal $."`
	Headers         []HeaderConfig    `yaml:"headers" doc:"LangSmith's present form of inject_headers."`
	BasicAuth       *BasicAuthConfig  `yaml:"basic_auth" doc:"Sets Authorization: Basic."`
	InjectQuery     map[string]string `yaml:"inject_query" doc:"Query parameter to value, as in inject_headers; percent-encoded, in place of the client's own."`
	Placeholder     map[string]string `yaml:"placeholder" doc:"Secret name to a text that stands for it: where the client sends that text in a header, a query parameter or Basic credentials, the secret takes its place. run and env hand it out under the secret's name."`
	AWS             *AWSConfig        `yaml:"aws" doc:"Signs requests for AWS (Signature Version 4) in place of the client's own signature. Without match_hosts the rule is for *.amazonaws.com. run and env hand out keys to sign with."`
	When            string            `yaml:"when" doc:"Whether headers and query parameters are set: always (the default), if_absent keeps the client's own, if_present only replaces it." enum:"always,if_absent,if_present"`
	RemoveHeaders   []string          `yaml:"remove_headers" doc:"Header names taken out of the request."`
	EnvVars         map[string]string `yaml:"env_vars" doc:"Dummy variables for tools that refuse to start without one; handed out by run and env."`
	ScrubResponses  string            `yaml:"scrub_responses" doc:"Which response bodies injected values are masked in." enum:"text,all,off"`
	AllowPlaintext  bool              `yaml:"allow_plaintext" doc:"Inject into plain http:// requests too; exact hosts only."`
	AllowBroadHosts bool              `yaml:"allow_broad_hosts" doc:"Permit a host pattern that spans a public suffix."`

	ClientCertificate *CertificateConfig `yaml:"client_certificate" doc:"The certificate to show to upstreams that ask for one (mutual TLS)."`
}

// AWSConfig is the value of aws.
type AWSConfig struct {
	AccessKeyID     *SecretConfig `yaml:"access_key_id" doc:"Required: the access key ID, ${NAME}."`
	SecretAccessKey *SecretConfig `yaml:"secret_access_key" doc:"Required: the secret access key, ${NAME}; it is signed with and never sent."`
	SessionToken    *SecretConfig `yaml:"session_token" doc:"The session token that belongs to temporary keys, ${NAME}."`
	Region          string        `yaml:"region" doc:"The region to sign for, as in eu-central-1; default: the one that the client has signed for."`
	Service         string        `yaml:"service" doc:"The service to sign for, as in s3; default: the one that the client has signed for."`
}

// HeaderConfig is one entry of headers.
type HeaderConfig struct {
	Name  string `yaml:"name" doc:"Header name."`
	Type  string `yaml:"type" doc:"workspace_secret: {NAME} is a reference; plaintext: a literal; opaque: a literal treated as a secret." enum:"workspace_secret,plaintext,opaque"`
	Value string `yaml:"value" doc:"The value."`
}

// CallbackConfig is one entry of callbacks.
type CallbackConfig struct {
	MatchHosts     []string       `yaml:"match_hosts" doc:"Required, at least one; as in rules."`
	URL            string         `yaml:"url" doc:"Required: the server, https://, or http:// on loopback. It gets a POST with {host, port} and answers {headers: {NAME: VALUE}}."`
	RequestHeaders []HeaderConfig `yaml:"request_headers" doc:"Headers of the POST."`
	TTLSeconds     int64          `yaml:"ttl_seconds" doc:"Required: how long an answer may be used for its host, in seconds. With full_request an answer is for one request, whatever this says."`
	FullRequest    bool           `yaml:"full_request" doc:"Whether the server is asked for each request, and shown it: method, URL, headers and up to 1 MiB of the body."`
}

// AnswerName is the name of the secret that a callback's answers are looked up under,
// by its place in callbacks. It is a JSON object of header names and values.
func AnswerName(callback int) string { return fmt.Sprintf("callbacks.%d", callback) }

// GCPConfig is the value of gcp.
type GCPConfig struct {
	ServiceAccountJSON *SecretConfig `yaml:"service_account_json" doc:"Required: the key of the service account."`
	Scopes             []string      `yaml:"scopes" doc:"OAuth scopes. Default: https://www.googleapis.com/auth/cloud-platform."`
}

// Template is the value, with its references.
func (c HeaderConfig) Template() (Template, error) {
	return SecretConfig{c.Type, c.Value}.Template()
}

// SecretConfig is a secret as LangSmith writes it in rules that are not for headers. A
// text in its place, which holds ${NAME}, is a Value without a Type.
type SecretConfig struct {
	Type  string `yaml:"type" doc:"workspace_secret: {NAME} is a reference; opaque: a literal treated as a secret." enum:"workspace_secret,opaque"`
	Value string `yaml:"value" doc:"Required: the value."`
}

// Template is the value, with its references.
func (c SecretConfig) Template() (Template, error) {
	if c.Type == "" {
		t, err := parseTemplate(c.Value)
		return Template{t}, err
	}
	if c.Type != "workspace_secret" {
		return Template{template{}.literal(c.Value)}, nil
	}
	t, err := parseBraces(c.Value)
	if err == nil && len(t.references()) == 0 {
		err = errNoReference
	}
	return Template{t}, err
}

// BasicAuthConfig is the value of basic_auth and of client_auth; both parts may
// hold references.
type BasicAuthConfig struct {
	Username string `yaml:"username" doc:"May hold ${NAME}."`
	Password string `yaml:"password" doc:"May hold ${NAME}."`
}

// CertificateConfig is the value of client_certificate.
type CertificateConfig struct {
	Cert string `yaml:"cert" doc:"Required: the PEM file of the certificate and the chain behind it; relative to the configuration file."`
	Key  string `yaml:"key" doc:"Required: the PEM file of its private key, which is a secret; relative to the configuration file."`
}

// ClientConfig is one entry of clients.
type ClientConfig struct {
	Token string   `yaml:"token" doc:"Required: the password that the client sends with its name; may hold ${NAME}."`
	Rules []string `yaml:"rules" doc:"Required: names of the rules that the client has, and no others; in the order of the file they act. [] is none."`
}

// AccessControlConfig is the value of access_control.
type AccessControlConfig struct {
	AllowList []string `yaml:"allow_list" doc:"Only these hosts: patterns, CIDRs, ~regex, each with an optional :port."`
	DenyList  []string `yaml:"deny_list" doc:"All but these hosts."`
}

var errNoReference = errors.New("type workspace_secret without a {NAME}; for a literal use opaque")

// A Problem is something wrong, or doubtful, in a Config.
type Problem struct {
	Path    string // where: "rules[1].match_hosts[0]"
	Message string // what, in words, with the next step
	Warning bool   // doubtful only: the policy still compiles
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s", p.Path, p.Message) }
