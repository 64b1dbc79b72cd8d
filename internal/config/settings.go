package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Settings are what an operator may also give by flag or environment variable.
type Settings struct {
	Listen         string         // host:port; port 0 is any free port
	UnmatchedHosts string         // "tunnel" or "deny"
	AllowPrivate   []netip.Prefix // masked
	SecretsDir     string         // "" = none
	EnvFile        string         // "" = none
	CADir          string         // "" only if the user has no configuration directory
	ClientDir      string         // where the files for clients are; "" = CADir
	UpstreamCA     string         // PEM file; "" = the system's roots alone
	UpstreamProxy  *UpstreamProxy // nil = upstreams are reached directly
	Drain          time.Duration  // how long exchanges and tunnels may go on after SIGTERM; 0 to 1 h
	Admin          string         // host:port, or unix:PATH; "" = off
	AccessLog      string         // a file, "-" for standard output; "" = records go into the log
	LogFormat      string         // "auto", "text" or "json"
	LogLevel       string         // "debug", "info", "warn" or "error"
}

// settingsKeys are the settings as written in the file.
type settingsKeys struct {
	Listen         string   `yaml:"listen" doc:"Address to listen on. Default 127.0.0.1:3128."`
	UnmatchedHosts string   `yaml:"unmatched_hosts" doc:"What happens to hosts that no rule names. Default tunnel." enum:"tunnel,deny"`
	AllowPrivate   []string `yaml:"allow_private" doc:"CIDRs of private addresses that may be dialled although no rule names the host."`
	SecretsDir     string   `yaml:"secrets_dir" doc:"A directory with one file per secret."`
	EnvFile        string   `yaml:"env_file" doc:"A file of NAME=value lines."`
	CADir          string   `yaml:"ca_dir" doc:"Where the certificate authority is kept. Default: keybearer/ca in the user's configuration directory."`
	ClientDir      string   `yaml:"client_dir" doc:"Where serve writes the certificates that its clients need, all of them public. Default: ca_dir."`
	UpstreamCA     string   `yaml:"upstream_ca" doc:"A PEM file of roots for upstreams, added to the system's."`
	UpstreamProxy  string   `yaml:"upstream_proxy" doc:"The proxy of a corporate network on the way to the upstreams: http(s)://[USER:PASSWORD@]HOST:PORT; username and password may hold ${NAME}."`
	UpstreamDirect []string `yaml:"upstream_no_proxy" doc:"Hosts that are reached without upstream_proxy, written as in no_proxy."`
	Drain          string   `yaml:"drain" doc:"How long exchanges and tunnels may go on after SIGTERM, from 0s to 1h. Default 30s."`
	Admin          string   `yaml:"admin" doc:"Address of the admin listener: host:port or unix:PATH. It has a page of live traffic, metrics, health. Default: off."`
	AccessLog      string   `yaml:"access_log" doc:"A file for a line per request instead of the log; - is standard output."`
	LogFormat      string   `yaml:"log_format" doc:"Default auto: text on a terminal, JSON otherwise." enum:"auto,text,json"`
	LogLevel       string   `yaml:"log_level" doc:"Default info." enum:"debug,info,warn,error"`
}

// envPrefix begins the environment variables of settings: KEYBEARER_LOG_LEVEL.
const envPrefix = "KEYBEARER_"

// settings weighs flags, environment, file and defaults, and checks what wins.
// base is the directory of the file.
func (r *report) settings(file settingsKeys, base string, o Options) Settings {
	l := layers{report: r, viper: viper.New(), flags: o.Flags, alone: o.Alone}
	l.fill(file, base)
	if !o.Alone {
		r.lintEnvironment()
	}
	return Settings{
		Listen:         l.checked("listen", checkListen),
		UnmatchedHosts: l.oneOf("unmatched_hosts"),
		AllowPrivate:   l.prefixes("allow_private"),
		SecretsDir:     l.path("secrets_dir"),
		EnvFile:        l.path("env_file"),
		CADir:          l.path("ca_dir"),
		ClientDir:      l.path("client_dir"),
		UpstreamCA:     l.path("upstream_ca"),
		UpstreamProxy:  l.upstreamProxy(),
		Drain:          l.drain(),
		Admin:          l.checked("admin", checkAdmin),
		AccessLog:      l.path("access_log"),
		LogFormat:      l.oneOf("log_format"),
		LogLevel:       l.oneOf("log_level"),
	}
}

// layers is viper and what viper does not tell: which layer a value is from.
type layers struct {
	*report
	viper *viper.Viper
	flags *pflag.FlagSet
	alone bool // see Options
}

// fill hands the layers to viper. An empty variable is none: compose files are
// full of them.
func (l *layers) fill(file settingsKeys, base string) {
	own := make(map[string]any)
	v := reflect.ValueOf(file)
	for _, f := range settingsShape.fields {
		if value := v.FieldByIndex(f.index); !value.IsZero() {
			own[f.name] = value.Interface()
		}
		if !l.alone {
			if err := l.viper.BindEnv(f.name, envName(f.name)); err != nil {
				panic(err) // only without a name
			}
		}
		if flag := l.flag(f.name); flag != nil {
			if err := l.viper.BindPFlag(f.name, flag); err != nil {
				panic(err) // only without a flag
			}
		}
	}
	for _, name := range []string{"secrets_dir", "env_file", "ca_dir", "client_dir", "upstream_ca", "access_log"} {
		if s, ok := own[name].(string); ok && s != "-" {
			own[name] = relativeTo(base, s)
		}
	}
	if err := l.viper.MergeConfigMap(own); err != nil {
		panic(err) // only for keys that are not text
	}
	for name, value := range defaults() {
		l.viper.SetDefault(name, value)
	}
}

var settingsShape = shapeOf(reflect.TypeFor[settingsKeys]())

func defaults() map[string]string {
	d := map[string]string{
		"listen":          "127.0.0.1:3128",
		"unmatched_hosts": "tunnel",
		"drain":           "30s",
		"log_format":      "auto",
		"log_level":       "info",
	}
	if dir, err := os.UserConfigDir(); err == nil {
		d["ca_dir"] = filepath.Join(dir, "keybearer", "ca")
	}
	return d
}

func envName(setting string) string { return envPrefix + strings.ToUpper(setting) }

// flag returns the flag of a setting if it was given, else nil.
func (l *layers) flag(setting string) *pflag.Flag {
	if l.flags == nil {
		return nil
	}
	f := l.flags.Lookup(strings.ReplaceAll(setting, "_", "-"))
	if f == nil || !f.Changed {
		return nil
	}
	return f
}

// from returns the flag or the variable that a setting is taken from; "" if it
// is taken from the file or not set at all.
func (l *layers) from(setting string) string {
	if f := l.flag(setting); f != nil {
		return "--" + f.Name
	}
	if name := envName(setting); os.Getenv(name) != "" {
		return name
	}
	return ""
}

// problem reports a wrong setting where it was set; in the file that is at path.
func (l *layers) problem(setting, path string, err error) {
	if from := l.from(setting); from != "" {
		l.add(Problem{Path: from, Message: err.Error()})
	} else if !l.tainted(path) {
		l.errorf(path, "%v", err)
	}
}

func (l *layers) checked(setting string, check func(string) error) string {
	value := l.viper.GetString(setting)
	if err := check(value); err != nil {
		l.problem(setting, setting, err)
	}
	return value
}

func (l *layers) oneOf(setting string) string {
	f, _ := settingsShape.find(setting)
	return l.checked(setting, func(value string) error {
		if slices.Contains(f.enum, value) {
			return nil
		}
		return fmt.Errorf("%q must be %s", shorten(value), oneOf(f.enum))
	})
}

func (l *layers) path(setting string) string { return l.checked(setting, checkPath) }

func (l *layers) drain() (d time.Duration) {
	l.checked("drain", func(value string) (err error) {
		if d, err = time.ParseDuration(value); err != nil || d < 0 || d > time.Hour {
			return fmt.Errorf("%q is not a duration from 0s to 1h; write 30s or 5m", shorten(value))
		}
		return nil
	})
	return d
}

// list reads a list, written in flags and variables with commas or spaces.
func (l *layers) list(setting string) []string {
	switch value := l.viper.Get(setting).(type) {
	case string:
		return strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' })
	case []string:
		return value
	}
	return nil
}

func (l *layers) prefixes(setting string) (prefixes []netip.Prefix) {
	for i, item := range l.list(setting) {
		p, err := parsePrefix(item)
		if err != nil {
			l.problem(setting, fmt.Sprintf("%s[%d]", setting, i), err)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q is not a CIDR; write 10.0.0.0/8 or fd00::/8", shorten(s))
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set behind its length; write %s", s, p.Masked())
	}
	return p, nil
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /@%") {
		return fmt.Errorf("%q is not an address to listen on; write host:port, for example 127.0.0.1:3128", shorten(s))
	}
	return nil
}

func checkAdmin(s string) error {
	path, unix := strings.CutPrefix(s, "unix:")
	switch {
	case s == "":
		return nil
	case unix && path == "":
		return errors.New("unix: needs a path, as in unix:/run/keybearer/admin.sock")
	case unix && strings.HasPrefix(path, "@"):
		return fmt.Errorf("%q: an abstract socket has no permissions, so that everybody here could connect; write the path of a file", shorten(s))
	case unix:
		return checkPath(path)
	}
	return checkListen(s)
}

func checkPath(s string) error {
	switch {
	case strings.HasPrefix(s, "~"):
		return fmt.Errorf("%q: ~ is not expanded here; write the path in full", shorten(s))
	case strings.ContainsRune(s, 0):
		return errors.New("a path cannot hold a NUL byte")
	}
	return nil
}

// relativeTo resolves a path of the file.
func relativeTo(base, path string) string {
	if path == "" || filepath.IsAbs(path) || strings.HasPrefix(path, "~") {
		return path
	}
	return filepath.Join(base, path)
}

// lintEnvironment warns of a misspelt variable, which would be ignored without
// a word: KEYBEARER_UNMATCHED_HOST=deny. Only near misses count, since Kubernetes
// sets KEYBEARER_PORT and the like for a service of this name.
func (r *report) lintEnvironment() {
	names := []string{envPrefix + "CONFIG"}
	for _, f := range settingsShape.fields {
		names = append(names, envName(f.name))
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		word, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(names, name) {
			continue
		}
		if near := closest(word, append(settingsShape.names(), "config")); near != "" {
			r.add(Problem{Path: name, Message: "no such setting, ignored; did you mean " + envName(near) + "?", Warning: true})
		}
	}
}
