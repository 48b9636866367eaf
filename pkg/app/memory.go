package app

import (
	"os"
	"runtime/debug"
)

const (
	// beyondBudget is what a process may hold beside the records of its budget, in bytes.
	beyondBudget = 100 << 20
	// notHeap is the part of beyondBudget that the collector does not see: the program's own pages, mostly.
	notHeap = 42 << 20
	// scanGrowth is by how many percent the heap of a scan may grow between two collections. Reading a file leaves a
	// block behind for each that is read, beside little that lives, so that the usual 100 collects all the time.
	scanGrowth = 300
)

// tuneCollector makes the collector work less while there is room, and harder before a scan holds more than its budget
// and beyondBudget. What GOGC and GOMEMLIMIT say stands. restore undoes it.
func tuneCollector(budget int64) (restore func()) {
	limit, growth := int64(-1), 0
	if os.Getenv("GOMEMLIMIT") == "" {
		limit = debug.SetMemoryLimit(budget + beyondBudget - notHeap)
		if os.Getenv("GOGC") == "" { // without the limit, a large budget would grow as much
			growth = debug.SetGCPercent(scanGrowth)
		}
	}
	return func() {
		if limit >= 0 {
			debug.SetMemoryLimit(limit)
		}
		if growth != 0 {
			debug.SetGCPercent(growth)
		}
	}
}
