// Command profile is keybearer with net/http/pprof on a loopback address, to see
// where the time goes while the comparison loads it:
//
//	go build -o /tmp/profile ./profile
//	KEYBEARER_PPROF=127.0.0.1:6060 go run . -keybearer /tmp/profile -only keybearer -measure request
//	go tool pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=5
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"

	"keybearer/internal/cli"
)

func main() {
	if addr := os.Getenv("KEYBEARER_PPROF"); addr != "" {
		os.Unsetenv("KEYBEARER_PPROF") // the variables of that prefix are keybearer's settings
		l, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go http.Serve(l, nil)
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
