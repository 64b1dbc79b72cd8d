package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Client is one entry of clients: whoever sends its credentials has its rules.
type Client struct {
	Name        string
	Credentials Injection // what it sends; Name is Proxy-Authorization
	Set         *Set      // with the rules of the client, as if there were no others
}

// Clients returns the clients that may use the proxy, in the order of their names,
// and whether the policy tells clients apart.
func (s *Set) Clients() (clients []Client, ok bool) {
	return slices.Clone(s.clients), s.clients != nil
}

// Client returns the client of that name.
func (s *Set) Client(name string) (Client, bool) {
	for _, c := range s.clients {
		if c.Name == name {
			return c, true
		}
	}
	return Client{}, false
}

// clients compiles clients. It comes when all else is in s.
func (c *compiler) clients(s *Set, config Config) {
	switch {
	case config.Clients == nil:
		return
	case config.ClientAuth != nil:
		c.errorf("client_auth", "stands beside clients, which have credentials of their own; keep one of the two")
	case len(config.Clients) == 0:
		c.errorf("clients", "has no entry, so nobody could use the proxy; add one, or take the key out")
	}
	s.clients = []Client{}
	named := make(map[string]*Rule, len(s.all))
	for _, r := range s.all {
		named[r.Name] = r
	}
	for _, name := range slices.Sorted(maps.Keys(config.Clients)) {
		s.clients = append(s.clients, c.client(s, named, name, config.Clients[name]))
	}
}

// clientName is what can be the username of a URL, and a word in a log.
var clientName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (c *compiler) client(s *Set, named map[string]*Rule, name string, w ClientConfig) Client {
	at := "clients." + name
	if strings.Contains(name, ".") || !clientName.MatchString(name) {
		at = fmt.Sprintf("clients[%q]", name)
	}
	if !clientName.MatchString(name) {
		c.errorf(at, "is not the name of a client: letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit")
	}
	if w.Token == "" {
		c.errorf(at+".token", "is missing; write ${NAME} of the secret that the client sends")
	}
	i := Injection{Name: "Proxy-Authorization", basic: true, username: template{}.literal(name)}
	var err error
	i.value, err = parseTemplate(w.Token)
	c.check(at+".token", err)
	c.lintLiteral(at+".token", i.value)
	return Client{Name: name, Credentials: i, Set: s.only(c.clientRules(at, named, w.Rules))}
}

// clientRules finds the rules of a client.
func (c *compiler) clientRules(at string, named map[string]*Rule, names []string) map[*Rule]bool {
	if names == nil {
		c.errorf(at+".rules", "is missing; name the client's rules, or write [] for a client that has none")
	}
	has := map[*Rule]bool{}
	for n, name := range names {
		here := fmt.Sprintf("%s.rules[%d]", at, n)
		switch rule := named[name]; {
		case rule == nil:
			c.errorf(here, "no rule has the name %q; there are: %s", name, someOf(named))
		case has[rule]:
			c.errorf(here, "%q is named twice; take one out", name)
		default:
			has[rule] = true
		}
	}
	return has
}

// someOf is for messages.
func someOf(named map[string]*Rule) string {
	const most = 10
	names := slices.Sorted(maps.Keys(named))
	if len(names) > most {
		names = append(names[:most], "and others")
	}
	return strings.Join(names, ", ")
}

// Only returns the set with the rules of a client alone, of this set or of another one
// that is made of the same rules.
func (s *Set) Only(c Client) *Set {
	keep := map[*Rule]bool{}
	for _, r := range s.enabled {
		keep[r] = c.Set.has(r)
	}
	return s.only(keep)
}

// only returns the set without the rules that are not in keep: what else there is
// holds for everybody.
func (s *Set) only(keep map[*Rule]bool) *Set {
	view := *s
	view.clients = nil
	view.enabled = nil
	var patterns []hostPattern
	for _, r := range s.enabled {
		if keep[r] {
			view.enabled = append(view.enabled, r)
			patterns = append(patterns, r.hosts...)
		}
	}
	view.hosts = newIndex(patterns)
	return &view
}

// views are the sets that the clients have which have the rule: s itself if they are
// not told apart.
func (s *Set) views(r *Rule) []*Set {
	if s.clients == nil {
		return []*Set{s}
	}
	var views []*Set
	for _, c := range s.clients {
		if c.Set.has(r) {
			views = append(views, c.Set)
		}
	}
	return views
}

// has reports whether an enabled rule is one of the set.
func (s *Set) has(r *Rule) bool {
	_, ok := slices.BinarySearchFunc(s.enabled, r.order, func(r *Rule, order int) int { return r.order - order })
	return ok
}
