// Package soak runs bin/keybearer as people run it, as a process with real sockets on
// all sides, for a long time and through what goes wrong.
//
// # Soak
//
// TestSoak sends requests of every kind, intercepted and tunnelled, over HTTP/1.1 and
// HTTP/2, short and streamed, then holds idle tunnels open. It compares the process
// at rest before and after: goroutines, descriptors and heap must be what they were.
// At rest means that no client is connected and that no HTTP/1.1 connection to an
// upstream is kept for later; what caches hold is there before, since the same kinds
// of requests have warmed them.
//
// # Faults
//
// Each fault is a test. It says what the client sees, checks that no request reached
// an upstream without its credential (see upstream.verify), and that the process came
// back to rest.
//
// # Use
//
//	make soak            everything: 1,000,000 requests, all faults
//	make test            the short form of both, among the other tests
//	cd test/soak && go test -v -run TestFault . -long
//
// The program is run without the race detector: this is about the binary that ships.
package soak
