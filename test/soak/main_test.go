package soak

import (
	"flag"
	"os"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "soak for long, and wait for the faults that take their time")

// roleEnv makes the test binary one of the other programs of a test.
const roleEnv = "KEYBEARER_SOAK_ROLE"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(roleEnv) == "upstream" {
		serveUpstream()
	}
	os.Exit(m.Run())
}

// needsLong skips a test that takes long.
func needsLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("takes long: make soak")
	}
}

// eventually waits until ok, for as long as patience.
func eventually(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
