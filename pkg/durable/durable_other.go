//go:build !unix

package durable

import "os"

// Lock does nothing where the system has no advisory locks.
func Lock(*os.File) error { return nil }

// SyncDir does nothing where directories cannot be made durable.
func SyncDir(string) error { return nil }

// access cannot be asked for here: writing tells.
func access(string) error { return nil }
