//go:build clients

package clients

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"keybearer/certs"
)

// interopCases are those of gRPC's interop-test-descriptions that grpc-go knows, but
// for the ones that ask Google for a credential: compute_engine_creds,
// service_account_creds, jwt_token_creds, per_rpc_creds, oauth2_auth_token,
// google_default_credentials and compute_engine_channel_credentials.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
	"status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service", "pick_first_unary",
	"rpc_soak", "channel_soak", "orca_per_rpc",
}

// moreCases are those of grpc/calls: compression, which grpc-go's interop client leaves
// out, and what goes wrong in proxies.
var moreCases = []string{
	"half_duplex", "compressed_unary", "compressed_streaming", "large_messages", "large_metadata", "early_status",
	"many_streams", "many_cancellations", "many_deadlines", "client_does_not_read", "server_does_not_read",
}

// TestGRPCInterop makes each call through keybearer serve, with a bogus credential: the
// server refuses what comes without the injected one. Seen red: a rule that injects
// another header.
func TestGRPCInterop(t *testing.T) {
	i := newInterop(t, "grpc-server", "AUTHORIZATION="+grpcService.header())
	for _, name := range interopCases {
		t.Run(name, func(t *testing.T) { i.play(t, interopClient, name) })
	}
	for _, name := range moreCases {
		t.Run(name, func(t *testing.T) { i.play(t, moreCalls, name) })
	}
}

// TestGRPCInteropOutOfBand: in orca_oob the server reports every second, which no
// server outside grpc-go's module may: this is grpc-go's own, which refuses nothing.
func TestGRPCInteropOutOfBand(t *testing.T) {
	newInterop(t, "grpc-interop-server", "GRPC_GO_LOG_SEVERITY_LEVEL=info").play(t, interopClient, "orca_oob")
}

// interop is a gRPC server with keybearer serve in front of it.
type interop struct {
	*scene
	address string // of the server
}

func newInterop(t *testing.T, server, variable string) *interop {
	t.Helper()
	if reason := installed("grpc-go"); reason != "" {
		if os.Getenv("CI") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	authority := newAuthority(t)
	address := startInterop(t, home, authority, filepath.Join(theDir, server), variable)
	i := &interop{address: address, scene: &scene{
		dir: theDir, home: home, log: new(syncBuffer), caDir: filepath.Join(home, "ca"),
		upstream: &upstream{authority: authority, address: address, plainAddress: address},
	}}
	if err := i.writeFiles(); err != nil {
		t.Fatal(err)
	}
	proxy, err := i.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.close)
	if i.client, err = i.ask("http://" + proxy); err != nil {
		t.Fatal(err)
	}
	return i
}

// startInterop starts a server, by its own flags or grpc-go's, and returns its address.
func startInterop(t *testing.T, home string, authority *certs.Authority, server, variable string) string {
	t.Helper()
	certificate, key := writeLeaf(t, home, authority)
	output := new(syncBuffer)
	cmd := exec.Command(server, "-use_tls", "-tls_cert_file", certificate, "-tls_key_file", key, "-port", "0")
	cmd.Env = append(basic(home), variable)
	cmd.Stdout, cmd.Stderr = output, output
	endWithUs(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := output.await(ctx, 0, "server listening on "); err != nil {
		t.Fatalf("%s does not say where it listens: %s", server, output.Bytes())
	}
	port := regexp.MustCompile(`server listening on \S+:(\d+)`).FindSubmatch(output.Bytes())
	return net.JoinHostPort("127.0.0.1", string(port[1]))
}

// writeLeaf writes a certificate for the service's host and its key.
func writeLeaf(t *testing.T, dir string, authority *certs.Authority) (certificate, key string) {
	t.Helper()
	leaf, err := authority.Leaf(grpcService.host)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, c := range leaf.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	certificate, key = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	for name, data := range map[string][]byte{
		certificate: chain,
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// call is how a program is told its case, where the server is, and its credential.
type call func(i *interop, name, host, port, authorization string) (command, environ []string)

func interopClient(i *interop, name, host, port, authorization string) (command, environ []string) {
	command = []string{filepath.Join(i.dir, "grpc-interop-client"), "-use_tls", "-test_case", name,
		"-server_host", host, "-server_port", port, "-server_host_override", grpcService.host,
		"-additional_metadata", "authorization:" + authorization}
	if name == "orca_per_rpc" || name == "orca_oob" {
		command = append(command, "-service_config_json", `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`)
	}
	return command, nil
}

func moreCalls(i *interop, name, host, port, authorization string) (command, environ []string) {
	command = []string{filepath.Join(i.dir, "grpc-calls"), name, net.JoinHostPort(host, port), grpcService.host}
	return command, []string{"AUTHORIZATION=" + authorization}
}

// play makes the call through the proxy. One that fails is made without it as well, to
// know whose fault it is.
func (i *interop) play(t *testing.T, c call, name string) {
	logged := len(i.log.Bytes())
	out, err := i.execute(t, i.client)(c(i, name, grpcService.host, "443", "Bearer "+bogus))
	if found := leak(out); found != "" {
		t.Errorf("the client printed a secret, %s", found)
	}
	if err == nil {
		return
	}
	host, port, _ := net.SplitHostPort(i.address)
	direct := "and so without keybearer"
	if _, err := i.execute(t, originEnv(i.scene, client{}))(c(i, name, host, port, grpcService.header())); err == nil {
		direct = "but not without keybearer"
	}
	t.Errorf("%s fails, %s: %v\n\nclient printed: %s\nkeybearer's log: %s", name, direct, err,
		tail(out, 4000), tail(i.log.Bytes()[logged:], 4000))
}

// execute returns what runs a command in an environment.
func (i *interop) execute(t *testing.T, env environ) func(command, more []string) ([]byte, error) {
	return func(command, more []string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir = i.home
		cmd.Env = slices.Concat(basic(i.home), env, more)
		killGroup(cmd)
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			err = fmt.Errorf("it was still at work after 90 s: %w", err)
		}
		return out, err
	}
}
