package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpguts"

	"keybearer/internal/tokens"
	"keybearer/rules"
	"keybearer/secrets"
)

// fetcher checks what an entry of secrets is fetched from.
func (r *report) fetcher(path string, s source, base string) secrets.Fetcher {
	switch {
	case s.Exec != nil:
		return r.exec(path, s, base)
	case s.HTTP != nil:
		return r.http(path+".http", s.HTTP)
	case s.OAuth2 != nil:
		return r.oauth2(path+".oauth2", s.OAuth2)
	case s.GCP != nil:
		return tokens.GCP{Credentials: r.secret(path+".gcp.credentials", s.GCP.Credentials, true), Scopes: s.GCP.Scopes}
	}
	return r.githubApp(path+".github_app", s.GitHubApp)
}

func (r *report) exec(path string, s source, base string) secrets.Exec {
	command := s.Exec
	if len(command) == 0 || command[0] == "" {
		r.errorf(path+".exec", "names no command; write it as [COMMAND, ARGUMENT]")
		return secrets.Exec{}
	}
	for _, word := range command {
		if strings.Contains(word, "\x00") {
			r.errorf(path+".exec", "holds a NUL byte, which no argument can have")
		}
		if t, err := rules.ParseTemplate(word); err != nil || len(t.References()) > 0 {
			r.errorf(path+".exec", "has a reference in it, which is not expanded: everybody can read the arguments of a command; it gets the environment of keybearer")
		}
	}
	if filepath.Base(command[0]) != command[0] {
		program := relativeTo(base, command[0])
		if filepath.Base(program) == program {
			program = "." + string(filepath.Separator) + program // or it would be looked for in PATH
		}
		command = append([]string{program}, command[1:]...)
	}
	return secrets.Exec{Command: command, TTL: r.duration(path+".ttl", s.TTL, maxTTL)}
}

func (r *report) http(path string, s *httpSource) secrets.HTTP {
	r.url(path+".url", s.URL)
	h := secrets.HTTP{URL: s.URL, JSONPath: s.JSONPath, TTL: r.duration(path+".ttl", s.TTL, maxTTL), Headers: map[string]secrets.Text{}}
	for name, value := range s.Headers {
		here := join(path+".headers", name)
		if !httpguts.ValidHeaderFieldName(name) || strings.EqualFold(name, "Host") {
			r.errorf(here, "is not the name of a header that can be set")
		}
		h.Headers[name] = r.needed(here, value)
	}
	return h
}

func (r *report) oauth2(path string, s *oauth2Source) tokens.OAuth2 {
	r.url(path+".token_url", s.TokenURL)
	if s.RefreshToken != "" && (len(s.Scopes) > 0 || s.Audience != "") {
		r.errorf(path, "scopes and audience are for client credentials; a refresh token has those it was made with")
	}
	return tokens.OAuth2{
		TokenURL: s.TokenURL, ClientID: r.needed(path+".client_id", s.ClientID),
		ClientSecret: r.secret(path+".client_secret", s.ClientSecret, false), RefreshToken: r.secret(path+".refresh_token", s.RefreshToken, false),
		Scopes: s.Scopes, Audience: s.Audience, AuthMethod: s.AuthMethod,
	}
}

func (r *report) githubApp(path string, s *githubAppSource) tokens.GitHubApp {
	g := tokens.GitHubApp{
		AppID: s.AppID, InstallationID: s.InstallationID, PrivateKey: r.secret(path+".private_key", s.PrivateKey, true),
		Repositories: s.Repositories, Permissions: s.Permissions, APIURL: s.APIURL,
	}
	if g.APIURL == "" {
		g.APIURL = "https://api.github.com"
	}
	r.url(path+".api_url", g.APIURL)
	if s.AppID <= 0 {
		r.errorf(path+".app_id", "is missing; it is the number in the settings of the app")
	}
	if s.InstallationID <= 0 {
		r.errorf(path+".installation_id", "is missing; it is the number at the end of the installation's address")
	}
	for _, name := range s.Repositories {
		if name == "" || strings.Contains(name, "/") {
			r.errorf(path+".repositories", "holds something other than a name; write repositories without their owner")
		}
	}
	return g
}

// needed is text for what must be there.
func (r *report) needed(path, value string) secrets.Text {
	if value == "" {
		r.errorf(path, "is missing")
	}
	return r.text(path, value)
}

// secret is text for what should not stand in the file itself.
func (r *report) secret(path, value string, needed bool) secrets.Text {
	if needed && value == "" {
		return r.needed(path, value)
	}
	t := r.text(path, value)
	if t != nil && len(t.References()) == 0 && !r.suspect(path) {
		r.literals = append(r.literals, path)
		r.warn(path, "is a secret that stands in this file; put it into a file of its own or the environment and write ${NAME}")
	}
	return t
}

// text reads a setting that may hold references; nil if it is empty.
func (r *report) text(path, value string) secrets.Text {
	if value == "" {
		return nil
	}
	t, err := rules.ParseTemplate(value)
	if err != nil {
		r.errorf(path, "%v", err)
	}
	return t
}

// url checks the address of a server that is given secrets, or gives them.
func (r *report) url(path, address string) {
	u, err := url.Parse(address)
	if address == "" || err != nil || u.Host == "" {
		r.errorf(path, "must be an address like https://vault.example.com/v1/secret")
		return
	}
	switch {
	case u.User != nil:
		r.errorf(path, "has a username in it, which logs would show; send it in a header")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		r.errorf(path, "must be https, or others could read the secret on its way; http is for loopback")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// beforehand refuses fetched secrets where they would have to be there already.
func (r *report) beforehand(c *Config) {
	for _, name := range c.Secrets.Needs(c.Settings.UpstreamProxy.References()) {
		if f := c.Secrets.Named[name].Fetch; f != nil && !runs(f) {
			r.errorf(join("secrets", name), "is needed to reach upstream_proxy, and may itself have to be fetched through it; take it from a file, the environment or a command")
		}
	}
	field, _ := c.Set.ClientAuth()
	r.staying("client_auth", field, c.Secrets)
	clients, _ := c.Set.Clients()
	for _, client := range clients {
		r.staying(join("clients", client.Name)+".token", client.Credentials, c.Secrets)
	}
}

// staying refuses secrets that change as what clients have to send.
func (r *report) staying(path string, field rules.Injection, sources secrets.Sources) {
	for _, name := range field.References() {
		if f := sources.Named[name].Fetch; f != nil && hasEnd(f) {
			r.errorf(path, "refers to %s, which changes from time to time, and clients would not know; use a secret that stays as it is", name)
		}
	}
}

func runs(f secrets.Fetcher) bool {
	_, ok := f.(secrets.Exec)
	return ok
}

// hasEnd reports whether what is fetched has a lifetime.
func hasEnd(f secrets.Fetcher) bool {
	switch f := f.(type) {
	case secrets.Exec:
		return f.TTL > 0
	case secrets.HTTP:
		return f.TTL > 0
	}
	return true
}
