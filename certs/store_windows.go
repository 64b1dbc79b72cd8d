package certs

import "io/fs"

// sharedWith is always false: Windows keeps access lists, which a directory in
// the user's profile inherits, and the mode says nothing about them.
func sharedWith(fs.FileInfo, fs.FileMode) bool {
	return false
}
