package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// turn does what the kubelet does with a volume: a new directory, and the link
// ..data to it, renamed over the old one. That it then deletes the old directory
// would only help.
func (s *served) turn(volume, version string, files map[string]string) {
	s.t.Helper()
	dir := filepath.Join(volume, "..v"+version)
	if err := os.MkdirAll(s.file(dir), 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, content := range files {
		s.writeFile(filepath.Join(dir, name), content)
		err := os.Symlink(filepath.Join("..data", name), s.file(filepath.Join(volume, name)))
		if err != nil && !os.IsExist(err) {
			s.t.Fatal(err)
		}
	}
	if err := os.Symlink("..v"+version, s.file(volume+"/..data_tmp")); err != nil {
		s.t.Fatal(err)
	}
	s.rename(volume+"/..data_tmp", volume+"/..data")
}

// The configuration and the secrets may be in Kubernetes volumes, which change all
// their files at once by turning a link.
//
// seen red: placesOf does not add the directory of a link.
func TestReloadVolumes(t *testing.T) {
	s := startServe(t, rulesWith("-"), func(s *served) {
		s.turn("etc", "1", map[string]string{"keybearer.yaml": "secrets_dir: ../run\n" + rulesShown("one ${TOKEN}")})
		s.turn("run", "1", map[string]string{"TOKEN": "first\n"})
		s.cmd.Args[3] = s.file("etc/keybearer.yaml")
	})
	defer s.oneConnection()()
	s.expect("/", "200 OK key=one first")
	s.turn("run", "2", map[string]string{"TOKEN": "no\n"})
	s.eventually("/", "200 OK key=one no")
	s.turn("etc", "2", map[string]string{"keybearer.yaml": "secrets_dir: ../run\n" + rulesShown("two ${TOKEN}")})
	s.eventually("/", "200 OK key=two no")
	s.turn("run", "3", map[string]string{"TOKEN": "third"})
	s.eventually("/", "200 OK key=two third")
}

// withSecret has one rule with a secret from a place, and one without.
func withSecret(place string) string {
	return place + rulesShown("${TOKEN}") + "    match_paths: [/secret]\n" +
		"  - name: other\n    match_hosts: [api.example.com]\n    inject_headers: {X-Key: plain}\n"
}

// A secret that changes takes effect with the next request of an open connection. While
// it is away its rule refuses its requests, and only its rule; when it is back, the
// rule is too.
//
// seen red: inputs without References; without env_file; placesOf without the nearest
// directory that is there.
func TestReloadSecret(t *testing.T) {
	const unavailable = "502 Bad Gateway keybearer: a secret of the rule is not available"
	const old = "200 OK key=first" // of what cannot be opened at all: see reloader.load
	tests := []struct {
		name, place string
		file        string // beside the configuration
		line        string // of the file, before the value
		away        string // the file or directory that is taken away
		meanwhile   string
	}{
		{"file of secrets", "secrets: {TOKEN: {file: token}}\n", "token", "", "token", unavailable},
		{"its directory", "secrets: {TOKEN: {file: deep/down/token}}\n", "deep/down/token", "", "deep/down", unavailable},
		{"file in secrets_dir", "secrets_dir: run\n", "run/TOKEN", "", "run/TOKEN", unavailable},
		{"secrets_dir", "secrets_dir: run\n", "run/TOKEN", "", "run", old},
		{"env_file", "env_file: .env\n", ".env", "TOKEN=", ".env", old},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServe(t, withSecret(tt.place), func(s *served) {
				if err := os.MkdirAll(filepath.Dir(s.file(tt.file)), 0o700); err != nil {
					t.Fatal(err)
				}
				s.writeFile(tt.file, tt.line+"zero\n")
			})
			open := s.oneConnection()
			s.expect("/secret", "200 OK key=zero")
			s.writeFile(tt.file, tt.line+"first\n")
			s.eventually("/secret", "200 OK key=first")
			open()                             // a refusal closes it
			s.rename(tt.away, tt.away+".away") // in a directory that only they are in
			s.awaitLog("level=ERROR")
			s.eventually("/secret", tt.meanwhile)
			s.expect("/", "200 OK key=plain")
			s.rename(tt.away+".away", tt.away)
			s.eventually("/secret", "200 OK key=first")
			s.writeFile(tt.file+".new", tt.line+"new\n")
			s.rename(tt.file+".new", tt.file)
			s.eventually("/secret", "200 OK key=new")
		})
	}
}

// A secret that turns up in secrets_dir goes before the environment.
func TestReloadSecretAdded(t *testing.T) {
	s := startServe(t, "secrets_dir: run\n"+rulesShown("${API_KEY}"), func(s *served) {
		if err := os.Mkdir(s.file("run"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	s.expect("/", "200 OK key=welcome")
	s.writeFile("run/API_KEY", "file\n")
	s.eventually("/", "200 OK key=file")
}

// Of a configuration that can be read only once the secrets are followed, and SIGHUP
// reads them again.
//
// seen red: isStream without the pipe.
func TestReloadStream(t *testing.T) {
	for _, tt := range []struct{ name, file string }{
		{"standard input", "-"},
		{"pipe", "/dev/fd/3"}, // what a shell makes of <(COMMAND)
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServe(t, "", func(s *served) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				t.Cleanup(func() { r.Close() })
				s.writeFile("token", "one")
				if _, err := w.WriteString("secrets: {TOKEN: {file: " + s.file("token") + "}}\n" + rulesShown("${TOKEN}")); err != nil {
					t.Fatal(err)
				}
				s.cmd.Args[3] = tt.file
				s.cmd.Stdin, s.cmd.ExtraFiles = r, []*os.File{r}
			})
			s.expect("/", "200 OK key=one")
			s.writeFile("token", "two")
			s.eventually("/", "200 OK key=two")
			s.signal(syscall.SIGHUP)
			s.awaitLog("only secrets are read again")
			s.awaitLog("msg=reloaded")
			s.expect("/", "200 OK key=two")
		})
	}
}

// The password for upstream_proxy changes like any secret.
//
// seen red: begin leaves the Lookup of the first store.
func TestReloadUpstreamProxy(t *testing.T) {
	passwords := make(chan string, 1)
	corporate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		_, password, _ := r.BasicAuth()
		select {
		case passwords <- password:
		default:
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer corporate.Close()
	config := "env_file: .env\nupstream_proxy: http://user:${PASSWORD}@" + corporate.Listener.Addr().String() + "\n"
	s := startServe(t, config+rulesWith("one"), func(s *served) { s.writeFile(".env", "PASSWORD=old\n") })
	used := func() string {
		if response, err := s.client.Get("https://other.example.com/"); err == nil {
			response.Body.Close()
		}
		select {
		case password := <-passwords:
			return password
		default:
			return "no request"
		}
	}
	if got := used(); got != "old" {
		t.Fatalf("the proxy is shown %q, want the password", got)
	}
	s.writeFile(".env", "PASSWORD=new\n")
	// Not after the first reload that is told: files as young as these are read again
	// at any event near them.
	got := ""
	for deadline := time.Now().Add(10 * time.Second); got != "new" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		got = used()
	}
	if got != "new" {
		t.Errorf("the proxy is shown %q, want the new password", got)
	}
}
