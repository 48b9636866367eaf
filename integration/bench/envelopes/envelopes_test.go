package envelopes

import (
	"encoding/json"
	"testing"

	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
)

// formats are the decoder's names of the forms: a form that it takes for another would measure another.
var formats = map[string]string{
	"native": decode.FormatNative, "eventlist": decode.FormatEventList, "filebeat": decode.FormatKey + "message", "fluent-bit": decode.FormatKey + "log",
	"fluentd": decode.FormatMerged, "vector": decode.FormatKey + "message", "eks-subscription": decode.FormatEKS, "eks-subscription-gzip": decode.FormatEKS,
	"eks-api": decode.FormatEKS, "aks": decode.FormatAKS, "gke": decode.FormatGKE, "otlp": decode.FormatOTLP, "loki": decode.FormatLoki,
}

// Every form gives back the events that were put into it, in their order.
func TestForms(t *testing.T) {
	for _, file := range []func(int) (*traffic.File, error){traffic.Metadata, traffic.Bodies} {
		f, err := file(600)
		if err != nil {
			t.Fatal(err)
		}
		if len(Forms()) != len(formats) {
			t.Fatalf("%d forms", len(Forms()))
		}
		for _, form := range Forms() {
			records, err := form.Wrap(f.Lines)
			if err != nil {
				t.Fatal(err)
			}
			at, decoder := 0, decode.New(decode.Options{})
			for _, r := range records {
				end := at + r.Events
				decoder.Decode(r.Body, r.Meta, func(it *decode.Item) {
					if it.Kind != decode.Event {
						t.Fatalf("%s: %s: %s %s", f.Name, form.Name, it.Class, it.Detail)
					}
					if it.Envelope.Format != formats[form.Name] {
						t.Fatalf("%s: %s is taken for %s", f.Name, form.Name, it.Envelope.Format)
					}
					compare(t, form, f.Lines[at], it.Canonical)
					at++
				})
				if at != end {
					t.Fatalf("%s: %s: a record of %d events gave %d", f.Name, form.Name, r.Events, at-end+r.Events)
				}
			}
			if at != len(f.Lines) {
				t.Errorf("%s: %s: %d events", f.Name, form.Name, at)
			}
		}
	}
}

// compare holds what is judged against the event that was wrapped.
func compare(t *testing.T, form Form, want, got []byte) {
	t.Helper()
	type told struct {
		AuditID, Verb                 string
		User                          struct{ Username string }
		ObjectRef                     struct{ Resource, Name, Namespace, Subresource string }
		Groups                        []string
		RequestObject, ResponseObject any
		Annotations                   map[string]string
	}
	var w, g told
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if form.Lossy { // bodies get another spelling on the way, and a name that the API server made up is taken from them
		w.RequestObject, w.ResponseObject, g.RequestObject, g.ResponseObject = nil, nil, nil, nil
		if w.ObjectRef.Name == "" {
			g.ObjectRef.Name = ""
		}
	}
	a, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Fatalf("%s:\n%s\n%s", form.Name, a, b)
	}
}
