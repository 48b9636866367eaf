package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const twoEvents = `{"auditID":"a","verb":"create","requestReceivedTimestamp":"2026-03-04T10:15:20.100000Z","stageTimestamp":"2026-03-04T10:15:20.250000Z"}

{"auditID":"b","verb":"get","user":{"username":"alice"},"requestReceivedTimestamp":"2026-03-04T10:16:00.000001Z","stageTimestamp":"2026-03-04T10:16:00.000002Z"}
`

func TestAReplayKeepsTheIntervalsAndEverythingElse(t *testing.T) {
	s, err := read(strings.NewReader(twoEvents))
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	for range 2 { // a second replay starts from the recording, not from the first
		moved := s.endingAt(end)
		if got := moved[1].staged; !got.Equal(end) {
			t.Errorf("the last stage is at %v, want %v", got, end)
		}
		if got, want := moved[1].received.Sub(moved[0].received), 39900001*time.Microsecond; got != want {
			t.Errorf("the requests are %v apart, want %v", got, want)
		}
	}
	body, err := s.endingAt(end)[1].encode()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got["stageTimestamp"] != "2030-01-02T03:04:05.000006Z" || got["requestReceivedTimestamp"] != "2030-01-02T03:04:05.000005Z" {
		t.Errorf("times are %v and %v", got["requestReceivedTimestamp"], got["stageTimestamp"])
	}
	if user, _ := got["user"].(map[string]any); got["verb"] != "get" || user["username"] != "alice" {
		t.Errorf("the rest of the event changed: %s", body)
	}
}

func TestARecordingThatCannotBeReplayedIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing in it":   "\n",
		"no JSON":         "{\n",
		"no times":        `{"auditID":"a"}`,
		"a time of words": `{"requestReceivedTimestamp":"noon","stageTimestamp":"noon"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(strings.NewReader(in)); err == nil {
				t.Error("it was read without an error")
			}
		})
	}
}
