package elasticsearch

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

var stamp = []byte(`"2026-01-02T03:04:05.678Z"`)

func TestEventIngestedIsPutIntoTheDocument(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"an event object", `{"a":1,"event":{"id":"x"},"b":2}`, `{"a":1,"event":{"ingested":"2026-01-02T03:04:05.678Z","id":"x"},"b":2}`},
		{"an empty event object", `{"event":{ }}`, `{"event":{"ingested":"2026-01-02T03:04:05.678Z" }}`},
		{"no event object", `{"a":1}`, `{"event":{"ingested":"2026-01-02T03:04:05.678Z"},"a":1}`},
		{"no members", `{}`, `{"event":{"ingested":"2026-01-02T03:04:05.678Z"}}`},
		{"a time that is there already", `{"event":{"id":"x","ingested":"1999-01-01T00:00:00Z","kind":"alert"}}`, `{"event":{"id":"x","ingested":"2026-01-02T03:04:05.678Z","kind":"alert"}}`},
		{"the name in other places", `{"message":"\"event\":{","x":{"event":{}},"l":["event",{"event":{}}],"event":{"k":{"ingested":1}}}`, `{"message":"\"event\":{","x":{"event":{}},"l":["event",{"event":{}}],"event":{"ingested":"2026-01-02T03:04:05.678Z","k":{"ingested":1}}}`},
		{"spaces everywhere", " {\t\"event\" :\r{ \"id\": 1 } } ", " {\t\"event\" :\r{\"ingested\":\"2026-01-02T03:04:05.678Z\", \"id\": 1 } } "},
		{"an event that is no object", `{"event":null}`, `{"event":null}`},
		{"no object at all", `[1]`, `[1]`},
		{"nothing", ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := stampIngested([]byte("before "), []byte(tt.body), stamp)
			if string(got) != "before "+tt.want {
				t.Errorf("got  %s\nwant before %s", got, tt.want)
			}
		})
	}
}

func FuzzStampIngested(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":"\\\""}],"event":{"ingested":1,"x":{}}}`, `{"event":{}}`, `{"event`, `{"\u0065vent":{}}`, `{"a":1,}`, `{"event":"}`, "{\"event\":{\"ingested\"", `{"event":[],"event":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got := stampIngested(nil, body, stamp)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		var was, is map[string]any
		if json.Unmarshal(body, &was) != nil || was == nil || repeats(body) {
			return // whatever it becomes, Elasticsearch refuses it as it would have before
		}
		if err := json.Unmarshal(got, &is); err != nil {
			t.Fatalf("%s became %s: %v", body, got, err)
		}
		if _, ok := was["event"].(map[string]any); !ok && was["event"] != nil {
			return
		}
		event, _ := is["event"].(map[string]any)
		if _, had := was["event"]; (!had || event != nil) && event["ingested"] == nil {
			t.Fatalf("%s became %s", body, got)
		}
		drop(was)
		drop(is)
		if !reflect.DeepEqual(was, is) {
			t.Fatalf("%s became %s", body, got)
		}
	})
}

// repeats is true if an object has two members of one name, which Elasticsearch does not take.
func repeats(body []byte) bool {
	type object struct {
		names map[string]bool // nil for a list
		value bool            // what comes next is a value
	}
	var open []object
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		var top *object
		if len(open) > 0 {
			top = &open[len(open)-1]
		}
		if name, ok := token.(string); ok && top != nil && top.names != nil && !top.value {
			if top.names[name] {
				return true
			}
			top.names[name], top.value = true, true
			continue
		}
		if top != nil {
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: make(map[string]bool)})
		case json.Delim('['):
			open = append(open, object{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
	}
}

// drop removes event.ingested, and an event object with nothing else in it.
func drop(m map[string]any) {
	if event, ok := m["event"].(map[string]any); ok {
		if delete(event, "ingested"); len(event) == 0 {
			delete(m, "event")
		}
	}
}

func FuzzStripBodies(f *testing.F) {
	for _, s := range []string{`{"foretop":{"request_object":{"a":1},"x":1}}`, `{"foretop":{"response_object":[`, `{"foretop":{}}`, `{"a":{"foretop":{"request_object":1}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := stripBodies(body)
		if !ok || !json.Valid(body) {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%s became %s", body, got)
		}
		if again, ok := stripBodies(got); ok {
			t.Fatalf("stripped twice: %s, then %s", got, again)
		}
	})
}

func BenchmarkStampIngested(b *testing.B) {
	body := []byte(`{"@timestamp":"2026-01-02T03:04:05Z","event":{"kind":"alert","id":"x"},"rest":"` + string(bytes.Repeat([]byte("x"), 4000)) + `"}`)
	dst := make([]byte, 0, 8192)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		dst = stampIngested(dst[:0], body, stamp)
	}
}
