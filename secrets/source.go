package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A source is one place that decides about one secret. To add a kind of
// source, implement it and let [Store.source] find it.
type source interface {
	// read returns the text as it is found there, or the reason why there is none.
	read() (text, reason string)
	// mode returns the permissions of the file behind it, if there is one.
	mode() (fs.FileMode, bool)
	// String says where it is, for people.
	String() string
}

// environment is a snapshot of the environment variables.
type environment map[string]string

func parseEnviron(pairs []string) environment {
	env := make(environment, len(pairs))
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if _, dup := env[name]; ok && !dup { // the first counts, as for getenv(3)
			env[name] = value
		}
	}
	return env
}

// variable is an environment variable.
type variable struct {
	environ environment
	name    string
	dir     string // which was asked first, and has no such file; "" if none was
}

func (v variable) read() (string, string) {
	text, ok := v.environ[v.name]
	switch {
	case ok:
		return text, ""
	case v.dir != "":
		return "", "not set, and " + v.dir + " has no file " + v.name + "; write that file, or export the variable"
	}
	return "", "not set; export it, or name another place in the secrets section"
}

func (v variable) mode() (fs.FileMode, bool) { return 0, false }
func (v variable) String() string            { return "environment variable " + v.name }

// file is a file that holds one secret and nothing else. With a dir it is
// looked up in that directory and cannot lead out of it, by a symbolic link
// either.
type file struct{ path, dir string }

func (f file) read() (text, reason string) {
	h, err := f.open()
	if err != nil {
		return "", fileReason(err)
	}
	defer h.Close()
	text, err = readBounded(h, maxSecret+len("\r\n"))
	if err != nil {
		return "", fileReason(err)
	}
	return text, ""
}

// known tells whether dir has an entry of that name, be it a dangling link. If
// that cannot be found out, as when dir has vanished, the answer is yes: read
// will say why, and no other place is asked in its stead.
func (f file) known() bool {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return true
	}
	defer root.Close()
	_, err = root.Lstat(f.path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (f file) mode() (fs.FileMode, bool) {
	h, err := f.open()
	if err != nil {
		return 0, false
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return 0, false
	}
	return info.Mode().Perm(), true
}

// open does not wait for the writer of a named pipe (O_NONBLOCK). The
// directory is opened each time, as it may have been replaced by a new one.
func (f file) open() (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if f.dir == "" {
		return os.OpenFile(f.path, flags, 0)
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(f.path, flags, 0)
}

func (f file) String() string { return "file " + filepath.Join(f.dir, f.path) }

// invalid stands for a name that cannot be the name of a secret.
type invalid struct{}

func (invalid) read() (string, string)    { return "", badName }
func (invalid) mode() (fs.FileMode, bool) { return 0, false }
func (invalid) String() string            { return "no place" }

var errNotRegular = errors.New("not a regular file")

// readBounded returns the content of a regular file; at most limit+1 bytes, so
// that the caller can tell that there are more than limit.
func readBounded(f *os.File, limit int) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	return string(data), err
}

// fileReason puts an error of the file system into words that end with the
// next step.
func fileReason(err error) string {
	switch {
	case errors.Is(err, errNotRegular):
		return "not a regular file; name the file itself"
	case errors.Is(err, fs.ErrNotExist):
		return "no such file; create it or correct the path"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied; let the user that runs keybearer read it"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Sprintf("%v; check the path", err)
}

// checkDir refuses a Dir that is not a directory we can use; "" is fine.
func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return &Error{Source: "secrets_dir " + dir, Reason: dirReason(err)}
	}
	return root.Close()
}

func dirReason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such directory; create it or correct the path"
	case errors.Is(err, syscall.ENOTDIR):
		return "not a directory; name the directory that holds the files"
	}
	return fileReason(err)
}

// maxSecret is the largest secret, in bytes. No server takes a longer header.
const maxSecret = 64 << 10

// usable returns the secret in text, or the reason why it holds none that a header
// can carry.
func usable(text string) (secret, reason string) {
	return without(text, isControl, "contains a line break or another control byte, which a header cannot carry; remove it")
}

// usableLines is usable for a secret that no header carries: a key in PEM form, a
// JSON document.
func usableLines(text string) (secret, reason string) {
	binary := func(r rune) bool { return isControl(r) && !strings.ContainsRune("\n\r\t", r) }
	return without(text, binary, "contains control bytes, as no text does; check that it is the right one")
}

// without returns the secret in text, in which there may be none of some characters.
func without(text string, these func(rune) bool, found string) (secret, reason string) {
	secret = trimLineEnd(text)
	switch {
	case secret == "":
		return "", "empty; put the secret there"
	case len(secret) > maxSecret:
		return "", "larger than 64 KiB; check that it is the right one"
	case strings.HasPrefix(secret, byteOrderMark):
		return "", "starts with a byte order mark; save it as plain UTF-8"
	case strings.ContainsFunc(secret, these):
		return "", found
	}
	return secret, ""
}

const byteOrderMark = "\ufeff"

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// trimLineEnd removes one \n or \r\n from the end.
func trimLineEnd(s string) string {
	if line, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(line, "\r")
	}
	return s
}

const badName = "not a secret name; use letters, digits, _ . and -, the first a letter or _"

// validName tells whether s is [A-Za-z_][A-Za-z0-9_.-]*, the NAME of a
// reference.
func validName(s string) bool { return s != "" && nameLen(s) == len(s) }

// nameLen returns the length of the longest name that s starts with.
func nameLen(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		later := '0' <= c && c <= '9' || c == '.' || c == '-'
		if !letter && (i == 0 || !later) {
			return i
		}
	}
	return len(s)
}
