package cli

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// probeTime is how long a proxy that is well may take to answer a probe. It is
// less than the time limit of the probes in the image and in the manifests.
const probeTime = 2 * time.Second

func newHealthcheck() *cobra.Command {
	var o settings
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if serve is well",
		Long: `Exit with 0 if the keybearer serve of this configuration serves. It connects,
says that it has nothing to ask, and waits for serve to hang up, which leaves no
line in the log. With --listen or KEYBEARER_LISTEN the configuration is not read:
a bad file that serve would refuse to load says nothing about the one that serves.`,
		Example: `  keybearer healthcheck --listen 127.0.0.1:3128`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.healthcheck(cmd) },
	}
	o.register(cmd, "listen")
	return cmd
}

func (o *settings) healthcheck(cmd *cobra.Command) error {
	listen, err := o.listen(cmd)
	if err != nil {
		return err
	}
	proxy, err := proxyURL(listen)
	if err != nil {
		return err
	}
	u, err := url.Parse(proxy)
	if err != nil {
		return exit(exitUsage, err)
	}
	return probe(u.Host, probeTime)
}

// listen is the setting.
func (o *settings) listen(cmd *cobra.Command) (string, error) {
	if given := o.flags.Lookup("listen"); given.Changed {
		return given.Value.String(), nil
	}
	if given := os.Getenv("KEYBEARER_LISTEN"); given != "" {
		return given, nil
	}
	c, err := o.load(cmd.InOrStdin(), false)
	if err != nil {
		return "", err
	}
	return c.Settings.Listen, nil
}

// probe has the proxy at address accept a connection and end it. That the kernel
// accepts one would say nothing: it does for a process that hangs, too.
func probe(address string, patience time.Duration) error {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return fmt.Errorf("%w; start keybearer serve, or name its address with --listen", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("%s accepts connections and does not serve them: %w", address, err)
	}
	return nil
}
