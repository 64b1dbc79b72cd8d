//go:build !linux

package cli

// remote is not known here.
func remote(string) bool { return false }
