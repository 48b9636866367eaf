package app

import (
	"bytes"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// glance finds the audit level and the time of an event without reading all of it, for statistics that
// need no more: the first level and the last stageTimestamp in the text are the event's own, in the order
// of the API server and in that of shippers that sort keys.
func glance(canonical []byte) (level string, at time.Time) {
	if i := bytes.Index(canonical, levelKey); i >= 0 {
		level = levelOf(textAt(canonical, i+len(levelKey)))
	}
	if i := bytes.LastIndex(canonical, stageTimeKey); i >= 0 {
		at, _ = event.ParseTime(string(textAt(canonical, i+len(stageTimeKey))))
	}
	return level, at
}

var (
	levelKey     = []byte(`"level":`)
	stageTimeKey = []byte(`"stageTimestamp":`)
)

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
