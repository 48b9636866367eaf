package app

import (
	"bytes"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
)

var levelTag, stageTimeTag = event.Tag("level"), event.Tag("stageTimestamp")

// glance finds the audit level and the time of an event without reading all of it, for statistics that need no more.
func (c *clock) glance(it *decode.Item) (level string, at time.Time) {
	return levelOf(inside(it.Member(levelTag))), c.at(inside(it.Member(stageTimeTag)))
}

// inside is a string without its quotes, without regard to escapes; nil for other values.
func inside(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
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
