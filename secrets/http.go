package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HTTP fetches what a server, such as a vault, answers to a GET.
type HTTP struct {
	URL     string          // https, or http on loopback
	Headers map[string]Text // of the request

	// JSONPath says where in a JSON answer the secret is: the keys and the numbers of
	// elements that lead there, with dots between, as in data.keys.0. It may begin
	// with $. as in JSONPath. "" means that the answer is the secret.
	JSONPath string

	TTL time.Duration // how long the answer may be used; 0: until an upstream refuses it
}

// maxAnswer is the largest answer with a secret in it, in bytes.
const maxAnswer = 1 << 20

// Fetch implements [Fetcher].
func (h HTTP) Fetch(ctx context.Context, a Access) (Fetched, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return Fetched{}, Problem("the url is not one; correct it")
	}
	if err := setHeaders(r, h.Headers, a); err != nil {
		return Fetched{}, err
	}
	body, _, err := Answer(a.Client, r)
	if err != nil {
		return Fetched{}, err
	}
	text := string(body)
	if h.JSONPath != "" {
		if text, err = pick(body, h.JSONPath); err != nil {
			return Fetched{}, err
		}
	}
	return Fetched{Text: text, Lifetime: h.TTL}, nil
}

// References implements [Fetcher].
func (h HTTP) References() []string {
	var names []string
	for value := range maps.Values(h.Headers) {
		names = append(names, value.References()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Server is the URL that is asked.
func (h HTTP) Server() string { return h.URL }

// String names the URL without a query.
func (h HTTP) String() string {
	url, _, _ := strings.Cut(h.URL, "?")
	return url
}

// Answer sends a request and returns header and body of an answer that says that all
// went well: of at most 1 MiB. Any other answer is a [Problem].
func Answer(c *http.Client, r *http.Request) (body []byte, header http.Header, err error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode/100 == 3:
		return nil, nil, Problem(fmt.Sprintf("the server answered %d, and a redirect is not followed; write the address that it leads to", resp.StatusCode))
	case resp.StatusCode/100 != 2:
		return nil, nil, &statusError{resp.StatusCode, Problem(fmt.Sprintf("the server answered %d; check the address and the credentials%s", resp.StatusCode, skew(resp.Header)))}
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if len(body) > maxAnswer {
		return nil, nil, Problem("the server answered with more than 1 MiB; check the address")
	}
	return body, resp.Header, err
}

// statusError is a Problem with the status that says so.
type statusError struct {
	code int
	Problem
}

func (e *statusError) Unwrap() error { return e.Problem }

// skew says by how much the clock of a server differs, if that may be why it refuses.
func skew(h http.Header) string {
	const much = time.Minute
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	if off := time.Since(date).Round(time.Second); off.Abs() > much {
		return fmt.Sprintf(", and the clock of this machine: it is %s off that of the server", off)
	}
	return ""
}

// pick returns the text, or the number, at a path in a JSON document.
func pick(document []byte, path string) (string, error) {
	var at any
	d := json.NewDecoder(strings.NewReader(string(document)))
	d.UseNumber()
	if d.Decode(&at) != nil {
		return "", Problem("the answer is not JSON; check the address, or take json_path out")
	}
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	for key := range strings.SplitSeq(path, ".") {
		switch node := at.(type) {
		case map[string]any:
			at = node[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(node) {
				at = nil
				break
			}
			at = node[i]
		default:
			at = nil
		}
	}
	switch v := at.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", Problem("the answer has no text at " + path + "; check json_path")
}
