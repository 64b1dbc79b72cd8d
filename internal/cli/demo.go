package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/rules"
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
	*rehearsal
	w      io.Writer
	dir    string // what the client can read
	failed bool
}

func runDemo(w io.Writer) error {
	d, err := newDemoRun(w)
	if err != nil {
		return err
	}
	defer d.close()
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

func newDemoRun(w io.Writer) (*demo, error) {
	host, err := rules.ParseTarget(demoHost, 443)
	if err != nil {
		return nil, err
	}
	d := &demo{w: w}
	if d.dir, err = os.MkdirTemp("", "keybearer-demo-"); err != nil {
		return nil, err
	}
	if d.rehearsal, err = newRehearsal(host, demoPolicy, "DEMO_API_KEY", systemVariables()); err == nil {
		err = os.WriteFile(d.apiCA(), d.api.authority.PEM(), 0o644)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *demo) apiCA() string { return filepath.Join(d.dir, "api-ca.pem") }

func (d *demo) close() {
	if d.rehearsal != nil {
		d.rehearsal.close()
	}
	os.RemoveAll(d.dir)
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
	r, err := d.exchange()
	if err != nil {
		return nil, err
	}
	d.say("  connection  %s: %s, certificate for %s minted by the CA of this run", r.Target, r.Verdict, demoHost)
	d.say("  request     %s %s over %s", r.Method, r.Path, r.Protocol)
	d.check(r.Rule == "demo-api", "rule that matched: %s", r.Rule)
	d.check(slices.Equal(r.Injected, []string{"Authorization"}), "headers it set: %s", strings.Join(r.Injected, ", "))
	return call, nil
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
