// Command client VERSION get|all BASE takes the steps of every client, see
// ../clients_test.go, with net/http as it comes: the proxy is HTTPS_PROXY's, the roots
// are SSL_CERT_FILE's.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	version, mode, base := os.Args[1], os.Args[2], os.Args[3]
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(version == "1.1")
	transport.Protocols.SetHTTP2(version == "2")
	c := client{http.Client{Transport: transport, Timeout: time.Minute}}

	fmt.Printf("%s\n", c.call("GET", base+"/echo", nil))
	if mode == "all" {
		upload, err := os.ReadFile("upload.bin")
		check(err)
		fmt.Printf("%s\n", c.call("POST", base+"/upload", upload))
		check(os.WriteFile("download.bin", c.call("GET", base+"/download", nil), 0o600))
	}
}

type client struct{ http.Client }

func (c *client) call(method, url string, body []byte) []byte {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	check(err)
	req.Header.Set("Authorization", "Bearer bogus-of-the-client")
	resp, err := c.Do(req)
	check(err)
	defer resp.Body.Close()
	fmt.Println(resp.Proto, resp.Status, resp.Header)
	data, err := io.ReadAll(resp.Body)
	check(err)
	if resp.StatusCode != http.StatusOK {
		log.Fatalf("%s %s: %s: %s", method, url, resp.Status, data)
	}
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
