//go:build unix

package file

import (
	"io/fs"
	"syscall"
)

// idOf is the device and the inode, which a file keeps when it is renamed.
func idOf(path string, info fs.FileInfo) fileID {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(stat.Dev), uint64(stat.Ino)} //nolint:unconvert // the types differ between systems
	}
	return idOfPath(path)
}
