package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"keybearer/rules"
	"keybearer/secrets"
)

// source is one entry of secrets.
type source struct {
	Env       string           `yaml:"env" doc:"The environment variable that holds it."`
	File      string           `yaml:"file" doc:"The file that holds it; relative to the configuration file."`
	Exec      []string         `yaml:"exec" doc:"The command that prints it, and its arguments; no shell is involved. A path with a slash is relative to the configuration file."`
	HTTP      *httpSource      `yaml:"http" doc:"The server, such as a vault, that answers with it."`
	OAuth2    *oauth2Source    `yaml:"oauth2" doc:"The OAuth 2.0 token endpoint that hands it out."`
	GCP       *gcpSource       `yaml:"gcp" doc:"The Google service account of which it is an access token."`
	GitHubApp *githubAppSource `yaml:"github_app" doc:"The GitHub App of which it is an installation token."`
	TTL       string           `yaml:"ttl" doc:"How long what exec prints may be used, as in 10m; without it until an upstream answers 401."`
	Timeout   string           `yaml:"timeout" doc:"How long it may take to get it, as in 10s, which is the default."`
}

type httpSource struct {
	URL      string            `yaml:"url" doc:"Required: https://, or http:// on loopback. It is asked with GET."`
	Headers  map[string]string `yaml:"headers" doc:"Headers of the request; values may hold ${NAME}."`
	JSONPath string            `yaml:"json_path" doc:"Where in a JSON answer the secret is, as in data.token; without it the answer is the secret."`
	TTL      string            `yaml:"ttl" doc:"How long the answer may be used, as in 5m; without it until an upstream answers 401."`
}

type oauth2Source struct {
	TokenURL     string   `yaml:"token_url" doc:"Required: the token endpoint, https://, or http:// on loopback."`
	ClientID     string   `yaml:"client_id" doc:"Required; may hold ${NAME}."`
	ClientSecret string   `yaml:"client_secret" doc:"May hold ${NAME}."`
	RefreshToken string   `yaml:"refresh_token" doc:"Uses the refresh token grant instead of client credentials; may hold ${NAME}."`
	Scopes       []string `yaml:"scopes" doc:"Scopes to ask for, with client credentials."`
	Audience     string   `yaml:"audience" doc:"The audience to ask for, with client credentials."`
	AuthMethod   string   `yaml:"auth_method" doc:"How the client shows itself: basic (client_secret_basic) or post (client_secret_post). Default: the first, and if that is refused the second." enum:"basic,post"`
}

type gcpSource struct {
	Credentials string   `yaml:"credentials" doc:"Required: ${NAME} of the service account's JSON document."`
	Scopes      []string `yaml:"scopes" doc:"OAuth scopes. Default: https://www.googleapis.com/auth/cloud-platform."`
}

type githubAppSource struct {
	AppID          int64             `yaml:"app_id" doc:"Required: the number of the app."`
	InstallationID int64             `yaml:"installation_id" doc:"Required: the number of the installation."`
	PrivateKey     string            `yaml:"private_key" doc:"Required: ${NAME} of the app's private key in PEM form."`
	Repositories   []string          `yaml:"repositories" doc:"Names of repositories, without their owner, that the token is for. Default: all of the installation."`
	Permissions    map[string]string `yaml:"permissions" doc:"Permissions of the token, as in contents: read. Default: all of the app."`
	APIURL         string            `yaml:"api_url" doc:"Default https://api.github.com; https://HOST/api/v3 for GitHub Enterprise Server."`
}

// secretName is what a reference can name.
var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// sources checks the entries of secrets:.
func (r *report) sources(entries map[string]source, base string) map[string]secrets.Source {
	sources := make(map[string]secrets.Source, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		path := join("secrets", name)
		switch {
		case r.suspect(path):
		case !secretName.MatchString(name):
			r.errorf(path, "no reference can name this; use letters, digits, _ . and -, not beginning with a digit")
		default:
			sources[name] = r.source(path, entries[name], base)
		}
	}
	r.circles(sources)
	return sources
}

// source checks one entry.
func (r *report) source(path string, s source, base string) secrets.Source {
	out := secrets.Source{Env: s.Env, File: relativeTo(base, s.File)}
	if kinds := s.kinds(); len(kinds) != 1 {
		r.errorf(path, "needs exactly one of env, file, exec, http, oauth2, gcp and github_app")
		return out
	}
	switch {
	case s.Env != "":
		if strings.ContainsAny(s.Env, "= \x00") {
			r.errorf(path+".env", "must be the name of an environment variable, not a value")
		}
	case s.File != "":
		if err := checkPath(out.File); err != nil {
			r.errorf(path+".file", "%v", err)
		}
	default:
		out.Fetch = r.fetcher(path, s, base)
		out.Timeout = r.duration(path+".timeout", s.Timeout, maxTimeout)
	}
	if s.Timeout != "" && out.Fetch == nil {
		r.errorf(path+".timeout", "is for what is fetched; remove it")
	}
	if s.TTL != "" && s.Exec == nil {
		r.errorf(path+".ttl", "is for exec; http has its own, and tokens say how long they may be used")
	}
	return out
}

// certificates resolves the paths of client_certificate.
func (r *report) certificates(all []rules.RuleConfig, base, policyPath string) {
	for n := range all {
		w := all[n].ClientCertificate
		if w == nil {
			continue
		}
		at := fmt.Sprintf("%srules[%d].client_certificate.", policyPath, n)
		for key, path := range map[string]*string{"cert": &w.Cert, "key": &w.Key} {
			*path = relativeTo(base, *path)
			if err := checkPath(*path); err != nil {
				r.errorf(at+key, "%v", err)
			}
		}
	}
}

// kinds are the places that an entry names.
func (s source) kinds() (kinds []string) {
	for name, is := range map[string]bool{
		"env": s.Env != "", "file": s.File != "", "exec": s.Exec != nil, "http": s.HTTP != nil,
		"oauth2": s.OAuth2 != nil, "gcp": s.GCP != nil, "github_app": s.GitHubApp != nil,
	} {
		if is {
			kinds = append(kinds, name)
		}
	}
	return kinds
}

// circles refuses secrets that need themselves.
func (r *report) circles(sources map[string]secrets.Source) {
	all := secrets.Sources{Named: sources}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if path := join("secrets", name); all.InCircle(name) && !r.suspect(path) {
			r.errorf(path, "needs itself to be fetched; take ${%s} out of what it refers to", name)
		}
	}
}

const (
	minDuration = 100 * time.Millisecond
	maxTimeout  = 5 * time.Minute // a reload waits for it
	maxTTL      = 30 * 24 * time.Hour
)

// duration reads a time like 10m; "" is 0.
func (r *report) duration(path, text string, most time.Duration) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.errorf(path, "must be a time like 30s, 10m or 1h")
	case d < minDuration || d > most:
		r.errorf(path, "must be between %s and %s", minDuration, most)
	}
	return d
}
