package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var randomName = regexp.MustCompile(`-[` + randomAlphabet + `]{8,10}-[` + randomAlphabet + `]{5}$`)

// event is what the tests read of one.
type event struct {
	Level                         string
	AuditID                       string
	Stage, Verb, RequestURI       string
	User                          struct{ Username string }
	ObjectRef                     struct{ Resource, Subresource, Namespace, Name string }
	RequestObject, ResponseObject *struct {
		Metadata struct{ Name, Namespace string }
	}
	RequestReceivedTimestamp time.Time
	StageTimestamp           time.Time
	Annotations              map[string]string
}

func decode(t *testing.T, line []byte) event {
	t.Helper()
	if bytes.IndexByte(line, '\n') >= 0 {
		t.Fatalf("a newline inside a line: %q", line)
	}
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return e
}

func (e event) kind() string {
	return fmt.Sprintf("%s %s %s/%s at %s", e.Stage, e.Verb, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.Level)
}

func grown(t *testing.T, grow func(int) (*File, error), events int) *File {
	t.Helper()
	f, err := grow(events)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Lines) != events {
		t.Fatalf("%d events, want %d", len(f.Lines), events)
	}
	return f
}

func TestRecordingsAreWhatTheyAreCalled(t *testing.T) {
	for _, c := range []struct {
		name         string
		few, many    int     // events
		small, large float64 // mean bytes
		fewBodies    float64 // share of the events
		manyBodies   float64
		users        int
	}{
		{"metadata", 3000, 4000, 1000, 1300, 0, 0, 40},
		{"bodies", 1000, 1500, 3000, 5000, 0.6, 1, 30},
	} {
		lines, err := recorded(c.name)
		if err != nil {
			t.Fatal(err)
		}
		var size, bodies int
		users := map[string]bool{}
		for _, line := range lines {
			e := decode(t, line)
			size += len(line) + 1
			users[e.User.Username] = true
			if bytes.Contains(line, []byte(`,"requestObject":`)) || bytes.Contains(line, []byte(`,"responseObject":`)) {
				bodies++
			}
			for _, own := range []string{"/root/", "/home/", "/tmp/"} {
				if bytes.Contains(line, []byte(`"`+own)) {
					t.Errorf("%s: a path of the machine that recorded it: %s", c.name, line)
				}
			}
		}
		n := float64(len(lines))
		mean, share := float64(size)/n, float64(bodies)/n
		t.Logf("%s: %d events, mean %.0f bytes, %.0f %% with a body, %d users", c.name, len(lines), mean, 100*share, len(users))
		if len(lines) < c.few || len(lines) > c.many || mean < c.small || mean > c.large || share < c.fewBodies || share > c.manyBodies || len(users) < c.users {
			t.Errorf("%s is no longer what the benchmarks say of it", c.name)
		}
	}
}

// Nothing that remembers lines, or requests by their ID, can win; and the mix stays what was recorded.
func TestReplay(t *testing.T) {
	const events = 20000
	for name, grow := range map[string]func(int) (*File, error){"metadata": Metadata, "bodies": Bodies} {
		t.Run(name, func(t *testing.T) {
			lines, err := recorded(name)
			if err != nil {
				t.Fatal(err)
			}
			f := grown(t, grow, events)
			before, now := summarize(t, lines), summarize(t, f.Lines)
			if now.lines != events || now.stages != events {
				t.Errorf("of %d events %d are different lines, %d have another auditID or stage", events, now.lines, now.stages)
			}
			if math.Abs(now.mean/before.mean-1) > 0.03 {
				t.Errorf("mean %.0f bytes, %.0f in the recording", now.mean, before.mean)
			}
			for k, share := range before.kinds {
				// The last round is not complete.
				if math.Abs(now.kinds[k]-share) > 0.01 {
					t.Errorf("%s: %.3f of the events, %.3f in the recording", k, now.kinds[k], share)
				}
			}
			if len(now.kinds) != len(before.kinds) {
				t.Errorf("%d kinds of events, %d in the recording", len(now.kinds), len(before.kinds))
			}
		})
	}
}

type summary struct {
	lines, stages int                // different ones
	mean          float64            // bytes
	kinds         map[string]float64 // how often each comes, as a share
}

func summarize(t *testing.T, lines [][]byte) summary {
	t.Helper()
	s := summary{kinds: map[string]float64{}}
	seen, stages := map[string]bool{}, map[string]bool{}
	for _, line := range lines {
		e := decode(t, line)
		seen[string(line)], stages[e.AuditID+e.Stage] = true, true
		s.kinds[e.kind()] += 1 / float64(len(lines))
		s.mean += float64(len(line)) / float64(len(lines))
	}
	s.lines, s.stages = len(seen), len(stages)
	return s
}

// Each round: what an event says in several places still agrees, names and users differ from the other rounds', and time
// moves on.
func TestRoundsAgreeWithThemselvesAndDiffer(t *testing.T) {
	for _, name := range []string{"metadata", "bodies"} {
		lines, err := recorded(name)
		if err != nil {
			t.Fatal(err)
		}
		all, err := templates(lines)
		if err != nil {
			t.Fatal(err)
		}
		f := replay(name, all, 3*len(lines))
		pods, nodes, people := map[string]int{}, map[string]int{}, map[string]int{}
		before := make([]event, len(lines)) // a round earlier
		for i, line := range lines {
			before[i] = decode(t, line)
		}
		for i, line := range f.Lines {
			e, at, r := decode(t, line), i%len(lines), i/len(lines)
			agree(t, before[at], e)
			if r > 0 && (!e.StageTimestamp.After(before[at].StageTimestamp) || !e.RequestReceivedTimestamp.After(before[at].RequestReceivedTimestamp)) {
				t.Fatalf("time does not move on: %s", line)
			}
			before[at] = e
			switch {
			case e.ObjectRef.Resource == "pods" && randomName.MatchString(e.ObjectRef.Name):
				pods[e.ObjectRef.Name] |= 1 << r
			case strings.HasPrefix(e.User.Username, "system:node:"):
				nodes[e.User.Username] |= 1 << r
			case strings.HasPrefix(e.User.Username, "alice"):
				people[e.User.Username] |= 1 << r
			}
		}
		for what, seen := range map[string]map[string]int{"pods": pods, "nodes": nodes, "people": people} {
			if len(seen) < 3 {
				t.Errorf("%s: %s in three rounds: %v", name, what, slices.Collect(maps.Keys(seen)))
			}
			for n, rounds := range seen {
				if rounds&(rounds-1) != 0 {
					t.Errorf("%s: %s is in several rounds", name, n)
				}
			}
		}
	}
}

// agree compares the places that name the object: where they were the same text they still are.
func agree(t *testing.T, before, e event) {
	t.Helper()
	in := func(e event) (uri, request, response bool) {
		name := e.ObjectRef.Name
		return strings.Contains(e.RequestURI+"/", "/"+name+"/"),
			e.RequestObject != nil && e.RequestObject.Metadata.Name == name,
			e.ResponseObject != nil && e.ResponseObject.Metadata.Name == name
	}
	a, b, c := in(before)
	if x, y, z := in(e); x != a || y != b || z != c {
		t.Fatalf("%+v\nnames its object in other places than\n%+v", e, before)
	}
	if strings.Contains(before.RequestURI, "/namespaces/"+before.ObjectRef.Namespace+"/") != strings.Contains(e.RequestURI, "/namespaces/"+e.ObjectRef.Namespace+"/") {
		t.Fatalf("%+v: URI and namespace differ", e)
	}
	if before.Verb != e.Verb || before.ObjectRef.Resource != e.ObjectRef.Resource || before.ObjectRef.Subresource != e.ObjectRef.Subresource {
		t.Fatalf("%+v is another request than %+v", e, before)
	}
}

// A chosen name that is also a key or part of the API would change what is done.
func TestChosenNamesAreNotTheAPIs(t *testing.T) {
	for _, name := range []string{"metadata", "bodies"} {
		lines, err := recorded(name)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Join(lines, []byte("\n"))
		for n := range chosenNames {
			for _, not := range []string{`"` + n + `":`, `f:` + n + `"`, `"resource":"` + n + `"`, `"verb":"` + n + `"`, `"kind":"` + n + `"`} {
				if bytes.Contains(text, []byte(not)) {
					t.Errorf("%s: %s is in the recording", name, not)
				}
			}
		}
	}
}

func TestSameCallSameBytes(t *testing.T) {
	for _, grow := range []func(int) (*File, error){Metadata, Bodies, Generated} {
		a, b := grown(t, grow, 5000), grown(t, grow, 5000)
		if !slices.EqualFunc(a.Lines, b.Lines, bytes.Equal) || a.Bytes != b.Bytes {
			t.Errorf("%s: two calls, two files", a.Name)
		}
	}
}

func TestWriteTo(t *testing.T) {
	f := grown(t, Metadata, 5000)
	var out bytes.Buffer
	n, err := f.WriteTo(&out)
	if err != nil || n != f.Bytes || int64(out.Len()) != f.Bytes {
		t.Errorf("%d bytes, %v; %d in the buffer, %d promised", n, err, out.Len(), f.Bytes)
	}
	if want := append(bytes.Join(f.Lines, []byte("\n")), '\n'); !bytes.Equal(out.Bytes(), want) {
		t.Error("not the lines")
	}
}

func TestGenerated(t *testing.T) {
	const events = 4000
	f := grown(t, Generated, events)
	s := summarize(t, f.Lines)
	t.Logf("mean %.0f bytes", s.mean)
	if s.lines != events || s.stages != events {
		t.Errorf("of %d events %d are different lines, %d have another auditID or stage", events, s.lines, s.stages)
	}
	for _, k := range []string{"create pods/", "patch pods/status", "patch deployments/", "update deployments/status", "update configmaps/",
		"update customresourcedefinitions/", "list pods/"} {
		if share := s.kinds["ResponseComplete "+k+" at RequestResponse"]; share < 0.05 {
			t.Errorf("%s is %.3f of the events", k, share)
		}
	}
	for _, line := range f.Lines {
		if len(line) < 8<<10 || len(line) > 20<<10 {
			t.Fatalf("%d bytes", len(line))
		}
		if e := decode(t, line); e.ResponseObject == nil || (e.RequestObject == nil) != (e.Verb == "list") {
			t.Fatalf("a body is missing: %s", line)
		}
	}
	text := string(bytes.Join(f.Lines[:600], nil))
	for _, part := range []string{"größe", "設定", "🚀", `\u003cp class=\"x\"\u003e`, `\n`, `\t`, `\\`, `{\"apiVersion\":\"apps/v1\"`, `"f:spec":{`, `"openAPIV3Schema":{`} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in the generated events", part)
		}
	}
}

// Whatever the API server writes went through Go's encoder once: no space, <, > and & escaped, the event's keys in one order.
func TestSpellingIsTheAPIServers(t *testing.T) {
	order := []string{"kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "sourceIPs", "userAgent",
		"objectRef", "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations"}
	for _, grow := range []func(int) (*File, error){Metadata, Bodies, Generated} {
		f := grown(t, grow, 5000)
		var compact, escaped bytes.Buffer
		for _, line := range f.Lines {
			compact.Reset()
			escaped.Reset()
			if err := json.Compact(&compact, line); err != nil {
				t.Fatal(err)
			}
			json.HTMLEscape(&escaped, compact.Bytes())
			if !bytes.Equal(escaped.Bytes(), line) {
				t.Fatalf("%s: not as Go's encoder writes it: %s", f.Name, line)
			}
			last := 0
			for _, k := range keys(t, line) {
				at := slices.Index(order, k)
				if at < last {
					t.Fatalf("%s: %s out of its place: %s", f.Name, k, line)
				}
				last = at
			}
		}
	}
}

// keys returns an event's own keys in their order.
func keys(t *testing.T, line []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for d.More() {
		k, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fmt.Sprint(k))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}
