package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"keybearer/rules"
	"keybearer/secrets"
)

var update = flag.Bool("update", false, "rewrite the .want files of testdata/invalid")

const good = `
rules:
  - name: a
    match_hosts: [api.example.com]
    inject_headers: {X-Key: "${KEY}"}
`

// loadText loads a document from standard input.
func loadText(text string, o ...Options) (*Config, error) {
	var opt Options
	if len(o) > 0 {
		opt = o[0]
	}
	opt.Path, opt.Stdin = "-", strings.NewReader(text)
	return Load(opt)
}

func mustLoad(t *testing.T, text string, o ...Options) *Config {
	t.Helper()
	c, err := loadText(text, o...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// mustFail returns the text of the error.
func mustFail(t *testing.T, text string, o ...Options) string {
	t.Helper()
	_, err := loadText(text, o...)
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("Load: %v, want an *Error with problems", err)
	}
	return err.Error()
}

// Each file of testdata/invalid is refused with exactly the messages beside it.
func TestInvalid(t *testing.T) {
	t.Setenv("HOME", "/home/user")
	t.Chdir(filepath.Join("..", "..", "testdata", "invalid"))
	files, problems := invalidFiles(t), 0
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			_, err := Load(Options{Path: file})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Load: %v, want an *Error", err)
			}
			problems += len(e.Problems)
			got, want := e.Error()+"\n", file+".want"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(text) {
				t.Errorf("got:\n%s\nwant:\n%s", got, text)
			}
		})
	}
	if len(files) < 20 || problems < 100 {
		t.Errorf("%d files with %d problems: some are missing", len(files), problems)
	}
}

func invalidFiles(t *testing.T) (files []string) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".json" {
			files = append(files, e.Name())
		}
	}
	return files
}

// Each file of testdata/valid loads without a warning.
func TestValid(t *testing.T) {
	for _, file := range glob(t, "../../testdata/valid/*") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(Options{Path: file, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Policy.Rules) == 0 || len(c.Set.Rules()) == 0 {
				t.Error("no rules were read")
			}
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

// A value that may be a credential is in no message, wherever it was put.
func TestNoValueInMessages(t *testing.T) {
	const canary = "canary-7d1f"
	for name, text := range map[string]string{
		"secret as text":        "secrets: {KEY: canary-7d1f}",
		"secret as list":        "secrets: {KEY: [canary-7d1f]}",
		"env with a value":      "secrets: {KEY: {env: KEY=canary-7d1f}}",
		"header as list":        "rules: [{name: a, match_hosts: [a.example.com], inject_headers: {X: [canary-7d1f]}}]",
		"headers as text":       "rules: [{name: a, match_hosts: [a.example.com], inject_headers: canary-7d1f}]",
		"basic_auth as text":    "rules: [{name: a, match_hosts: [a.example.com], basic_auth: canary-7d1f}]",
		"type and value turned": "rules: [{name: a, match_hosts: [a.example.com], headers: [{name: X, value: opaque, type: canary-7d1f}]}]",
		"unknown key":           "rules: [{name: a, match_hosts: [a.example.com], passwort: canary-7d1f}]",
		"unsupported":           "rules: [{name: a, aws: {secret_access_key: canary-7d1f}}]",
		"upstream_proxy":        "upstream_proxy: http://user:canary-7d1f@proxy.example.com",
		"bad template":          "rules: [{name: a, match_hosts: [a.example.com], inject_headers: {X: 'canary-7d1f ${'}}]",
		"bad header value":      `rules: [{name: a, match_hosts: [a.example.com], inject_headers: {X: "canary-7d1f\n"}}]`,
		"alias":                 "rules: [{name: a, basic_auth: {username: a, password: *canary-7d1f}}]",
		"not YAML":              "rules: [{basic_auth: {username: a, password: @canary-7d1f}}",
		"upstream_proxy twice":  "upstream_proxy: http://a:canary-7d1f@b\nupstream_proxy: http://a:canary-7d1f@b",
		"tag":                   "rules: [{name: a, inject_headers: {X: !canary canary-7d1f}}]",
		"json":                  `{"secrets": {"KEY": "canary-7d1f"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(text, canary) {
				t.Fatal("no canary in the document")
			}
			if got := mustFail(t, text); strings.Contains(got, canary) {
				t.Errorf("the message repeats the value:\n%s", got)
			}
		})
	}
	t.Setenv("KEYBEARER_UPSTREAM_PROXY", "http://user:"+canary+"@proxy.example.com")
	if got := mustFail(t, good); strings.Contains(got, canary) {
		t.Errorf("environment: the message repeats the value:\n%s", got)
	}
}

// Header and secret names keep their case, and values their text.
func TestNamesKeepTheirCase(t *testing.T) {
	c := mustLoad(t, `
rules:
  - name: a
    match_hosts: [api.example.com]
    inject_headers: {X-MiXed: "${MiXed_Name}"}
secrets:
  MiXed_Name: {env: Other_Name}
`)
	if got := c.Policy.Rules[0].InjectHeaders["X-MiXed"]; got != "${MiXed_Name}" {
		t.Errorf("header: %q", got)
	}
	if got := c.Secrets.Named["MiXed_Name"]; got != (secrets.Source{Env: "Other_Name"}) {
		t.Errorf("secret: %+v", got)
	}
}

func TestUnusedSecret(t *testing.T) {
	text := good + "secrets: {KEY: {env: KEY}, OLD: {env: OLD}}\n"
	c := mustLoad(t, text)
	if len(c.Warnings) != 1 || !c.Warnings[0].Warning || c.Warnings[0].Path != "secrets.OLD" || c.Warnings[0].Line != 6 {
		t.Errorf("warnings: %+v", c.Warnings)
	}
	if got := mustFail(t, text, Options{Strict: true}); !strings.HasPrefix(got, "stdin:6:33: secrets.OLD: nothing refers") {
		t.Errorf("strict: %s", got)
	}
}

// A document without rules is allowed, and doubtful.
func TestNoRules(t *testing.T) {
	c := mustLoad(t, "no_proxy: [localhost]")
	if len(c.Warnings) != 1 || c.Warnings[0].Path != "rules" {
		t.Errorf("warnings: %+v", c.Warnings)
	}
}

// The file is found by --config, then KEYBEARER_CONFIG, then in the working directory.
func TestWhichFile(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, rule string) {
		text := strings.Replace(good, "name: a", "name: "+rule, 1)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(o Options, file, rule string) {
		t.Helper()
		c, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if c.File != file || c.Policy.Rules[0].Name != rule {
			t.Errorf("read %s with rule %s, want %s with %s", c.File, c.Policy.Rules[0].Name, file, rule)
		}
	}
	_, err := Load(Options{})
	if err == nil || !strings.Contains(err.Error(), "--config") || !strings.Contains(err.Error(), "KEYBEARER_CONFIG") || !strings.Contains(err.Error(), "./keybearer.yaml") {
		t.Errorf("no file: %v; want all three places", err)
	}
	write("keybearer.yaml", "default")
	expect(Options{}, "keybearer.yaml", "default")
	write("env.yaml", "env")
	t.Setenv("KEYBEARER_CONFIG", "env.yaml")
	expect(Options{}, "env.yaml", "env")
	write("flag.yaml", "flag")
	expect(Options{Path: "flag.yaml"}, "flag.yaml", "flag")
	expect(Options{Path: "-", Stdin: strings.NewReader(good)}, "-", "a")

	for _, path := range []string{"missing.yaml", "."} {
		var e *Error
		if _, err := Load(Options{Path: path}); !errors.As(err, &e) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an *Error that names it", path, err)
		}
	}
}

// Paths in the file are relative to the file; in flags and variables, to the
// working directory.
func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keybearer.yaml")
	text := good + "    client_certificate: {cert: client.pem, key: /etc/client.key}\nsecrets: {KEY: {file: secrets/key}}\nsecrets_dir: run\nupstream_ca: /etc/roots.pem\nenv_file: .env\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYBEARER_ENV_FILE", "other.env")
	c, err := Load(Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, got, want string }{
		{"secrets.KEY.file", c.Secrets.Named["KEY"].File, filepath.Join(dir, "secrets", "key")},
		{"client_certificate.cert", c.Set.Rules()[0].ClientCertificate().Cert, filepath.Join(dir, "client.pem")},
		{"client_certificate.key", c.Set.Rules()[0].ClientCertificate().Key, "/etc/client.key"},
		{"secrets_dir", c.Settings.SecretsDir, filepath.Join(dir, "run")},
		{"Secrets.Dir", c.Secrets.Dir, filepath.Join(dir, "run")},
		{"upstream_ca", c.Settings.UpstreamCA, "/etc/roots.pem"},
		{"env_file", c.Settings.EnvFile, "other.env"},
		{"Secrets.EnvFile", c.Secrets.EnvFile, "other.env"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}

func TestSettingsDefaults(t *testing.T) {
	t.Setenv("HOME", "/home/user")
	t.Setenv("XDG_CONFIG_HOME", "/home/user/.config")
	s := mustLoad(t, good).Settings
	dir, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{Listen: "127.0.0.1:3128", UnmatchedHosts: "tunnel", Drain: 30 * time.Second, CADir: filepath.Join(dir, "keybearer", "ca"), LogFormat: "auto", LogLevel: "info"}
	if fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// Flag beats variable beats file beats default, and a wrong value is reported
// where it was set, not in the file.
func TestPrecedence(t *testing.T) {
	flags := func(args ...string) *pflag.FlagSet {
		f := pflag.NewFlagSet("test", pflag.ContinueOnError)
		f.String("log-level", "debug", "")
		f.String("listen", "flag-default:1", "")
		f.String("env-file", "flag-default.env", "")
		f.StringSlice("allow-private", nil, "")
		f.SetOutput(io.Discard)
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		return f
	}
	level := func(text string, o Options) string { return mustLoad(t, text, o).Settings.LogLevel }
	file := good + "log_level: warn\nallow_private: [10.0.0.0/8]\n"

	if got := level(good, Options{Flags: flags()}); got != "info" {
		t.Errorf("default: %q; the default of a flag must not count", got)
	}
	if got := mustLoad(t, good, Options{Flags: flags()}).Settings.EnvFile; got != "" {
		t.Errorf("no default: %q; the default of a flag must not count", got)
	}
	if got := mustFail(t, good+"listen: nowhere\n", Options{Flags: flags()}); !strings.HasPrefix(got, "stdin:6:9: listen: ") {
		t.Errorf("wrong in the file: %s", got)
	}
	if got := level(file, Options{Flags: flags()}); got != "warn" {
		t.Errorf("file: %q", got)
	}
	t.Setenv("KEYBEARER_LOG_LEVEL", "")
	if got := level(file, Options{}); got != "warn" {
		t.Errorf("empty variable: %q", got)
	}
	t.Setenv("KEYBEARER_LOG_LEVEL", "error")
	if got := level(file, Options{Flags: flags()}); got != "error" {
		t.Errorf("variable: %q", got)
	}
	if got := level(file, Options{Flags: flags("--log-level=debug")}); got != "debug" {
		t.Errorf("flag: %q", got)
	}
	if got := mustFail(t, file, Options{Flags: flags("--log-level=loud")}); got != `--log-level: "loud" must be debug, info, warn or error` {
		t.Errorf("wrong flag: %s", got)
	}
	t.Setenv("KEYBEARER_LOG_LEVEL", "loud")
	if got := mustFail(t, file); got != `KEYBEARER_LOG_LEVEL: "loud" must be debug, info, warn or error` {
		t.Errorf("wrong variable: %s", got)
	}
	t.Setenv("KEYBEARER_LOG_LEVEL", "")
	t.Setenv("KEYBEARER_ALLOW_PRIVATE", "192.168.0.0/16, 127.0.0.1 fd00::/8")
	want := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	if got := mustLoad(t, file).Settings.AllowPrivate; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("list in a variable: %v, want %v", got, want)
	}
	got := mustLoad(t, file, Options{Flags: flags("--allow-private=10.1.0.0/16,10.2.0.0/16")}).Settings.AllowPrivate
	if fmt.Sprint(got) != "[10.1.0.0/16 10.2.0.0/16]" {
		t.Errorf("list in a flag: %v", got)
	}
	t.Setenv("KEYBEARER_ALLOW_PRIVATE", "10.0.0.1/8")
	if got := mustFail(t, file); !strings.HasPrefix(got, `KEYBEARER_ALLOW_PRIVATE: "10.0.0.1/8" `) {
		t.Errorf("wrong list in a variable: %s", got)
	}
}

// drain is a duration that somebody can wait for.
// seen red: d < 0 left out of the check.
func TestDrain(t *testing.T) {
	for text, want := range map[string]time.Duration{"0s": 0, "0": 0, "45s": 45 * time.Second, "1h": time.Hour} {
		if got := mustLoad(t, good+"drain: \""+text+"\"\n").Settings.Drain; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"30", "-1s", "1h1ns", "soon"} {
		want := `stdin:6:8: drain: "` + text + `" is not a duration from 0s to 1h; write 30s or 5m`
		if got := mustFail(t, good+"drain: \""+text+"\"\n"); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	t.Setenv("KEYBEARER_DRAIN", "10s")
	if got := mustLoad(t, good+"drain: 20s\n").Settings.Drain; got != 10*time.Second {
		t.Errorf("variable: %v", got)
	}
}

// unmatched_hosts, wherever it is set, governs the compiled policy.
func TestUnmatchedHosts(t *testing.T) {
	target, err := rules.ParseTarget("other.example.org:443", 0)
	if err != nil {
		t.Fatal(err)
	}
	verdict := func(text string) rules.Verdict { return mustLoad(t, text).Set.Decide(target).Verdict }
	if got := verdict(good); got != rules.Tunnel {
		t.Errorf("default: %v", got)
	}
	if got := verdict(good + "unmatched_hosts: deny\n"); got != rules.Deny {
		t.Errorf("file: %v", got)
	}
	t.Setenv("KEYBEARER_UNMATCHED_HOSTS", "deny")
	if got := verdict(good + "unmatched_hosts: tunnel\n"); got != rules.Deny {
		t.Errorf("variable: %v", got)
	}
}

// The admin listener has an address, or a socket. A file for the access log is
// relative to the configuration, and - is no file.
//
// seen red: checkAdmin not asked, and without @; access_log not among the paths.
func TestAdminAndAccessLog(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:9901", "[::1]:9901", "unix:/run/keybearer/admin.sock"} {
		if got := mustLoad(t, good+"admin: \""+address+"\"\n").Settings.Admin; got != address {
			t.Errorf("%q: %q", address, got)
		}
	}
	for address, want := range map[string]string{"9901": "not an address", "unix:": "needs a path", "unix:~/x": "not expanded", "unix:@x": "no permissions"} {
		if got := mustFail(t, good+"admin: \""+address+"\"\n"); !strings.Contains(got, "admin: ") || !strings.Contains(got, want) {
			t.Errorf("%q: %s", address, got)
		}
	}
	file := filepath.Join(t.TempDir(), "keybearer.yaml")
	if err := os.WriteFile(file, []byte(good+"access_log: access.log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(file), "access.log"); c.Settings.AccessLog != want {
		t.Errorf("%q, want %q", c.Settings.AccessLog, want)
	}
	if got := mustLoad(t, good+"access_log: \"-\"\n").Settings.AccessLog; got != "-" {
		t.Errorf("standard output: %q", got)
	}
}

// A misspelt variable would be ignored without a word.
func TestMisspeltVariable(t *testing.T) {
	t.Setenv("KEYBEARER_UNMATCHED_HOST", "deny")
	t.Setenv("KEYBEARER_PORT", "tcp://10.0.0.1:3128") // as set by Kubernetes
	c := mustLoad(t, good)
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].String(), "KEYBEARER_UNMATCHED_HOSTS?") {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

// Problems beyond the limit are not shown, and the last line says so. The one
// warning, that there are no rules, is not counted among them.
func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "xxxxxxxxxxxx%d: 1\n", i)
	}
	got := strings.Split(mustFail(t, b.String()), "\n")
	if len(got) != maxProblems+2 || !strings.Contains(got[maxProblems+1], "900 more problems") {
		t.Errorf("%d lines, the last is %s", len(got), got[len(got)-1])
	}
}

// However many warnings there are, nothing of the policy is lost.
func TestManyWarnings(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "xxxxxxxxxxxx%d: 1\n", i)
	}
	b.WriteString("proxy_config:" + strings.ReplaceAll(good, "\n", "\n  "))
	b.WriteString("\nunmatched_hosts: deny\n")
	c := mustLoad(t, b.String())
	if len(c.Set.Rules()) != 1 || c.Settings.UnmatchedHosts != "deny" {
		t.Errorf("%d rules, unmatched_hosts %s", len(c.Set.Rules()), c.Settings.UnmatchedHosts)
	}
	if n := len(c.Warnings); n != maxProblems+1 || !c.Warnings[n-1].Warning {
		t.Errorf("%d warnings, the last is %v", n, c.Warnings[n-1])
	}
	mustFail(t, b.String(), Options{Strict: true})
}

func TestTooLarge(t *testing.T) {
	padding := strings.Repeat("#", maxBytes-len(good))
	mustLoad(t, good+padding)
	if got := mustFail(t, good+padding+"#"); !strings.Contains(got, "larger than 4 MiB") {
		t.Error(got)
	}
}

// Documents made to hurt are refused, quickly.
func TestHostile(t *testing.T) {
	const size = 1 << 18
	deep := strings.Repeat("[", size)
	for name, text := range map[string]string{
		"deep yaml":   deep,
		"deep json":   deep + strings.Repeat("]", size),
		"deep block":  strings.Repeat("- ", size),
		"many keys":   strings.Repeat("a: 1\n", size),
		"long key":    strings.Repeat("a", size) + ": 1",
		"long scalar": "rules: " + strings.Repeat("a", size),
		"many items":  "no_proxy: [" + strings.Repeat("1,", size) + "1]",
		"not UTF-8":   "rules: \xff\xfe",
		"NUL":         "rules: \x00",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			text := mustFail(t, text)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if len(text) > 1<<16 {
				t.Errorf("the message has %d bytes", len(text))
			}
		})
	}
}
