package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Callback asks a server which headers requests to a target shall have, as LangSmith's
// callbacks do: a POST with the target, answered with {"headers": {NAME: VALUE}}. The
// secret is the JSON object of headers. It is a [TargetFetcher].
type Callback struct {
	URL     string
	Headers map[string]Text // of the POST
	TTL     time.Duration

	target  string   // host:port
	request *Request // that is shown; nil: none
}

// RequestCallback is a [Callback] that is asked about each request, and shown it. By a
// 403 it refuses the request. It is a [RequestFetcher].
type RequestCallback struct {
	URL     string
	Headers map[string]Text // of the POST
}

// For implements [TargetFetcher].
func (c Callback) For(target string) Fetcher {
	c.target = target
	return c
}

// Fetch implements [Fetcher].
func (c Callback) Fetch(ctx context.Context, a Access) (Fetched, error) {
	host, port, err := net.SplitHostPort(c.target)
	if err != nil {
		return Fetched{}, Problem("there is no target; please report it")
	}
	number, _ := strconv.Atoi(port)
	body, err := json.Marshal(struct {
		Host    string   `json:"host"`
		Port    int      `json:"port"`
		Request *Request `json:"request,omitempty"`
	}{host, number, c.request})
	if err != nil {
		return Fetched{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return Fetched{}, Problem("the url is not one; correct it")
	}
	if err := setHeaders(r, c.Headers, a); err != nil {
		return Fetched{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, _, err := Answer(a.Client, r)
	var status *statusError
	switch {
	case c.request != nil && errors.As(err, &status) && status.code == http.StatusForbidden:
		return Fetched{Refused: true}, nil
	case err != nil:
		return Fetched{}, err
	}
	var got struct {
		Headers map[string]string `json:"headers"`
	}
	if json.Unmarshal(answer, &got) != nil || len(got.Headers) == 0 {
		return Fetched{}, Problem(`the server answered without {"headers": {NAME: VALUE}}; check the url`)
	}
	text, err := json.Marshal(got.Headers) // sorted, and without control characters
	return Fetched{Text: string(text), Lifetime: c.TTL}, err
}

// setHeaders sets the headers of a request for a secret.
func setHeaders(r *http.Request, headers map[string]Text, a Access) error {
	r.Header.Set("User-Agent", "keybearer")
	for name, value := range headers {
		text, err := value.Expand(a.Lookup)
		if err != nil {
			return err
		}
		if strings.ContainsFunc(text, isControl) {
			return Problem("a secret in the header " + name + " has several lines, which no header can have; use another")
		}
		r.Header.Set(name, text)
	}
	return nil
}

// References implements [Fetcher].
func (c Callback) References() []string { return HTTP{Headers: c.Headers}.References() }

// Server is the URL that is asked.
func (c Callback) Server() string { return c.URL }

// String names the URL without a query.
func (c Callback) String() string { return fmt.Sprintf("callback %s", HTTP{URL: c.URL}) }

// ForRequest implements [RequestFetcher].
func (c RequestCallback) ForRequest(target string, r *Request) Fetcher {
	return Callback{URL: c.URL, Headers: c.Headers, target: target, request: r}
}

// Fetch implements [Fetcher]: without a request there is nothing to ask.
func (c RequestCallback) Fetch(context.Context, Access) (Fetched, error) {
	return Fetched{}, Problem("there is no request; please report it")
}

// References implements [Fetcher].
func (c RequestCallback) References() []string { return c.callback().References() }

// Server is the URL that is asked.
func (c RequestCallback) Server() string { return c.URL }

// String names the URL without a query.
func (c RequestCallback) String() string { return c.callback().String() }

func (c RequestCallback) callback() Callback { return Callback{URL: c.URL, Headers: c.Headers} }
