//go:build !unix

package checkpoint

import (
	"io"
	"os"
)

// lockFile keeps the file open, which is the exclusion that these systems offer without further calls.
func lockFile(path string) (io.Closer, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// syncDir does nothing: these systems give no way to make a directory durable.
func syncDir(string) error { return nil }
