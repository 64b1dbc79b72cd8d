package certs

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verifyPython connects as strictly as Python 3.13 does by default.
const verifyPython = `
import socket, ssl, sys
address, port, host, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection((address, int(port))) as raw, context.wrap_socket(raw, server_hostname=host):
    pass
`

// verifyNode does the same with Node, whose checks of names are its own.
const verifyNode = `
const [address, port, host, ca] = process.argv.slice(1), net = require("net")
require("tls").connect({host: address, port, servername: net.isIP(host) ? "" : host, ca: require("fs").readFileSync(ca),
  checkServerIdentity: (_, cert) => require("tls").checkServerIdentity(host, cert)}, function () { this.end() })
`

// verifyJava is run as a single source file.
const verifyJava = `
import java.net.*; import java.io.*; import java.security.*; import java.security.cert.*; import javax.net.ssl.*;
class Verify {
  public static void main(String[] a) throws Exception {
    var store = KeyStore.getInstance("PKCS12"); store.load(null, null);
    try (var in = new FileInputStream(a[3])) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    var trust = TrustManagerFactory.getInstance("PKIX"); trust.init(store);
    var tls = SSLContext.getInstance("TLS"); tls.init(null, trust.getTrustManagers(), null);
    var raw = new Socket(a[0], Integer.parseInt(a[1]));
    var s = (SSLSocket) tls.getSocketFactory().createSocket(raw, a[2], Integer.parseInt(a[1]), true);
    var p = s.getSSLParameters(); p.setEndpointIdentificationAlgorithm("HTTPS"); s.setSSLParameters(p);
    s.startHandshake(); s.close();
  }
}
`

// Real clients that trust the root alone do as Go does. Each command gets the
// address and port of a server, the host it asks for, and the root's file.
func TestRealClients(t *testing.T) {
	java := filepath.Join(t.TempDir(), "Verify.java")
	if err := os.WriteFile(java, []byte(verifyJava), 0o600); err != nil {
		t.Fatal(err)
	}
	clients := []struct {
		program string
		args    func(address, port, host, ca string) []string
		refusal string // in what it prints when it refuses a certificate
		slow    bool
	}{
		{"curl", func(address, port, host, ca string) []string {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			return []string{"-q", "-sS", "--noproxy", "*", "--cacert", ca, "--connect-to", "::" + address + ":" + port, "https://" + host + "/"}
		}, "certificate", false},
		{"openssl", func(address, port, host, ca string) []string {
			name := "-verify_hostname"
			if _, err := netip.ParseAddr(host); err == nil {
				name = "-verify_ip"
			}
			return []string{"s_client", "-connect", net.JoinHostPort(address, port), name, host,
				"-x509_strict", "-verify_return_error", "-no-CApath", "-no-CAstore", "-CAfile", ca}
		}, "subtree violation", false},
		{"wget", func(address, port, host, ca string) []string {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			tunnel := tunnelTo(t, net.JoinHostPort(address, port))
			return []string{"--no-config", "-nv", "-t1", "-O", "-", "-e", "https_proxy=http://" + tunnel, "--ca-directory=", "--ca-certificate=" + ca,
				"https://" + host + "/"}
		}, "certificate", false},
		{"python3", func(address, port, host, ca string) []string {
			return []string{"-c", verifyPython, address, port, host, ca}
		}, "CERTIFICATE_VERIFY_FAILED", false},
		{"node", func(address, port, host, ca string) []string {
			return []string{"-e", verifyNode, "--", address, port, host, ca}
		}, "subtree violation", false},
		{"java", func(address, port, host, ca string) []string {
			return []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", java, address, port, host, ca}
		}, "CertPathValidatorException", true},
	}
	for _, client := range clients {
		t.Run(client.program, func(t *testing.T) {
			if _, err := exec.LookPath(client.program); err != nil {
				t.Skipf("%s is not installed", client.program)
			}
			for _, test := range handshakeTests {
				if !slices.Contains(testedWithClients, test.name) || client.slow && !slices.Contains(testedWhenSlow, test.name) {
					continue
				}
				a := newAuthority(t, test.constraints)
				ca := filepath.Join(t.TempDir(), rootFile)
				if err := os.WriteFile(ca, a.PEM(), 0o600); err != nil {
					t.Fatal(err)
				}
				leaf := leafOrForged(t, a, test.host)
				address, port, _ := net.SplitHostPort(serve(t, leaf))
				out, err := exec.Command(client.program, client.args(address, port, test.host, ca)...).CombinedOutput()
				if (err == nil) != test.accepted {
					t.Errorf("%s, %s: %v, want accepted = %t: %s", test.name, test.host, err, test.accepted, out)
				} else if err != nil && !strings.Contains(string(out), client.refusal) {
					t.Errorf("%s, %s: refused for another reason: %s", test.name, test.host, out)
				}
			}
		})
	}
}

var (
	testedWithClients = []string{"exact host", "below a base", "IPv4", "IPv6", "other host", "other IPv4", "other IPv6",
		"no IPs permitted, IPv4", "no IPs permitted, IPv6", "no names permitted, name", "no names permitted, IPv4",
		"only an IPv4 permitted, IPv6", "unconstrained, name", "unconstrained, IPv6", "only an IPv6 permitted, IPv6", "only an IPv6 permitted, IPv4",
		"as many names as fit"}
	testedWhenSlow = []string{"below a base", "other host", "no IPs permitted, IPv4", "no names permitted, name", "no names permitted, IPv4",
		"only an IPv6 permitted, IPv6", "as many names as fit"}
)

func leafOrForged(t *testing.T, a *Authority, host string) *tls.Certificate {
	t.Helper()
	if leaf, err := a.Leaf(host); err == nil {
		return leaf
	}
	return forge(t, a, host)
}

// tunnelTo runs a proxy that connects every request to address: wget cannot
// be told otherwise where a host is. It does not parse the request, because
// wget asks for an IPv6 address without brackets.
func tunnelTo(t *testing.T, address string) (proxy string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go tunnel(client, address)
		}
	}()
	return listener.Addr().String()
}

func tunnel(client net.Conn, address string) {
	defer client.Close()
	buffered := bufio.NewReader(client)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = buffered.ReadString('\n'); err != nil {
			return
		}
	}
	upstream, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer upstream.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, upstream)
	}()
	_, _ = io.Copy(upstream, buffered)
}
