package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// demoCredential is what the client of the demo sends for a key, as a program
// does that was started with keybearer's placeholder.
const demoCredential = "Authorization: Bearer keybearer-placeholder"

// demoCall is one run of a client: all that it was given and all that it got.
type demoCall struct {
	cmd    *exec.Cmd
	output string // the response, head and body, and whatever else it printed
	status int
}

func (c *demoCall) environment() string { return strings.Join(c.cmd.Env, "\n") }
func (c *demoCall) arguments() string   { return strings.Join(c.cmd.Args, "\n") }

// call runs the client as a process of its own with just this environment. A
// direct address takes the place of DNS.
func (d *demo) call(env []string, direct net.Addr) (*demoCall, error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd, err := demoCommand(ctx, direct)
	if err != nil {
		return nil, err
	}
	cmd.Env = env
	cmd.Dir = d.dir
	d.say("  $ %s", commandLine(cmd.Args))
	out, err := cmd.CombinedOutput()
	call := &demoCall{cmd: cmd, output: string(out)}
	response, status, _ := cutLast(strings.TrimSpace(call.output), "\n")
	if call.status, _ = strconv.Atoi(status); err != nil || call.status == 0 {
		return nil, fmt.Errorf("the client failed: %w\n%s", err, out)
	}
	_, body, _ := cutLast(strings.TrimSpace(strings.ReplaceAll(response, "\r", "")), "\n")
	d.say("  %d %s", call.status, body)
	return call, nil
}

// commandLine is args as one types them. None of them holds a quote.
func commandLine(args []string) string {
	var words []string
	for _, arg := range args {
		if strings.ContainsAny(arg, ` \`) {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// demoCommand is curl, or keybearer itself where there is no curl. Either prints
// the response with its head, and the status in a last line.
func demoCommand(ctx context.Context, direct net.Addr) (*exec.Cmd, error) {
	if curl, err := exec.LookPath("curl"); err == nil {
		args := []string{"-q", "-sS", "-i", "-w", `\n%{http_code}\n`, "-H", demoCredential}
		if direct != nil {
			args = append(args, "--connect-to", "::"+direct.String())
		}
		cmd := exec.CommandContext(ctx, curl, append(args, demoURL)...)
		cmd.Args[0] = "curl"
		return cmd, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"demo", "--as-client", demoURL}
	if direct != nil {
		args = append(args, "--connect-to", direct.String())
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "keybearer"
	return cmd, nil
}

// demoClient is the client that keybearer demo starts where there is no curl: Go's
// own, which takes the proxy from its environment like any other program.
type demoClient struct{ url, address string }

func (c *demoClient) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.url, "as-client", "", "be the client")
	flags.StringVar(&c.address, "connect-to", "", "connect there")
	for _, name := range []string{"as-client", "connect-to"} {
		if err := flags.MarkHidden(name); err != nil {
			panic(err) // only for a flag that does not exist
		}
	}
}

func (c *demoClient) call(w io.Writer) error {
	pem, err := os.ReadFile(os.Getenv("CURL_CA_BUNDLE"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("no CA to trust")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots}}
	if c.address != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.address)
		}
	}
	request, err := http.NewRequest(http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	name, value, _ := strings.Cut(demoCredential, ": ")
	request.Header.Set(name, value)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	dump, err := httputil.DumpResponse(response, true)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n%d\n", dump, response.StatusCode)
	return err
}
