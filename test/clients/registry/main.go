// Program registry is a registry of container images, of the distribution project,
// for the tests of keybearer. It keeps them in the directory that it is given, asks
// for no credential, prints the address that it listens on, on loopback without TLS,
// and ends when its standard input does. Without a directory it prints its version.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Println(version())
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	app := handlers.NewApp(context.Background(), settings(os.Args[1]))
	go func() {
		io.Copy(io.Discard, os.Stdin) // until whoever has started this is gone
		os.Exit(0)
	}()
	fmt.Println(l.Addr())
	log.Fatal(http.Serve(l, app))
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/distribution/distribution/v3" {
				return "distribution " + m.Version
			}
		}
	}
	return "distribution, of a version that is not known"
}

func settings(dir string) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": dir},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	c.Log.Level = "error"
	c.HTTP.Secret = rand.Text()
	return c
}
