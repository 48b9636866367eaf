package file

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// isRotated says whether name is what rotation makes of base: audit.log.1, audit.log-20260304.gz of
// logrotate, and audit-2026-03-04T08-48-00.932.log of the API server.
func isRotated(base, name string) bool {
	if name == base {
		return false
	}
	if strings.HasPrefix(name, base+".") || strings.HasPrefix(name, base+"-") {
		return true
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	return stem != "" && strings.HasPrefix(name, stem+"-") && strings.Contains(name, ext)
}

// setBaselines notes, for each single file to follow, since when rotated siblings may hold what was never
// read: since the last position saved for it, and without one since now. Older siblings were complete
// before we first looked, and nobody asked for them.
func (f *follower) setBaselines() {
	f.baseline = make(map[string]time.Time)
	for _, path := range f.s.cfg.Paths {
		var last time.Time
		for _, e := range f.entries {
			if e.Path != path && (filepath.Dir(e.Path) != filepath.Dir(path) || !isRotated(filepath.Base(path), filepath.Base(e.Path))) {
				continue
			}
			if e.Updated.After(last) {
				last = e.Updated
			}
		}
		if last.IsZero() {
			last = f.started
		}
		f.baseline[path] = last.Add(-baselineSlack)
	}
}

// baselineSlack is for clocks of file systems that run behind ours.
const baselineSlack = 2 * time.Second

// rotated finds the rotated siblings of single files that were named: what such a file held when we last
// read it may have moved there while we were down, and more may have come and gone since.
func (f *follower) rotated(known []input) []input {
	seen := make(map[fileID]bool, len(known))
	for _, in := range known {
		seen[idOf(in.path, in.info)] = true
	}
	var out []input
	for _, path := range f.s.cfg.Paths {
		if isPattern(path) && !exists(path) {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		dir, base := filepath.Split(path)
		entries, err := os.ReadDir(filepath.Clean(dir))
		if err != nil {
			continue // the path itself is reported
		}
		for _, d := range entries {
			if !isRotated(base, d.Name()) {
				continue
			}
			sibling := filepath.Join(dir, d.Name())
			info, err := os.Stat(sibling)
			if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(f.baseline[path]) {
				continue
			}
			if id := idOf(sibling, info); !seen[id] {
				seen[id] = true
				out = append(out, input{path: sibling, info: info, size: info.Size()})
			}
		}
	}
	return out
}
