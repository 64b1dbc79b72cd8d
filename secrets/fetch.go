package secrets

import (
	"context"
	"net/http"
	"time"
)

// A Fetcher gets a secret from a place that hands it out: a command, a server. A
// [Store] calls it, keeps what it gets and calls it again before that expires.
//
// It is plain data: two that reflect.DeepEqual finds equal get the same secret, and
// [Open] takes over what one of them has got for the other.
type Fetcher interface {
	// Fetch gets the secret. It ends when ctx does and may be called from any
	// goroutine, but not twice at once. Of an error, only a [Problem] in its chain
	// is shown to people: other errors may quote what was sent or received.
	Fetch(ctx context.Context, a Access) (Fetched, error)

	// References lists the names of the secrets that Fetch looks up.
	References() []string

	// String says where the secret comes from, in words and without any value:
	// "command op".
	String() string
}

// Access is what a [Fetcher] is given to work with.
type Access struct {
	// Lookup returns the text of a secret, which may have several lines. Its error
	// is to be returned as it is.
	Lookup func(name string) (string, error)

	// Client sends requests over verified TLS, and to loopback alone without. It
	// follows no redirect.
	Client *http.Client

	// Environ is the environment of the process when it began, as "NAME=value".
	Environ []string

	// State is that of the last Fetched, "" at first.
	State string
}

// Fetched is a secret that was fetched. It is not kept as it is.
type Fetched struct {
	Text string

	// Lifetime is how long it may be used from now on. 0 means until an upstream
	// refuses it, less than 0 that it has expired.
	Lifetime time.Duration

	// Refused says that there is none, by decision: of a [RequestFetcher], for the one
	// request. Nothing has failed.
	Refused bool

	// State is handed to the next Fetch, for places that hand out the key to the
	// next secret together with this one. It is lost when the process ends.
	State string
}

// A Problem says why a secret could not be fetched, and ends with the next step. It
// holds nothing that was received, and no value.
type Problem string

func (p Problem) Error() string { return string(p) }

// A Text is a setting of a [Fetcher] that refers to other secrets.
type Text interface {
	References() []string
	Expand(lookup func(name string) (string, error)) (string, error)
}
