package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keybearer/certs"
	"keybearer/internal/config"
	"keybearer/proxy"
)

const (
	demoHost   = "demo.keybearer.example" // a name that nobody can own: RFC 2606
	demoURL    = "https://" + demoHost + "/v1/greeting"
	demoPolicy = `rules:
  - name: demo-api
    match_hosts: [demo.keybearer.example]
    match_paths: ["/v1/*"]
    inject_headers:
      Authorization: "Bearer ${DEMO_API_KEY}"
`
)

func newDemo() *cobra.Command {
	var client demoClient
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine: no account, no network",
		Long: `Start a small HTTPS API that demands a key, call it without keybearer (401) and
through it (200) with curl, or with a client of keybearer's own where there is no
curl, and show that the client never had the key. Everything happens on loopback;
the exit code is 0 only if every step held.`,
		Example: "  keybearer demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if client.url != "" {
				return client.call(cmd.OutOrStdout())
			}
			return runDemo(cmd.OutOrStdout())
		},
	}
	client.register(cmd)
	return cmd
}

// demo is one performance. Each step writes what happened, and whether that was
// what should happen.
type demo struct {
	w       io.Writer
	dir     string // what the client can read
	api     *demoAPI
	run     *session
	records chan proxy.Record
	env     []string // the client's, through keybearer
	failed  bool
}

func runDemo(w io.Writer) error {
	d := &demo{w: w, records: make(chan proxy.Record, 16)}
	defer d.close()
	if err := d.open(); err != nil {
		return err
	}
	d.say("keybearer demo: a program uses an API key that it never has\n")
	d.say("  the API   %s, here on %s; it demands Authorization: Bearer KEY", demoURL, d.api.listener.Addr())
	d.say("  the KEY   made up at random for this run; keybearer has it as the secret DEMO_API_KEY")
	d.say("  the rule\n\n%s", indent(demoPolicy))

	without, err := d.without()
	if err != nil {
		return err
	}
	through, err := d.through()
	if err != nil {
		return err
	}
	if err := d.whatTheClientHad(without, through); err != nil {
		return err
	}
	if d.failed {
		return errors.New("a step of the demo did not hold; please report it with the output above")
	}
	d.say("Every step held.")
	return nil
}

// open starts the API and, as keybearer run does, a proxy with its files.
func (d *demo) open() (err error) {
	key := "demo-key-" + strings.ToLower(rand.Text())
	if d.dir, err = os.MkdirTemp("", "keybearer-demo-"); err != nil {
		return err
	}
	if d.api, err = newDemoAPI(key); err != nil {
		return err
	}
	if err := os.WriteFile(d.apiCA(), d.api.authority.PEM(), 0o644); err != nil {
		return err
	}
	c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(demoPolicy)})
	if err != nil {
		return exit(exitConfig, err)
	}
	environ := append(systemVariables(), "DEMO_API_KEY="+key)
	store, err := findSecrets(c, environ)
	if err != nil {
		return err
	}
	policy, err := newPolicy(c.Set, store)
	if err != nil {
		return err
	}
	authority, err := certs.New(&certs.Constraints{DNS: []string{demoHost}})
	if err != nil {
		return exit(exitCA, err)
	}
	there, err := proxy.ParseOverride(demoHost + ":443:" + d.api.listener.Addr().String())
	if err != nil {
		return err
	}
	d.run = &session{proxy: &proxy.Proxy{
		Authority:     authority,
		Overrides:     []proxy.Override{there},
		UpstreamRoots: d.api.roots(),
		Emit:          func(r proxy.Record) { d.records <- r },
	}}
	if err := d.run.prepare(authority, nil); err != nil {
		return err
	}
	d.env = childEnv(environ, c, store, d.run.files.params(c, d.run.url()))
	d.run.proxy.SetPolicy(policy)
	go d.run.proxy.Serve(d.run.listener)
	return nil
}

func (d *demo) apiCA() string { return filepath.Join(d.dir, "api-ca.pem") }

func (d *demo) close() {
	if d.run != nil {
		d.run.close()
	}
	if d.api != nil {
		d.api.close()
	}
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}

// without calls the API directly. The client trusts the API's certificate and
// has a key, which is not the right one.
func (d *demo) without() (*demoCall, error) {
	d.say("1. Without keybearer")
	call, err := d.call(append(systemVariables(), "CURL_CA_BUNDLE="+d.apiCA()), d.api.listener.Addr())
	if err != nil {
		return nil, err
	}
	d.check(call.status == 401, "the API answered %d; it should refuse with 401", call.status)
	return call, nil
}

// through calls it with the environment of keybearer run, and nothing else.
func (d *demo) through() (*demoCall, error) {
	d.say("\n2. Through keybearer, %s", d.run.url())
	call, err := d.call(d.env, nil)
	if err != nil {
		return nil, err
	}
	d.check(call.status == 200, "the API answered %d; it should answer 200", call.status)
	r, err := d.record()
	if err != nil {
		return nil, err
	}
	d.say("  connection  %s: %s, certificate for %s minted by the CA of this run", r.Target, r.Verdict, demoHost)
	d.say("  request     %s %s over %s", r.Method, r.Path, r.Protocol)
	d.check(r.Rule == "demo-api", "rule that matched: %s", r.Rule)
	d.check(slices.Equal(r.Injected, []string{"Authorization"}), "headers it set: %s", strings.Join(r.Injected, ", "))
	return call, nil
}

// record waits for what the proxy tells of the request; it comes when the
// exchange has ended, which the client may see first.
func (d *demo) record() (proxy.Record, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		select {
		case r := <-d.records:
			if r.Method != "CONNECT" {
				return r, nil
			}
		case <-ctx.Done():
			return proxy.Record{}, errors.New("the proxy told nothing of the request")
		}
	}
}

// whatTheClientHad looks for the key in everything that went to the client, and
// then, to be sure that the search finds what is there, where it has to be.
func (d *demo) whatTheClientHad(without, through *demoCall) error {
	d.say("\n3. What the client had")
	files, err := readAll(d.dir, d.run.dir)
	if err != nil {
		return err
	}
	places := []struct{ name, text string }{
		{"its environment", without.environment() + through.environment()},
		{"its arguments", without.arguments() + through.arguments()},
		{"the files that these name", files},
		{"what it received", without.output + through.output},
	}
	for _, place := range places {
		d.check(!d.api.holdsKey(place.text), "the key is not in %s (%d bytes)", place.name, len(place.text))
	}
	seen := d.api.received()
	d.check(len(seen) == 2 && !d.api.holdsKey(seen[0]), "the key is not in what the API received from the first call")
	d.check(len(seen) == 2 && d.api.holdsKey(seen[1]), "the key is in what the API received from the second")
	d.say("")
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.w, format+"\n", args...) }

// check says that a step held, or that it did not.
func (d *demo) check(held bool, format string, args ...any) {
	mark := "ok    "
	if !held {
		mark, d.failed = "FAILED", true
	}
	d.say("  %s %s", mark, fmt.Sprintf(format, args...))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

// readAll is the text of all files in some directories.
func readAll(dirs ...string) (string, error) {
	var all strings.Builder
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", err
		}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return "", err
			}
			all.Write(data)
		}
	}
	return all.String(), nil
}

// systemVariables are what programs need to run at all.
func systemVariables() []string {
	var list []string
	for _, name := range []string{"PATH", "SystemRoot", "TMPDIR", "TEMP"} {
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	return list
}
