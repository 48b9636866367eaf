package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The form of metav1.MicroTime, in which audit events carry their two times.
const microTime = "2006-01-02T15:04:05.000000Z07:00"

const maxLine = 16 << 20

// event is an audit event of which only the times are of interest.
type event struct {
	request  string
	received time.Time
	staged   time.Time
	fields   map[string]json.RawMessage
}

// story is a recording, in the order it was written.
type story []event

func load(path string) (story, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return read(in)
}

func read(in io.Reader) (story, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var s story
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		e, err := parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(s)+1, err)
		}
		s = append(s, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(s) == 0 {
		return nil, errors.New("no event in it")
	}
	return s, nil
}

func parse(line []byte) (event, error) {
	var times struct {
		AuditID  string    `json:"auditID"`
		Received time.Time `json:"requestReceivedTimestamp"`
		Staged   time.Time `json:"stageTimestamp"`
	}
	if err := json.Unmarshal(line, &times); err != nil {
		return event{}, err
	}
	if times.Received.IsZero() || times.Staged.IsZero() {
		return event{}, errors.New("requestReceivedTimestamp or stageTimestamp is missing")
	}
	e := event{request: times.AuditID, received: times.Received, staged: times.Staged}
	return e, json.Unmarshal(line, &e.fields)
}

// endingAt is the story moved in time so that its last stage ends then.
func (s story) endingAt(end time.Time) []event {
	last := s[0].staged
	for _, e := range s {
		if e.staged.After(last) {
			last = e.staged
		}
	}
	by := end.Sub(last)
	moved := make([]event, len(s))
	for i, e := range s {
		e.received, e.staged = e.received.Add(by), e.staged.Add(by)
		moved[i] = e
	}
	return moved
}

// encode writes the event with its present times; it leaves what others share of it alone.
func (e event) encode() ([]byte, error) {
	fields := make(map[string]any, len(e.fields))
	for name, value := range e.fields {
		fields[name] = value
	}
	fields["requestReceivedTimestamp"] = e.received.UTC().Format(microTime)
	fields["stageTimestamp"] = e.staged.UTC().Format(microTime)
	return json.Marshal(fields)
}
