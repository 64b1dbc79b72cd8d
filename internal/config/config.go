// Package config reads keybearer's configuration: one call, [Load], turns a
// file, the environment and flags into a [Config] that is valid as a whole, or
// into an [Error] that lists everything wrong with it.
//
// # One file, two ways through
//
// The file holds the policy (rules, no_proxy, access_control), the sources of
// secrets, and settings. Settings go through viper, for its precedence: flag,
// then KEYBEARER_<NAME>, then file, then default. Policy and secrets never do:
// viper lower-cases the keys of maps, and header and secret names are keys.
//
// # Why a decoder of our own
//
// The file is parsed by yaml.v3 (or, when it is JSON, by encoding/json) into a
// tree of nodes, and the tree is walked along the Go types with the help of
// their yaml, doc and enum tags. yaml.v3's own KnownFields would refuse unknown
// keys too, but stops knowing columns, says nothing about the path, suggests
// nothing, and turns numbers and booleans into header values without a word.
// The same types and tags make the JSON Schema ([Schema]), so the two agree.
//
// # Non-goals
//
// Load opens no file but the configuration and reads no secret: whether a
// secret resolves is asked later, by those who need it. Nothing found in the
// document is quoted in a message unless it is a key, a pattern or a setting
// that cannot hold a credential.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"keybearer/rules"
	"keybearer/secrets"
)

// DefaultFile is read when neither Options.Path nor KEYBEARER_CONFIG names one.
const DefaultFile = "keybearer.yaml"

// maxBytes bounds the file. A policy of 10,000 rules is about 2 MiB.
const maxBytes = 4 << 20

// Config is a configuration without errors. Load never changes it afterwards.
type Config struct {
	Policy   rules.Config    // as written
	Set      *rules.Set      // compiled; never nil
	Secrets  secrets.Sources // where secrets come from; Environ is nil, the process's own
	Settings Settings
	File     string    // as given: a path, or "-" for standard input
	Warnings []Problem // doubtful, in the order of the file; each has Warning set
	Literals []string  // paths of secrets that stand in the file itself, for fetching others
}

// Options says where to look. The zero value is usable.
type Options struct {
	Path   string         // --config; "-" is Stdin; "" is KEYBEARER_CONFIG, else ./keybearer.yaml
	Stdin  io.Reader      // nil is os.Stdin
	Flags  *pflag.FlagSet // settings by flag, log_format as --log-format; only those set on the command line count; may be nil
	Strict bool           // warnings are errors
	Alone  bool           // no KEYBEARER_ variable counts as a setting
}

// Load reads, decodes, checks and compiles the configuration. Its error is
// always an [*Error] that holds all problems at once, of more than a hundred the
// first; only what is not YAML at all hides the rest.
//
// Relative paths in the file are taken relative to its directory (to the working
// directory for standard input), those in flags and variables relative to the
// working directory.
func Load(o Options) (*Config, error) {
	file, data, err := read(o)
	if err != nil {
		return nil, &Error{Problems: []Problem{{Message: err.Error()}}}
	}
	r := &report{file: displayName(file)}
	c := r.load(file, data, o)
	return r.finish(c, o.Strict)
}

// File returns the name of the file that [Load] reads; "-" is standard input.
func (o Options) File() string {
	return cmp.Or(o.Path, os.Getenv("KEYBEARER_CONFIG"), DefaultFile)
}

// read finds the file and returns its name and content.
func read(o Options) (file string, data []byte, err error) {
	file = o.File()
	chosen := o.Path != "" || os.Getenv("KEYBEARER_CONFIG") != ""
	if file == "-" {
		in := o.Stdin
		if in == nil {
			in = os.Stdin
		}
		data, err = readAll(in, "standard input")
		return file, data, err
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) && !chosen {
		return "", nil, errors.New("no configuration: --config is not given, KEYBEARER_CONFIG is not set and ./" + DefaultFile +
			" does not exist; write that file or name one with --config FILE (examples/ has some to copy)")
	}
	if err != nil {
		return "", nil, fmt.Errorf("configuration: %w; check the path given by --config or KEYBEARER_CONFIG", err)
	}
	defer f.Close()
	data, err = readAll(f, file)
	return file, data, err
}

// readAll reads at most maxBytes. It does not trust a size reported by stat:
// the file may be a pipe.
func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("configuration: %s is larger than %d MiB; split it, or check that it is the right file", name, maxBytes>>20)
	}
	return data, nil
}

func displayName(file string) string {
	if file == "-" {
		return "stdin"
	}
	return file
}

// load runs every check it can, whatever the ones before it found, so that all
// problems come out at once. The result is complete only if r has no error.
func (r *report) load(file string, data []byte, o Options) *Config {
	if r.root = r.parse(data); r.root == nil {
		return nil
	}
	d := &decoder{report: r}
	doc, policyPath := d.document(r.root)
	base := ""
	if file != "-" {
		base = filepath.Dir(file)
	}
	c := &Config{File: file, Policy: doc.policy}
	c.Settings = r.settings(doc.settings, base, o)
	named := r.sources(doc.secrets, base)
	r.gcpRules(c.Policy.Rules, policyPath, named)
	r.callbacks(c.Policy.Callbacks, policyPath, named)
	c.Secrets = secrets.Sources{
		Named:   named,
		Dir:     c.Settings.SecretsDir,
		EnvFile: c.Settings.EnvFile,
	}
	r.certificates(c.Policy.Rules, base, policyPath)
	set, problems := c.Compile()
	r.compiled(problems, policyPath)
	c.Set, c.Literals = set, r.literals
	if set != nil {
		r.beforehand(c)
		r.lint(c, policyPath)
	}
	return c
}

// Compile compiles the policy with the verdict on unmatched hosts that the
// settings have. Load has done it once; it is for those who change the policy.
func (c *Config) Compile() (*rules.Set, []rules.Problem) {
	unmatched := rules.Deny
	if c.Settings.UnmatchedHosts == "tunnel" {
		unmatched = rules.Tunnel
	}
	return rules.Compile(c.Policy, unmatched)
}

// References lists the names of all secrets that the configuration needs, sorted;
// those that are needed to fetch others are among them.
func (c *Config) References() []string {
	return c.Secrets.Needs(slices.Concat(c.Set.References(), c.Settings.UpstreamProxy.References()))
}

// lint adds what can only be seen once everything is known.
func (r *report) lint(c *Config, policyPath string) {
	if len(c.Policy.Rules)+len(c.Policy.Callbacks) == 0 && !r.suspect(policyPath+"rules") {
		r.warn(policyPath+"rules", "there are no rules, so nothing will be injected; add one")
	}
	used := c.References()
	for name := range c.Secrets.Named {
		path := join("secrets", name)
		if !slices.Contains(used, name) && !r.suspect(path) {
			r.warn(path, "nothing refers to ${"+name+"}; use it or remove it")
		}
	}
}
