//go:build clients

package clients

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
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
	logged   int    // bytes of the log of keybearer serve that are of before
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
	if check := o.checks[o.situation.name]; check != nil {
		return check(o)
	}
	return o.check(o)
}

func (o outcome) log() []byte { return o.scene.log.Bytes()[o.logged:] }

// checkInjected: every request of the matched host came with the credential of the
// rule, once, in place of the bogus one, and all that the mode asks for went well.
// No other host got a secret.
func checkInjected(o outcome) error {
	for _, r := range o.requests {
		check := o.checkCredential
		if r.host != o.api.host {
			check = checkNoSecret
		}
		if err := check(r); err != nil {
			return err
		}
	}
	if o.err != nil {
		return fmt.Errorf("the client failed on a matched host: %w; see what it printed", o.err)
	}
	steps := o.api.modes[o.mode]
	if err := o.checkRequests(steps.requests); err != nil {
		return err
	}
	if steps.verify == nil {
		return nil
	}
	return steps.verify(o)
}

// checkCredential also holds keybearer to asking for what it can search (I15).
func (o outcome) checkCredential(r request) error {
	want := o.api.header()
	if got := r.header.Values(o.api.name); !slices.Equal(got, []string{want}) {
		return fmt.Errorf("%s: the upstream saw %d fields %s %q, want the configured one alone; see proxy/exchange.go",
			r, len(got), o.api.name, hide(strings.Join(got, ", ")))
	}
	if r.bogus() {
		return fmt.Errorf("%s: the client's own credential reached the upstream beside the injected one:\n%s", r, hide(string(r.raw())))
	}
	got := r.header.Values("Accept-Encoding")
	if !slices.Contains(o.api.unscrubbed, r.path) && !slices.Equal(got, []string{"identity"}) {
		return fmt.Errorf("%s: the upstream saw Accept-Encoding: %q, want identity; see proxy/exchange.go", r, got)
	}
	return nil
}

func checkNoSecret(r request) error {
	if found := leak(r.raw()); found != "" {
		return fmt.Errorf("%s: a secret, %s, reached %s, which no rule names", r, found, r.host)
	}
	return nil
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
			return fmt.Errorf("%s: the client's own credential was lost on its way to a host that gets none of ours", r)
		}
		if err := checkNoSecret(r); err != nil {
			return err
		}
	}
	return o.checkRequests(o.api.modes[o.mode].requests)
}

// checkPlain: no credential goes out without TLS, and the log says why.
func checkPlain(o outcome) error {
	if err := checkUntouched(o); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := o.scene.log.await(ctx, o.logged, `"plaintext_not_injected"`); err != nil {
		return fmt.Errorf("keybearer's record of a request in plain HTTP does not say plaintext_not_injected; see proxy/exchange.go")
	}
	return nil
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
		if proto := o.protoOf(r); r.proto != proto {
			return fmt.Errorf("%s: came in %s, but the client speaks %s: protocols are to be mirrored", r, r.proto, proto)
		}
		if r.answer != "" && !bytes.Contains(o.output, []byte(r.answer)) {
			return fmt.Errorf("%s: the client did not print the answer %s: it did not come from the upstream unchanged, "+
				"or the program does not print what it receives", r, r.answer)
		}
		if r.host == o.hostPort() {
			got = append(got, r.String())
		} else {
			got = append(got, r.method+" https://"+r.host+r.path)
		}
	}
	if got = slices.Compact(got); !slices.Equal(got, want) {
		return fmt.Errorf("the upstream saw %q, want %q (without a host: that of %s)", got, want, o.hostPort())
	}
	return nil
}

// protoOf is what a request should come in: a WebSocket is opened in HTTP/1.1 (RFC
// 8441 is not offered), and there is no HTTP/2 without TLS.
func (o outcome) protoOf(r request) string {
	if o.scheme == "http" || strings.EqualFold(r.header.Get("Upgrade"), "websocket") {
		return http1
	}
	return o.proto
}

func (o outcome) hostPort() string { return o.situation.host(o.scene, o.client) }

// report is what a person needs to find out why.
func (o outcome) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "command: %s\n", strings.Join(o.command, " "))
	for _, r := range o.requests {
		fmt.Fprintf(&b, "upstream saw: %s %s (%s) %s\n", r, r.host, r.proto, r.note)
	}
	fmt.Fprintf(&b, "client printed: %s\n", tail(o.output, 6000))
	fmt.Fprintf(&b, "keybearer's log: %s\n", tail(o.log(), 4000))
	return b.String()
}

// tail cuts b to its last n bytes, without secrets: failures end in CI logs.
func tail(b []byte, n int) string {
	if len(b) > n {
		b = append([]byte("... "), b[len(b)-n:]...)
	}
	return hide(string(b))
}
