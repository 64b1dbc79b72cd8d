//go:build clients

package clients

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// browserExample is the example's host with a page, from which a browser does what
// the mode asks for.
var browserExample = exampleWith((*upstream).browser, browserModes())

// browserModes are the example's, after the page has been loaded.
func browserModes() map[string]steps {
	modes := map[string]steps{}
	for mode, s := range example.modes {
		requests := slices.Concat([]string{"GET /v1/page"}, s.requests)
		verify := s.verify
		switch mode {
		case "stream", "events", "websocket", "gzip":
			verify = withoutPage(verify)
		case "hang-up":
			requests = append(requests, "GET /v1/left")
		}
		modes[mode] = steps{requests, verify}
	}
	return modes
}

// withoutPage is a check that looks at each request, without the page's.
func withoutPage(check func(outcome) error) func(outcome) error {
	return func(o outcome) error {
		o.requests = slices.DeleteFunc(slices.Clone(o.requests), func(r request) bool { return r.path == "/v1/page" })
		return check(o)
	}
}

// The icon is there, or the browser would ask for one.
const browserPage = `<!DOCTYPE html>
<html lang="en">
<title>A page</title>
<link rel="icon" href="data:,">
<p>The page of %s</p>
<input type="file" multiple>
`

func (u *upstream) browser(w http.ResponseWriter, r *http.Request) {
	// What the page is redirected to is at another origin than the page.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/page":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, browserPage, w.Header().Get("X-Answer"))
	case "GET /v1/left":
		u.left(w, r)
	case "GET /v1/download":
		u.silent(r) // a download shows nothing
		u.example(w, r)
	default:
		u.example(w, r)
	}
}

// left answers when the browser has left /forever, and leaves word of it for checkHangUp.
func (u *upstream) left(w http.ResponseWriter, r *http.Request) {
	select {
	case <-u.hungUp:
		u.hungUp <- struct{}{}
		writeJSON(w, map[string]string{"answer": w.Header().Get("X-Answer")})
	case <-time.After(patience / 2):
		http.Error(w, "the request that the browser has cancelled still goes on", http.StatusGatewayTimeout)
	case <-r.Context().Done():
	}
}
