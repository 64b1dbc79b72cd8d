//go:build clients

package clients

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// outcome is what a client and the upstream saw.
type outcome struct {
	client
	situation
	scene    *scene
	dir      string // that the client worked in
	environ  environ
	command  []string
	err      error  // how it ended
	output   []byte // of both kinds
	log      []byte // of keybearer serve
	requests []request
}

// verify checks what holds in every situation, then what this one asks for.
func (o outcome) verify() error {
	if found := leak([]byte(strings.Join(o.environ, "\n"))); found != "" && !o.run {
		return fmt.Errorf("the environment of the client holds a secret, %s; see keybearer env", found)
	}
	if found := leak(o.output); found != "" {
		return fmt.Errorf("the client printed a secret, %s: it has learned what it must not; see what brought it there", found)
	}
	if file, found := leakInFiles(o.dir); found != "" {
		return fmt.Errorf("the client wrote a secret, %s, to %s: it has learned what it must not", found, file)
	}
	return o.check(o)
}

// checkInjected: every request came with the credential of the rule, once, in
// place of the bogus one, and every byte went both ways.
func checkInjected(o outcome) error {
	want := o.api.header()
	for _, r := range o.requests {
		if got := r.header.Values(o.api.name); !slices.Equal(got, []string{want}) {
			return fmt.Errorf("%s: the upstream saw %d fields %s %q, want the configured one alone; see proxy/exchange.go",
				r, len(got), o.api.name, hide(strings.Join(got, ", ")))
		}
		if r.bogus() {
			return fmt.Errorf("%s: the client's own credential reached the upstream beside the injected one:\n%s", r, hide(string(r.raw())))
		}
	}
	if o.err != nil {
		return fmt.Errorf("the client failed on a matched host: %w; see what it printed", o.err)
	}
	if err := o.checkRequests(slices.Concat(o.api.get, o.api.rest)); err != nil {
		return err
	}
	return o.api.verify(o)
}

// checkRun: the same under keybearer run, which has printed its child's environment,
// and nothing is left of it.
func checkRun(o outcome) error {
	placeholder := o.api.secret + "=" + bogus
	if !bytes.Contains(o.output, []byte(placeholder)) {
		return fmt.Errorf("the environment of keybearer run's child has no %s; the rule's env_vars ask for it", placeholder)
	}
	if left, _ := filepath.Glob(filepath.Join(o.dir, "tmp", "keybearer-*")); len(left) > 0 {
		return fmt.Errorf("keybearer run has left %q behind; see session.close in internal/cli/run.go", left)
	}
	return checkInjected(o)
}

// checkUntouched: the request went through as the client sent it.
func checkUntouched(o outcome) error {
	if o.err != nil {
		return fmt.Errorf("the client failed although it trusts the origin: %w; if it did not trust the certificate it saw, "+
			"keybearer has intercepted what it must not", o.err)
	}
	for _, r := range o.requests {
		if !r.bogus() {
			return fmt.Errorf("%s: the client's own credential was lost on a connection that must not be touched", r)
		}
		if found := leak(r.raw()); found != "" {
			return fmt.Errorf("%s: a secret, %s, reached a host that no rule names", r, found)
		}
	}
	return o.checkRequests(o.api.get)
}

// checkUpstreamCA: the environment makes the client trust the origin as well.
func checkUpstreamCA(o outcome) error {
	if o.err != nil {
		return fmt.Errorf("the client failed: %w; if it did not trust the certificate it saw, the file that keybearer env "+
			"gives to this client lacks the roots of upstream_ca, see internal/cli/files.go and internal/clientenv", o.err)
	}
	return checkUntouched(o)
}

// checkRefused: the client did not accept keybearer's certificate.
func checkRefused(o outcome) error {
	switch {
	case o.err == nil:
		return fmt.Errorf("the client accepted keybearer's certificate without trusting it; " +
			"it proves nothing in the other situations, see its program in testdata")
	case len(o.requests) > 0:
		return fmt.Errorf("the upstream saw %s; nothing may be sent before the client's handshake has ended", o.requests)
	case !refusal.Match(o.output):
		return fmt.Errorf("the client failed (%w), but not for the certificate; see what it printed", o.err)
	}
	return nil
}

// refusal is in what each client says of a certificate it does not trust.
var refusal = regexp.MustCompile(`(?i)certificate|PKIX path`)

// checkRequests compares what the upstream saw with what the client was to send,
// without repetitions, and looks for each answer in what the client printed.
func (o outcome) checkRequests(want []string) error {
	var got []string
	for _, r := range o.requests {
		got = append(got, r.String())
		if r.proto != o.proto {
			return fmt.Errorf("%s: came in %s, but the client speaks %s: protocols are to be mirrored", r, r.proto, o.proto)
		}
		if r.host != o.hostPort() {
			return fmt.Errorf("%s: came for host %s, want %s", r, r.host, o.hostPort())
		}
		if !bytes.Contains(o.output, []byte(r.answer)) {
			return fmt.Errorf("%s: the client did not print the answer %s: it did not come from the upstream unchanged, "+
				"or the program does not print what it receives", r, r.answer)
		}
	}
	if got = slices.Compact(got); !slices.Equal(got, want) {
		return fmt.Errorf("the upstream saw %q, want %q", got, want)
	}
	return nil
}

func (o outcome) hostPort() string { return o.situation.host(o.scene, o.client) }

// report is what a person needs to find out why.
func (o outcome) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "command: %s\n", strings.Join(o.command, " "))
	fmt.Fprintf(&b, "upstream saw: %s\n", o.requests)
	fmt.Fprintf(&b, "client printed: %s\n", tail(o.output, 6000))
	fmt.Fprintf(&b, "keybearer's log: %s\n", tail(o.log, 4000))
	return b.String()
}

// tail cuts b to its last n bytes, without secrets: failures end in CI logs.
func tail(b []byte, n int) string {
	if len(b) > n {
		b = append([]byte("... "), b[len(b)-n:]...)
	}
	return hide(string(b))
}

// checkFiles: the download is the upstream's.
func checkFiles(o outcome) error {
	got, err := os.ReadFile(filepath.Join(o.dir, "download.bin"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, downloadData) {
		return fmt.Errorf("download.bin has %d bytes that differ from the %d that the upstream sent", len(got), len(downloadData))
	}
	return nil
}

// checkPushed: the upstream's repository holds the client's commit.
func checkPushed(o outcome) error {
	local, err := gitOutput(filepath.Join(o.dir, "clone"), "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	pushed, err := gitOutput(o.scene.upstream.repository, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if local != pushed {
		return fmt.Errorf("the client's HEAD is %s, the upstream's %s: the push did not arrive", local, pushed)
	}
	return nil
}
