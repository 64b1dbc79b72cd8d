package cli

import "testing"

// Two descriptors for each connection and some for the rest fit into the limit.
func TestConnsFor(t *testing.T) {
	for descriptors, want := range map[uint64]int{0: 1, 100: 1, 258: 1, 1024: 384, 20_000: 9_872, 1 << 40: 10_000} {
		if got := connsFor(descriptors); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
}
