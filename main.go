// Keybearer is a forward proxy that lets programs use credentials they can never
// learn. See README.md, and keybearer help.
package main

import (
	"os"

	"keybearer/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
