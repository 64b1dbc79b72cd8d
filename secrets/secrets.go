// Package secrets finds named secrets in the environment and in files, and
// hands them out as values that cannot be printed by accident.
//
// [Open] takes the places to look in, [Store.Lookup] finds one secret:
//
//	store, err := secrets.Open(secrets.Sources{
//		Named: map[string]secrets.Source{"GITHUB_TOKEN": {File: "/run/secrets/github"}},
//		Dir:   "/run/secrets",
//	})
//	...
//	token, err := store.Lookup("GITHUB_TOKEN") // prints as [redacted]
//
// The first place that knows the name decides, in this order: the entry in
// Named, the file of that name in Dir, the line in EnvFile, the environment
// variable of that name. A place that knows the name but has no usable value
// is an error; the next place is not tried, so that a broken file never turns
// into a stale environment variable. Relative paths are relative to the
// working directory of the process.
//
// One line ending (\n or \r\n) at the end of a secret is not part of it. A
// secret that is empty, longer than 64 KiB or that contains control bytes
// cannot be sent in a header and is refused. Nothing is ever expanded: neither
// a $ nor a backslash in a secret means anything.
//
// Files are not cached: each look-up reads its file. A [Fetcher] gets a secret from a
// command ([Exec]), a server ([HTTP]) or whatever a caller implements; it is asked
// when the secret is first looked up and again ahead of the end of its lifetime,
// by one goroutine at a time that lives only as long as the fetch. While that
// fails, the old value is used until it has expired. A server is verified, and what
// it is asked for cannot be read on the way.
package secrets

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Source says where one secret comes from. Exactly one of Env, File and Fetch is
// set.
type Source struct {
	Env  string // name of the environment variable that holds the secret
	File string // path of the file that holds it

	// Fetch gets it from a place that hands it out, perhaps for a time.
	Fetch Fetcher
	// Timeout is how long that may take; 0 is 10 s.
	Timeout time.Duration
}

// Sources are the places to look for secrets in. The zero Sources means the
// environment of the process.
type Sources struct {
	Named   map[string]Source // secret name to its one place
	Dir     string            // a directory with one file per secret; "" = none
	EnvFile string            // a dotenv file, read once by Open; "" = none
	Environ []string          // "NAME=value" pairs; nil = os.Environ()

	// Transport sends the requests of fetchers; nil is one that verifies servers by
	// the roots of the system.
	Transport http.RoundTripper

	// Notice is told when a secret that was there, or that is fetched when it is needed,
	// cannot be fetched, and, with a nil error, when it can be again. Of one that is
	// fetched for each request it is told once a minute at most that there was none. It
	// is called from any goroutine. Nil: nobody is.
	Notice func(name string, err error)

	// After is the store that this one takes the place of, if there is one: what it
	// has fetched is taken over. Its own use goes on until [Store.Retire].
	After *Store
}

type notice = func(name string, err error)

// A Store looks secrets up. It is safe for concurrent use.
type Store struct {
	named   map[string]source
	dir     string
	envFile dotenvFile
	environ environment
	notice  notice // may be nil

	transport http.RoundTripper // of fetchers
}

// An Error says why a secret cannot be used. No field ever holds a byte of the
// secret itself.
type Error struct {
	Name   string // of the secret; "" when a whole place is at fault
	Source string // as [Store.Describe] puts it
	Reason string // what is wrong and what to do about it
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: %s", e.Source, e.Reason)
	}
	return fmt.Sprintf("secret %s: %s: %s", e.Name, e.Source, e.Reason)
}

// Open checks the places and reads EnvFile. It does not look at single
// secrets. All that is wrong is reported at once, each as an [*Error].
func Open(s Sources) (*Store, error) {
	st := &Store{named: make(map[string]source, len(s.Named)), dir: s.Dir}
	if s.Environ == nil {
		s.Environ = os.Environ()
	}
	st.environ = parseEnviron(s.Environ)
	st.notice = s.Notice
	if st.transport = s.Transport; st.transport == nil {
		st.transport = newTransport()
	}

	var problems []error
	for _, name := range slices.Sorted(maps.Keys(s.Named)) {
		src, err := st.namedSource(name, s)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		st.named[name] = src
	}
	if err := checkDir(s.Dir); err != nil {
		problems = append(problems, err)
	}
	var err error
	if st.envFile, err = readDotenvFile(s.EnvFile); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	st.takeOver(s.After)
	return st, nil
}

func (st *Store) namedSource(name string, all Sources) (source, error) {
	s := all.Named[name]
	switch {
	case !validName(name):
		return nil, &Error{name, "secrets entry", badName}
	case s.Env != "" && s.File == "" && s.Fetch == nil:
		return variable{environ: st.environ, name: s.Env}, nil
	case s.File != "" && s.Env == "" && s.Fetch == nil:
		return file{path: s.File}, nil
	case s.Fetch == nil || s.Env != "" || s.File != "":
		return nil, &Error{name, "secrets entry", "needs either env or file, or what fetches it; keep exactly one of them"}
	case all.InCircle(name):
		return nil, &Error{name, s.Fetch.String(), "needs itself to be fetched; take it out of its own references"}
	}
	switch s.Fetch.(type) {
	case TargetFetcher:
		return &family{name: name, source: s, members: map[string]*fetched{}}, nil
	case RequestFetcher:
		return &perRequest{name: name, source: s}, nil
	}
	return newFetched(name, s), nil
}

// Lookup returns the secret of that name. Any error is an [*Error]. Files are read
// anew at each call. What is fetched is there already, or is waited for; two Values
// of it are equal (==) as long as it has not changed.
func (st *Store) Lookup(name string) (Value, error) {
	src := st.source(name)
	if f, ok := src.(*fetched); ok {
		return f.current()
	}
	text, err := read(name, src, usable)
	if err != nil {
		return Value{}, err
	}
	return newValue(text), nil
}

func read(name string, src source, usable func(text string) (secret, reason string)) (string, error) {
	text, reason := src.read()
	if reason == "" {
		text, reason = usable(text)
	}
	if reason != "" {
		return "", &Error{name, src.String(), reason}
	}
	return text, nil
}

// Describe says in words where the secret of that name comes from: "file
// /run/secrets/github", "environment variable GITHUB_TOKEN". It never tells
// whether the secret is usable, and nothing of it.
func (st *Store) Describe(name string) string { return st.source(name).String() }

// source finds the place that decides about name.
func (st *Store) source(name string) source {
	if src, ok := st.named[name]; ok {
		return src
	}
	if !validName(name) {
		return invalid{}
	}
	if st.dir != "" {
		if f := (file{path: name, dir: st.dir}); f.known() {
			return f
		}
	}
	if _, ok := st.envFile.values[name]; ok {
		return dotenvEntry{st.envFile, name}
	}
	return variable{st.environ, name, st.dir}
}

// minContained is the length from which on a secret is also looked for inside
// longer variables. Shorter ones would be found everywhere.
const minContained = 8

// EnvNames returns, sorted, the environment variables that give these secrets
// away, so that they can be kept from a child process: the variables the
// secrets are read from, those that merely have the name of a secret, and
// those whose value is, or contains, one of the secrets (a copy under another
// name, a URL with the password in it). Variables that are not set are not
// listed.
func (st *Store) EnvNames(names []string) []string {
	give := map[string]bool{}
	for _, name := range names {
		give[name] = true
		if v, ok := st.named[name].(variable); ok {
			give[v.name] = true
		}
		secret, err := read(name, st.source(name), usableLines)
		if err != nil {
			continue
		}
		for env, value := range st.environ {
			if holds(value, secret) {
				give[env] = true
			}
		}
	}
	maps.DeleteFunc(give, func(env string, _ bool) bool {
		_, set := st.environ[env]
		return !set
	})
	return slices.Sorted(maps.Keys(give))
}

func holds(value, secret string) bool {
	if len(secret) < minContained {
		return trimLineEnd(value) == secret
	}
	return strings.Contains(value, secret)
}

// exposed are the permission bits that hand a file to strangers: anything for
// others, and writing for the group. Reading by the group is how Kubernetes
// gives a secret to a container that does not run as root (fsGroup).
const exposed = 0o027

// Warnings reports what is doubtful about the places these secrets come from:
// files that others can read or replace. Each file is named once.
func (st *Store) Warnings(names []string) []string {
	var warnings []string
	for _, name := range names {
		if w := warnMode(st.source(name)); w != "" && !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// warnMode returns a warning if others can read or replace the file behind src.
func warnMode(src source) string {
	mode, ok := src.mode()
	if !ok || mode&exposed == 0 || runtime.GOOS == "windows" { // there it is a matter of ACLs, which Mode does not show
		return ""
	}
	return fmt.Sprintf("%s is open to other users (mode %04o); run chmod 600 on it", src, mode)
}
