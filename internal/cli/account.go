package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
)

// account is the flag that says which of the clients of the configuration is meant.
type account string

func (a *account) register(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(a), "client", "", "as the client `NAME` of clients in the configuration")
}

// of returns the client that is meant. If the configuration does not tell clients
// apart, it is one without a name that has all rules.
func (a account) of(c *config.Config) (rules.Client, error) {
	clients, several := c.Set.Clients()
	if !several {
		if a != "" {
			return rules.Client{}, exit(exitUsage, errors.New("--client: the configuration has no clients; leave the flag out"))
		}
		return rules.Client{Set: c.Set}, nil
	}
	client, ok := c.Set.Client(string(a))
	if ok {
		return client, nil
	}
	names := make([]string, len(clients))
	for i := range clients {
		names[i] = clients[i].Name
	}
	problem := "the configuration has clients, each with rules of its own"
	if a != "" {
		problem = fmt.Sprintf("--client: no client has the name %q", string(a))
	}
	return rules.Client{}, exit(exitUsage, fmt.Errorf("%s; name one with --client: %s", problem, strings.Join(names, ", ")))
}

// narrow leaves in a configuration the rules of one client, callbacks included.
func narrow(c *config.Config, client rules.Client) {
	if client.Name != "" {
		c.Set = c.Set.Only(client)
	}
}

// through returns the URL of the proxy with the credentials of a client, unless it has
// some. Config is to look the token up, before it is narrowed.
func through(proxyURL string, c *config.Config, client rules.Client) (string, error) {
	u, err := url.Parse(proxyURL)
	switch {
	case err != nil: // its text may hold a password
		return "", exit(exitUsage, errors.New("--proxy is not a URL; write http://HOST:PORT"))
	case client.Name == "" || u.User != nil:
		return proxyURL, nil
	}
	store, err := sourcing{}.find(c)
	if err != nil {
		return "", err
	}
	if u.User, err = proxy.Userinfo(client, store.Lookup); err != nil {
		return "", exit(exitSecret, err)
	}
	return u.String(), nil
}
