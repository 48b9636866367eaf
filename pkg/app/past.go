package app

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// DefaultSince is how far `foretop scan --source` goes back where nothing else is said.
const DefaultSince = "24h"

// parseHistory reads the bounds of a stretch of time before now.
func parseHistory(since, until string, now time.Time) (pipeline.History, error) {
	if since == "" {
		since = DefaultSince
	}
	h := pipeline.History{Until: now}
	var err error
	if h.Since, err = parseMoment(since, now); err != nil {
		return h, fmt.Errorf("--since: %w", err)
	}
	if until != "" {
		if h.Until, err = parseMoment(until, now); err != nil {
			return h, fmt.Errorf("--until: %w", err)
		}
	}
	switch {
	case h.Until.After(now):
		return h, fmt.Errorf("--until %s lies in the future: a scan reads what is there and ends", until)
	case !h.Since.Before(h.Until):
		return h, fmt.Errorf("--since %s is not before --until", since)
	}
	return h, nil
}

var days = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// parseMoment reads an RFC 3339 time, a date (its beginning in UTC), or how long ago: 90m, 24h, 7d, 1d12h.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	ago, rest := time.Duration(0), text
	if m := days.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return time.Time{}, err
		}
		ago, rest = time.Duration(n)*24*time.Hour, m[2]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return time.Time{}, fmt.Errorf("%q is no time: write how long ago, as 90m, 24h or 7d, or a time, as 2026-11-20T03:00:00Z", text)
		}
		ago += d
	}
	return now.Add(-ago), nil
}
