package readers

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// recordings are events of every kind that the rows see, and two recordings with attacks in them.
func recordings(t *testing.T) map[string][][]byte {
	t.Helper()
	attacks, err := os.ReadFile("../../../detections/testdata/attacks.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][][]byte{"story": unzip(t, detections.Story), "attacks": unzip(t, attacks)}
	for name, file := range map[string]func(int) (*traffic.File, error){"metadata": traffic.Metadata, "bodies": traffic.Bodies} {
		f, err := file(3000)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = f.Lines
	}
	return all
}

func unzip(t *testing.T, b []byte) [][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(text), []byte{'\n'})
}

// found are audit ids by rule's name.
type found map[string]map[string]bool

func (f found) add(rule, id string) {
	if f[rule] == nil {
		f[rule] = make(map[string]bool)
	}
	f[rule][id] = true
}

// byEngine judges with the shipped rules without their exceptions, which the programs do not have either.
func byEngine(t *testing.T, events [][]byte) found {
	t.Helper()
	files, err := sigma.ReadDir(detections.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	collection := sigma.Load(files, sigma.Options{})
	collection.Filters = nil
	set, problems := engine.Compile(collection, engine.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	all, decoder, judge, verdict := make(found), decode.New(decode.Options{}), set.NewJudge(), new(engine.Verdict)
	for _, e := range events {
		decoder.Decode(e, nil, func(it *decode.Item) {
			judge.Judge(it.Canonical, &it.Envelope, verdict)
			for _, m := range verdict.Matches {
				all.add(m.Rule.Name, auditID(t, e))
			}
		})
	}
	return all
}

func byCEL(t *testing.T, events [][]byte) found {
	t.Helper()
	c, err := NewCEL(ruleset.CEL())
	if err != nil {
		t.Fatal(err)
	}
	all := make(found)
	for _, e := range events {
		if err := c.Judge(e, func(rule string) { all.add(rule, auditID(t, e)) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func auditID(t *testing.T, event []byte) string {
	t.Helper()
	var e struct{ AuditID string }
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatal(err)
	}
	return e.AuditID
}

// The comparison with CEL is honest only if its programs do the work: they find what the engine finds, and nothing else.
func TestCELFindsWhatTheEngineFinds(t *testing.T) {
	seen := make(map[string]int)
	for name, events := range recordings(t) {
		engine, cel := byEngine(t, events), byCEL(t, events)
		for _, p := range ruleset.CEL() {
			seen[p.Rule] += len(engine[p.Rule])
			for id := range engine[p.Rule] {
				if !cel[p.Rule][id] {
					t.Errorf("%s: %s: CEL does not find %s", name, p.Rule, id)
				}
			}
			for id := range cel[p.Rule] {
				if !engine[p.Rule][id] {
					t.Errorf("%s: %s: CEL finds %s too", name, p.Rule, id)
				}
			}
		}
	}
	for _, p := range ruleset.CEL() {
		if seen[p.Rule] == 0 && p.Rule != "controller-pod-without-owner" { // nobody forged such a pod in the recordings
			t.Errorf("%s: no event of the recordings shows that its program works", p.Rule)
		}
	}
	t.Log(seen)
}

const oneEvent = `{"kind":"Event","level":"Request","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/x?a=1\u0026b=2","verb":"create",` +
	`"user":{"username":"bob","groups":["g1","g2"]},"impersonatedUser":{"username":"carol"},"sourceIPs":["10.0.0.1","10.0.0.2"],"userAgent":"kubectl/v1",` +
	`"objectRef":{"resource":"pods","namespace":"shop","name":"p","apiGroup":"apps","apiVersion":"v1","subresource":"exec"},"responseStatus":{"code":201},` +
	`"requestObject":{"verb":"other"},"requestReceivedTimestamp":"t1","stageTimestamp":"t2","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"why"}}`

func TestFastjsonTakesTwentyFields(t *testing.T) {
	var r Fastjson
	for range 2 { // the second time in used buffers
		if _, err := r.Read([]byte(`{"user":{"groups":["old1","old2","old3"]}}`)); err != nil {
			t.Fatal(err)
		}
		f, err := r.Read([]byte(oneEvent))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s", [][]byte{f.AuditID, f.Stage, f.Level, f.RequestURI, f.Verb, f.Username, f.ImpersonatedUsername, f.SourceIP, f.UserAgent, f.Resource,
			f.Namespace, f.Name, f.APIGroup, f.APIVersion, f.Subresource, f.RequestReceived, f.StageTime, f.Decision, f.Reason})
		want := "[a1 ResponseComplete Request /api/v1/x?a=1&b=2 create bob carol 10.0.0.1 kubectl/v1 pods shop p apps v1 exec t1 t2 allow why]"
		if got != want || f.Code != 201 || fmt.Sprintf("%s", f.Groups) != "[g1 g2]" {
			t.Errorf("%s\n%s %d %s", want, got, f.Code, f.Groups)
		}
	}
	if _, err := r.Read([]byte(`{"kind":`)); err == nil {
		t.Error("half an event was read")
	}
}

func TestNewlinesGoesRound(t *testing.T) {
	n := NewNewlines([]byte("a\n\nccc\n"))
	for i, want := range []int{1, 0, 3, 1, 0, 3, 1} {
		if got := n.Next(); got != want {
			t.Errorf("line %d: %d bytes, want %d", i, got, want)
		}
	}
}
