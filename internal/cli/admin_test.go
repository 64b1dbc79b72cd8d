package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keybearer/internal/telemetry"
	"keybearer/rules"
)

// withAdmin has serve listen on a socket beside its configuration.
func withAdmin(s *served) { s.cmd.Args = append(s.cmd.Args, "--admin", "unix:"+s.file("admin.sock")) }

// admin asks the admin listener.
func (s *served) admin(path string) (status int, body string) {
	s.t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.file("admin.sock"))
		}}}
	resp, err := client.Get("http://localhost" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(string(text), canary) {
		s.t.Errorf("%s tells the secret:\n%s", path, text)
	}
	return resp.StatusCode, string(text)
}

// told returns the state and the records that a watcher gets first.
func (s *served) told() (state telemetry.State, records []telemetry.Event) {
	s.t.Helper()
	conn, err := net.Dial("unix", s.file("admin.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var batch struct{ Records []telemetry.Event }
		if err := json.Unmarshal([]byte(data), &state); err != nil {
			s.t.Fatal(err)
		}
		if json.Unmarshal([]byte(data), &batch); len(batch.Records) > 0 {
			return state, batch.Records
		}
	}
	s.t.Fatal("the events ended before a record")
	return state, nil
}

// eventuallyAdmin asks until the answer holds want.
func (s *served) eventuallyAdmin(path string, status int, want string) {
	s.t.Helper()
	var gotStatus int
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if gotStatus, got = s.admin(path); gotStatus == status && strings.Contains(got, want) {
			return
		}
	}
	s.t.Fatalf("%s: still %d %s, want %d with %q", path, gotStatus, got, status, want)
}

// Who looks at the admin listener sees what was done, why, with what and how often; and
// never a value.
//
// seen red: enforce without tell; explainRecord without the rule's fields.
func TestAdmin(t *testing.T) {
	rule := rulesWith("${API_KEY}") + "    match_headers: [\"X-Team: blue\"]\n    match_paths: [/v1/*]\n"
	s := startServe(t, rule, withAdmin)
	req, err := http.NewRequest("GET", "https://api.example.com/v1/a?token=sesame", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Team", "blue")
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.get("/v1/b")
	if status, body := s.admin("/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, body)
	}
	state, records := s.told()
	if len(state.Rules) != 1 || state.Rules[0].Name != "api" || len(state.Secrets) != 1 || state.Secrets[0].Name != "API_KEY" ||
		state.Secrets[0].Source != "environment variable API_KEY" || state.Secrets[0].Modified.IsZero() {
		t.Errorf("state %+v", state)
	}
	if len(records) != 2 || records[0].Rule != "api" || records[0].Path != "/v1/a" || records[1].Rule != "" || records[0].FirstByteMS <= 0 {
		t.Fatalf("records %+v", records)
	}
	for i, want := range []string{"forwarded with the headers of rule api", "forwarded as it is, nothing injected"} {
		var e telemetry.Explanation
		status, body := s.admin(fmt.Sprint("/explain?id=", records[i].ID))
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != 200 || e.Result != want || e.Reloaded || len(e.Rules) != 1 {
			t.Errorf("explain %d: %d %v %+v", records[i].ID, status, err, e)
		}
	}
	s.eventuallyAdmin("/metrics", 200, `keybearer_requests_total{rule="api",verdict="intercept",status="200",error=""} 1`)
	s.write(strings.Replace(rule, "/v1/*", "/v2/*", 1))
	s.eventuallyAdmin("/metrics", 200, `keybearer_reloads_total{result="ok"} 1`)
	s.eventuallyAdmin(fmt.Sprint("/explain?id=", records[0].ID), 200, `"reloaded":true`)
}

// What is wrong is told where one looks: a configuration that was not taken, a secret
// that is gone, an end that is near.
//
// seen red: reject without tell; attend without draining.
func TestAdminTellsProblems(t *testing.T) {
	s := startServe(t, rulesWith("one"), withAdmin)
	s.write("rules: [{nome: x}]\n")
	s.eventuallyAdmin("/metrics", 200, `keybearer_reloads_total{result="rejected"} 1`)
	s.get("/")
	state, _ := s.told()
	if len(state.Rejected) == 0 || !strings.Contains(strings.Join(state.Rejected, "\n"), "rules[0].nome: unknown key") {
		t.Errorf("rejected %q", state.Rejected)
	}
	if status, body := s.admin("/readyz"); status != 200 {
		t.Errorf("the old configuration works, but: %d %s", status, body)
	}
	s.write(rulesWith("${GONE}"))
	s.eventuallyAdmin("/readyz", 503, "rule api refuses its requests: secret GONE cannot be used")
	s.eventuallyAdmin("/metrics", 200, "keybearer_rules_refusing 1\n")
	if state, _ = s.told(); len(state.Rejected) != 0 {
		t.Errorf("still rejected: %q", state.Rejected)
	}
	s.write(rulesWith("two"))
	s.eventuallyAdmin("/readyz", 200, "ok")
	defer close(s.up.release)
	go s.get("/wait")
	<-s.up.waiting
	s.signal(syscall.SIGTERM)
	s.eventuallyAdmin("/readyz", 503, "keybearer is shutting down")
	s.signal(syscall.SIGTERM)
	s.exitCode()
}

// The proxy leads nobody to the admin listener, by whatever name (I18).
//
// seen red: openAdmin without Own.
func TestAdminNotThroughProxy(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	s := startServe(t, rulesWith("one")+"allow_private: [0.0.0.0/0, \"::/0\"]\n", func(s *served) {
		s.cmd.Args = append(s.cmd.Args, "--admin", fmt.Sprint("127.0.0.1:", port))
	})
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"} {
		resp, err := s.client.Get(fmt.Sprintf("http://%s:%d/metrics", host, port))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.Header.Get("Proxy-Status"); !strings.Contains(got, "proxy_loop_detected") {
			t.Errorf("%s: %s, %q, %.80s", host, resp.Status, got, body)
		}
	}
}

// An access log has the records, all of them, in place of the log; it goes on in a new
// file after SIGHUP.
//
// seen red: openAccess with the level of the log; attend without reopen.
func TestAccessLog(t *testing.T) {
	s := startServe(t, rulesWith("one"), func(s *served) {
		s.cmd.Args = append(s.cmd.Args, "--access-log", s.file("access.log"), "--log-level", "warn")
	})
	s.expect("/a", "200 OK key=one")
	s.eventuallyIn("access.log", "path=/a ")
	s.rename("access.log", "access.log.1")
	s.signal(syscall.SIGHUP)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(s.file("access.log")); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.expect("/b", "200 OK key=one")
	s.eventuallyIn("access.log", "path=/b ")
	s.signal(os.Interrupt)
	if log := s.restOfLog(); strings.Contains(log, "path=") {
		t.Errorf("the log has records too:\n%s", log)
	}
}

func (s *served) eventuallyIn(name, want string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got, err := os.ReadFile(s.file(name))
		if err == nil && strings.Contains(string(got), want) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// Nobody reads the log: requests are served all the same.
//
// seen red: openLogs with slog on standard error itself (the request times out).
func TestLogNobodyReads(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	path := "/" + strings.Repeat("x", 400)
	for range 400 { // more than a pipe holds
		if got := s.get(path); got != "200 OK key=one" {
			t.Fatal(got)
		}
	}
}

// Other machines see what goes through the proxy only if that was asked for.
//
// seen red: serve without checkAdmin (serve.txtar).
func TestCheckAdmin(t *testing.T) {
	for address, ok := range map[string]bool{
		"": true, "127.0.0.1:9901": true, "[::1]:9901": true, "localhost:9901": true, "unix:/run/x": true,
		":9901": false, "0.0.0.0:9901": false, "192.0.2.1:9901": false, "[::]:9901": false, "admin.example.com:9901": false,
	} {
		if err := new(serveOptions).checkAdmin(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
		if err := (&serveOptions{allowRemote: true}).checkAdmin(address); err != nil {
			t.Errorf("%q, asked for: %v", address, err)
		}
	}
}

// fieldsOf is what the rule that acted asks for, and nothing for no rule.
func TestFieldsOf(t *testing.T) {
	set, problems := rules.Compile(rules.Config{Rules: []rules.RuleConfig{{
		Name: "a", MatchHosts: []string{"a.test"}, MatchHeaders: []string{"X-Team: blue", "X-Env:prod: eu"}, InjectHeaders: map[string]string{"X-Key": "k"},
	}}}, rules.Tunnel)
	if set == nil {
		t.Fatal(problems)
	}
	f := fieldsOf(set, "a")
	if !f.HasField("x-team", "blue") || !f.HasField("X-Env", "prod: eu") || len(f) != 2 || len(fieldsOf(set, "")) != 0 {
		t.Errorf("%v", f)
	}
}

// A secret that is fetched may be gone at any time, without a reload: it is told, and
// that it is back.
//
// seen red: attend without its look; status of what is fetched without its end.
func TestAdminTellsOfFetched(t *testing.T) {
	t.Parallel()
	s := startServe(t, rulesWith("${TOKEN}")+"secrets:\n  TOKEN: {exec: [cat, token], ttl: 1s}\n", withAdmin, func(s *served) {
		s.writeFile("token", "one")
		s.cmd.Dir = filepath.Dir(s.config)
	})
	s.eventuallyAdmin("/readyz", 200, "ok")
	if err := os.Remove(s.file("token")); err != nil {
		t.Fatal(err)
	}
	s.eventuallyAdmin("/readyz", 503, "secret TOKEN: ")
	s.eventuallyAdmin("/metrics", 200, `keybearer_secret_usable{secret="TOKEN"} 0`)
	s.writeFile("token", "two")
	s.eventuallyAdmin("/readyz", 200, "ok")
}
