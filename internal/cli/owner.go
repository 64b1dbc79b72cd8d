package cli

import (
	"crypto/rand"
	"net"
	"net/url"

	"keybearer/internal/config"
	"keybearer/internal/peer"
	"keybearer/rules"
)

// owner is how the proxy of a run knows the user that it is for, and refuses every
// other user of the machine.
type owner struct {
	admit    func(net.Conn) error // by the connection; nil: by the password
	password *url.Userinfo        // to be put into the proxy's URL; nil: there is none
}

// ownUserOnly changes the configuration so that the run serves one user. Where the
// kernel tells whose a connection is, it is asked: some clients, Java's among
// them, send no credentials to a proxy. Elsewhere a password made up for the run
// takes the place of client_auth, whose own would have to be in the environment of
// the command. Nor are there several clients in a run.
func ownUserOnly(c *config.Config, kernelTells bool) owner {
	var o owner
	c.Policy.Clients = nil
	if kernelTells {
		o.admit = peer.SameUser
		c.Policy.ClientAuth = nil
	} else {
		secret := rand.Text()
		o.password = url.UserPassword("run", secret)
		c.Policy.ClientAuth = &rules.BasicAuthConfig{Username: "run", Password: secret}
	}
	c.Set, _ = c.Compile() // it has compiled before
	return o
}
