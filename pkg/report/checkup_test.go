package report

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/pipeline"
)

func checkupParts() []*Part {
	return []*Part{
		{Kind: "rules", Checks: []pipeline.Check{{Name: "rules", Detail: "20 in force"}}},
		{Kind: "source", Name: "prod", Type: "kafka", Checks: []pipeline.Check{
			{Name: "cluster", State: pipeline.CheckWarning, Detail: strings.Repeat("long words ", 10), Fix: "name it"},
			{Name: "topic \x1b[2J", State: pipeline.CheckFailed, Detail: "two\nlines", Fix: "create it"},
		}, Sample: &RecordSample{Records: 3, CannotFire: []CannotFire{{Rule: "A", Why: "because"}}}},
	}
}

func TestACheckupIsShownWithWhatToDo(t *testing.T) {
	for locale, want := range map[string]string{
		"": `Rules
  ✓ rules: 20 in force
Source prod (kafka)
  ! cluster: long words long words long words
    long words long words long words long
    words long words long words long words
    → name it
  ✗ topic \x1b[2J: two\nlines
    → create it
`,
		"C": `Rules
  - rules: 20 in force
Source prod (kafka)
  ! cluster: long words long words long words
    long words long words long words long
    words long words long words long words
    -> name it
  x topic \x1b[2J: two\nlines
    -> create it
`,
	} {
		t.Setenv("LC_ALL", locale)
		t.Setenv("LC_CTYPE", "")
		t.Setenv("LANG", "")
		var out strings.Builder
		p := NewPrinter(&out, PrinterOptions{Width: 46})
		for _, part := range checkupParts() {
			p.Part(part)
		}
		if p.Err() != nil || out.String() != want {
			t.Errorf("locale %q:\n%s\nwant\n%s", locale, &out, want)
		}
	}
	t.Setenv("LC_ALL", "de_DE.utf8")
	if plainText() {
		t.Error("a locale with UTF-8 is taken for one without")
	}
}

func TestACheckupForMachinesHasStatesByName(t *testing.T) {
	var out strings.Builder
	if err := WriteCheckup(&out, checkupParts(), "v1", false); err != nil {
		t.Fatal(err)
	}
	var got struct {
		OK               bool
		Failed, Warnings int
		Version          string
		Parts            []struct {
			Kind   string
			Checks []struct{ Name, State, Fix string }
			Sample *RecordSample
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.OK || got.Failed != 1 || got.Warnings != 1 || got.Version != "v1" || len(got.Parts) != 2 {
		t.Errorf("%+v", got)
	}
	source := got.Parts[1]
	if source.Checks[0].State != "warning" || source.Checks[1].State != "failed" || got.Parts[0].Checks[0].State != "ok" || source.Sample.CannotFire[0].Rule != "A" {
		t.Errorf("%+v", got)
	}
}
