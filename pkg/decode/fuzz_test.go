package decode

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

// FuzzDecoder feeds arbitrary records: the decoder must not panic, and what it emits must hold what Item
// promises.
func FuzzDecoder(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		for _, line := range bytes.SplitAfter(b, []byte("\n"))[:1] {
			f.Add(line)
			f.Add(line[:len(line)*2/3])
		}
	}
	f.Add([]byte(nativeEvent))
	f.Add([]byte(bodyEvent[:400] + "[Truncated...]"))
	f.Add(gzipped([]byte(nativeEvent)))
	f.Add([]byte(`{"log":` + string(appendQuoted(nil, []byte(bodyEvent[:400])))))
	f.Add([]byte(`[{"kubernetes":{"audit":` + bodyEvent + `}},{"a":[1}]`))
	mapping, err := ParseMapping("topic:^a-(.*)$", "header:c", "key", "envelope:kubernetes.cluster.name", "envelope:cluster")
	if err != nil {
		f.Fatal(err)
	}
	o := Options{MaxItems: 50, MaxDepth: 100, MaxItemBytes: 100_000, MaxDecompressed: 1 << 20, ClusterFrom: mapping}
	d, slow := New(o), New(o)
	slow.unindexed = true
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		items := 0
		var reused, fresh, unindexed []string
		describe := func(it *Item, list *[]string) {
			env := it.Envelope
			*list = append(*list, fmt.Sprint(it.Kind, it.Class, it.Offset, it.Length, env.Format, env.Provider, env.Cluster, env.Time, env.Truncated)+string(it.Canonical)+string(it.Raw))
		}
		New(o).Decode(body, nil, func(it *Item) { describe(it, &fresh) })
		slow.Decode(body, nil, func(it *Item) { describe(it, &unindexed) })
		d.Decode(body, nil, func(it *Item) {
			checkItem(t, it, body)
			describe(it, &reused)
			if items++; items > 51 {
				t.Fatal("more items than the limit")
			}
			if it.Kind != Event {
				return
			}
			e, err := event.Parse(it.Canonical)
			if err != nil {
				t.Fatalf("%v: %q", err, it.Canonical)
			}
			if e.Verb == "" {
				t.Fatalf("an event without verb: %q", it.Canonical)
			}
			e.Outcome()
			e.DryRun()
		})
		if !slices.Equal(fresh, reused) {
			t.Fatalf("a decoder that has been used before decodes it differently:\n%q\n%q", fresh, reused)
		}
		if !slices.Equal(unindexed, reused) {
			t.Fatalf("the index reads it differently than the scanner:\n%q\n%q", reused, unindexed)
		}
		if items == 0 {
			t.Fatal("a record without items")
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the record was written to")
		}
	})
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}
