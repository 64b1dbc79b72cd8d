//go:build unix

package certs

import "io/fs"

// sharedWith reports whether any of the permission bits in mask is set.
func sharedWith(info fs.FileInfo, mask fs.FileMode) bool {
	return info.Mode().Perm()&mask != 0
}
