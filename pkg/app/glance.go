package app

import (
	"bytes"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// glance finds the audit level and the time of an event without reading all of it, for statistics that
// need no more: the first level and the last stageTimestamp in the text are the event's own, in the order
// of the API server and in that of shippers that sort keys.
func (c *clock) glance(canonical []byte) (level string, at time.Time) {
	if i := bytes.Index(canonical, levelKey); i >= 0 {
		level = levelOf(textAt(canonical, i+len(levelKey)))
	}
	if i := lastStageTime(canonical); i >= 0 {
		at = c.at(textAt(canonical, i+len(stageTimeKey)))
	}
	return level, at
}

var (
	levelKey     = []byte(`"level":`)
	stageTimeKey = []byte(`"stageTimestamp":`)
)

// lastStageTime is where the last stageTimeKey begins, -1 if there is none. It goes by the one capital in the key, which
// is found many bytes at a time and stands nearly nowhere else; bytes.LastIndex looks at every byte.
func lastStageTime(text []byte) int {
	const capital = len(`"stage`)
	for size := 512; ; size *= 8 {
		from, last := max(0, len(text)-size), -1
		for at := from; ; at++ {
			next := bytes.IndexByte(text[at:], 'T')
			if next < 0 {
				break
			}
			at += next
			if i := at - capital; i >= 0 && bytes.HasPrefix(text[i:], stageTimeKey) {
				last = i
			}
		}
		if last >= 0 || from == 0 { // a longer stretch can only have earlier ones
			return last
		}
	}
}

// clock reads times to the second. One event mostly happens in the second of the one before, so that only the rest has
// to be looked at.
type clock struct {
	last   [toSecond]byte
	second time.Time
}

// toSecond is the length of a time up to its seconds: 2026-03-04T10:15:20.
const toSecond = 19

func (c *clock) at(text []byte) time.Time {
	if len(text) > toSecond && string(c.last[:]) == string(text[:toSecond]) && isFraction(text[toSecond:]) {
		return c.second
	}
	at, ok := event.ParseTime(text)
	if ok && isFraction(text[toSecond:]) {
		c.last, c.second = [toSecond]byte(text), at.Truncate(time.Second)
	}
	return at.Truncate(time.Second)
}

// isFraction says that the text ends a time in UTC, with or without a fraction of a second.
func isFraction(text []byte) bool {
	digits, ok := bytes.CutSuffix(text, zulu)
	if !ok || len(digits) == 1 || len(digits) > 1 && digits[0] != '.' {
		return false
	}
	for _, c := range digits[min(1, len(digits)):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

var zulu = []byte("Z")

// textAt is the string that begins at or after i, without regard to escapes.
func textAt(b []byte, i int) []byte {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	if i >= len(b) || b[i] != '"' {
		return nil
	}
	end := bytes.IndexByte(b[i+1:min(len(b), i+1+maxGlance)], '"')
	if end < 0 {
		return nil
	}
	return b[i+1 : i+1+end]
}

const maxGlance = 64

// levelOf gives one of the known levels, so that nothing of the event is kept.
func levelOf(text []byte) string {
	switch string(text) {
	case "Metadata":
		return "Metadata"
	case "Request":
		return "Request"
	case "RequestResponse":
		return "RequestResponse"
	}
	return ""
}
