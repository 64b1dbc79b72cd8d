package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keybearer/proxy/http1"
	"keybearer/rules"
	"keybearer/secrets"
)

// Userinfo returns what a client has to have in the URL of the proxy: its name and its
// token. The error joins a [*SecretError] for each secret that does not resolve.
func Userinfo(c rules.Client, lookup func(name string) (secrets.Value, error)) (*url.Userinfo, error) {
	x := expansion{owner: clientOwner(c), lookup: lookup}
	value, _ := x.expand(c.Credentials)
	if err := x.err(); err != nil {
		return nil, err
	}
	_, text, _ := basic(value)
	name, token, _ := strings.Cut(text, ":")
	return url.UserPassword(name, token), nil
}

// credentials are what a client sends in Proxy-Authorization. They are kept and
// compared as hashes: in constant time, whatever the length of a guess.
type credentials [sha256.Size]byte

// hashCredentials hashes the value of a field, without regard to the case of the
// scheme (RFC 9110 section 11.1).
func hashCredentials(value string) credentials {
	scheme, rest, _ := strings.Cut(value, " ")
	return sha256.Sum256([]byte(strings.ToLower(scheme) + " " + strings.TrimSpace(rest)))
}

// sentIn returns the credentials in a head. There has to be exactly one field of them.
func sentIn(h http1.Header) (credentials, bool) {
	value, ok := h.Get("Proxy-Authorization")
	if !ok || h.Count("Proxy-Authorization") != 1 {
		return credentials{}, false
	}
	return hashCredentials(value), true
}

// account is one by which clients use the proxy.
type account struct {
	credentials credentials
	set         *rules.Set // its rules
}

// accounts are all that there are, by the names that they have in the configuration;
// that of client_auth has none. Nil accounts are no condition: everybody may use the
// proxy. One whose credentials cannot be expanded is not among them.
type accounts map[string]account

// newAccounts expands the credentials of those who may use the proxy.
func newAccounts(set *rules.Set, store *secrets.Store) (accounts, error) {
	field, one := set.ClientAuth()
	clients, several := set.Clients()
	if !one && !several {
		return nil, nil
	}
	all := make(accounts)
	var errs []error
	add := func(owner, name string, field rules.Injection, set *rules.Set) {
		x := expansion{owner: owner, lookup: store.Lookup}
		if value, _ := x.expand(field); value != "" {
			all[name] = account{hashCredentials(value), set}
		}
		errs = append(errs, x.err())
	}
	if one {
		add("client_auth", "", field, set)
	}
	for _, c := range clients {
		add(clientOwner(c), c.Name, c.Credentials, c.Set)
	}
	return all, errors.Join(errs...)
}

func clientOwner(c rules.Client) string { return fmt.Sprintf("client %q", c.Name) }

// find returns the name of the account with these credentials. It compares with all
// of them: how long that takes does not tell which names there are.
func (all accounts) find(sent credentials) (name string, ok bool) {
	for n, a := range all {
		if subtle.ConstantTimeCompare(sent[:], a.credentials[:]) == 1 {
			name, ok = n, true
		}
	}
	return name, ok
}

// view is a policy as one client has it: with that client's rules alone.
type view struct {
	*Policy
	set *rules.Set
}

// authorize refuses a request to the proxy whose client may not use it. It notes on the
// connection who that is.
func (c *clientConn) authorize(h http1.Header) (view, *failure) {
	policy := c.p.policy.Load()
	c.account, c.sent = "", credentials{}
	if policy.clients == nil {
		return view{policy, policy.set}, nil
	}
	sent, ok := sentIn(h)
	if !ok {
		return view{}, &failCredentials
	}
	name, ok := policy.clients.find(sent)
	if !ok {
		return view{}, &failCredentials
	}
	c.account, c.sent = name, sent
	return view{policy, policy.clients[name].set}, nil
}

// view returns the policy in force, for whoever has opened the connection. The policy
// may be another one than then, and have no such client any more (I20).
func (c *clientConn) view() (view, error) {
	policy := c.p.policy.Load()
	if policy.clients == nil {
		return view{policy, policy.set}, nil
	}
	a, ok := policy.clients[c.account]
	if !ok || subtle.ConstantTimeCompare(c.sent[:], a.credentials[:]) != 1 {
		return view{}, &failAccount
	}
	return view{policy, a.set}, nil
}
