package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestADeadLetterReadsBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 30, -1)
		want := DeadLetter{
			Origin: Origin{
				Source: text.Draw(t, "source"), Stream: text.Draw(t, "stream"), Pos: text.Draw(t, "pos"),
				Offset: rapid.Int().Draw(t, "offset"), Length: rapid.Int().Draw(t, "span"),
			},
			Class: rapid.StringN(1, 10, -1).Draw(t, "class"), Detail: text.Draw(t, "detail"), Key: text.Draw(t, "key"),
			SHA256: text.Draw(t, "sha"), Length: rapid.Int().Draw(t, "length"),
			Time: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0).UTC(),
			Body: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "body"),
		}
		doc := EncodeDeadLetter(want)
		if !json.Valid(doc.Body) || len(doc.ID) != 64 || doc.Origin != want.Origin {
			t.Fatalf("document %+v", doc)
		}
		got, err := DecodeDeadLetter(doc.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if again := EncodeDeadLetter(got); again.ID != doc.ID || string(again.Body) != string(doc.Body) {
			t.Fatal("a second encoding differs")
		}
	})
}

func TestTheIDOfADeadLetterDependsOnWhereAndWhatItIsOnly(t *testing.T) {
	base := DeadLetter{Origin: Origin{Source: "s", Stream: "t", Pos: "1", Offset: 2, Length: 3}, Class: "not_json", SHA256: "aa", Length: 9}
	tests := []struct {
		name   string
		change func(*DeadLetter)
		same   bool
	}{
		{"time and wording may differ between deliveries", func(d *DeadLetter) { d.Time, d.Detail, d.Body = time.Now(), "other words", []byte("x") }, true},
		{"another position", func(d *DeadLetter) { d.Origin.Pos = "2" }, false},
		{"another stretch of the record", func(d *DeadLetter) { d.Origin.Offset = 4 }, false},
		{"another class", func(d *DeadLetter) { d.Class = ClassPanic }, false},
		{"other bytes at the same position", func(d *DeadLetter) { d.SHA256 = "bb" }, false},
		{"text moved over the border of two fields", func(d *DeadLetter) { d.Origin.Source, d.Origin.Stream = "st", "" }, false},
		{"a refused document, whatever its bytes", func(d *DeadLetter) { d.Key = "es/1" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := base
			tt.change(&d)
			if same := deadLetterID(d) == deadLetterID(base); same != tt.same {
				t.Errorf("same id: %v", same)
			}
		})
	}
	keyed := base
	keyed.Key = "es/1"
	changed := keyed
	changed.SHA256 = "bb"
	if deadLetterID(keyed) != deadLetterID(changed) {
		t.Error("the id of a refused document depends on bytes that differ at each attempt")
	}
}

func TestWhatIsNoDeadLetterIsNotReadAsOne(t *testing.T) {
	for text, want := range map[string]string{
		"{":                          "not in the form",
		`{"schema":2,"class":"x"}`:   "schema 2",
		`{"schema":1}`:               "no reason class",
		`{"schema":1,"class":["x"]}`: "not in the form",
	} {
		if _, err := DecodeDeadLetter([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestADeadLetterWithAnImpossibleTimeIsStillEncoded(t *testing.T) {
	doc := EncodeDeadLetter(DeadLetter{Class: "x", Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if !json.Valid(doc.Body) {
		t.Errorf("body %q", doc.Body)
	}
}
