package engine_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// story is the recorded attack story, one event an element.
func story(t testing.TB) [][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(detections.Story))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(all), []byte{'\n'})
}

func shipped(t testing.TB) *engine.Set {
	t.Helper()
	files, err := sigma.ReadDir(detections.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	set, problems := engine.Compile(sigma.Load(files, sigma.Options{}), engine.Options{})
	if len(problems) > 0 || len(set.Rules()) == 0 {
		t.Fatalf("%d rules, problems %v", len(set.Rules()), problems)
	}
	return set
}

// BenchmarkJudge judges the recorded story with the shipped rules; one operation is one event.
func BenchmarkJudge(b *testing.B) {
	events, j, v := story(b), shipped(b).NewJudge(), new(engine.Verdict)
	env := &event.Envelope{}
	size := 0
	for _, e := range events {
		size += len(e)
	}
	b.SetBytes(int64(size / len(events)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		j.Judge(events[i%len(events)], env, v)
	}
}
