// Command client VERSION MODE BASE goes through the modes of ../clients_test.go with
// net/http as it comes: the proxy is HTTPS_PROXY's, the roots are SSL_CERT_FILE's.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	version, mode, base := os.Args[1], os.Args[2], os.Args[3]
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, Protocols: new(http.Protocols),
		ExpectContinueTimeout: 10 * time.Second, // without one the body is sent at once
	}
	transport.Protocols.SetHTTP1(version == "1.1")
	transport.Protocols.SetHTTP2(version == "2")
	c := client{http.Client{Transport: transport, Timeout: time.Minute}, base}

	steps := map[string]func(){
		"get": c.get,
		"all": func() {
			c.get()
			c.upload("/upload", "upload.bin", nil)
			c.save("/download", "download.bin")
		},
		"large-upload":   func() { c.upload("/large", "large.bin", nil) },
		"large-download": func() { c.save("/large", "large-download.bin") },
		"stream":         func() { c.lines("/stream") },
		"events":         func() { c.lines("/events") },
		"continue":       func() { c.upload("/continue", "upload.bin", http.Header{"Expect": {"100-continue"}}) },
		"redirect":       func() { c.show(c.call("GET", "/redirect", nil, nil)) },
		"gzip":           func() { c.show(c.call("GET", "/gzip", nil, nil)) }, // asked for and decoded by the transport
		"trailers":       c.trailers,
		"hang-up":        c.hangUp,
	}
	step, ok := steps[mode]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such mode")
		os.Exit(64)
	}
	step()
}

type client struct {
	http.Client
	base string
}

// call returns what has status 200.
func (c *client) call(method, path string, body io.Reader, header http.Header) *http.Response {
	return c.callContext(context.Background(), method, path, body, header)
}

func (c *client) callContext(ctx context.Context, method, path string, body io.Reader, header http.Header) *http.Response {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	check(err)
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Authorization", "Bearer bogus-of-the-client")
	resp, err := c.Do(req)
	check(err)
	fmt.Println(resp.Proto, resp.Status, resp.Header)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		log.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp
}

// show prints the body.
func (c *client) show(resp *http.Response) {
	defer resp.Body.Close()
	_, err := io.Copy(os.Stdout, resp.Body)
	check(err)
}

func (c *client) get() { c.show(c.call("GET", "/echo", nil, nil)) }

// upload sends a file, chunked in HTTP/1.1 as its length is unknown.
func (c *client) upload(path, file string, header http.Header) {
	f, err := os.Open(file)
	check(err)
	c.show(c.call("POST", path, f, header))
}

func (c *client) save(path, file string) {
	f, err := os.Create(file)
	check(err)
	resp := c.call("GET", path, nil, nil)
	defer resp.Body.Close()
	_, err = io.Copy(f, resp.Body)
	check(err)
	check(f.Close())
}

// lines prints each as soon as it is there.
func (c *client) lines(path string) {
	resp := c.call("GET", path, nil, nil)
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	for scanner.Scan() {
		fmt.Println(scanner.Text())
	}
	check(scanner.Err())
}

func (c *client) trailers() {
	resp := c.call("GET", "/trailers", nil, http.Header{"Te": {"trailers"}})
	c.show(resp)
	for name, values := range resp.Trailer {
		for _, value := range values {
			fmt.Printf("trailer %s: %s\n", name, value)
		}
	}
}

// hangUp cancels the request while its answer goes on.
func (c *client) hangUp() {
	ctx, cancel := context.WithCancel(context.Background())
	resp := c.callContext(ctx, "GET", "/forever", nil, nil)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	check(err)
	fmt.Print(line)
	cancel()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
