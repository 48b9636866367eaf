//go:build !unix

package ndjson

import "os"

// lock does nothing where the system has no advisory locks.
func lock(*os.File) error { return nil }

// syncDir does nothing where directories cannot be made durable.
func syncDir(string) error { return nil }
