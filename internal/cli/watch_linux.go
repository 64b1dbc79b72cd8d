package cli

import "golang.org/x/sys/unix"

// remote reports whether a place is on a file system that others can change
// without an event here. inotify watches those without an error.
func remote(place string) bool {
	var s unix.Statfs_t
	if unix.Statfs(place, &s) != nil {
		return false
	}
	switch uint32(s.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC:
		return true
	}
	return false
}
