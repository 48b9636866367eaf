package decode

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/event"
)

func record(properties string) string {
	return `{"category":"kube-audit","operationName":"o","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/Prod","time":"2026-03-04T10:15:20.1Z","properties":` + properties + `}`
}

// The container runtime cuts the log at 16 KiB, wherever that is.
func TestLogsCutAtAnyByteAreReadAsFarAsTheyGo(t *testing.T) {
	whole := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"e1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/n/pods?x=\u0026","verb":"create",` +
		`"user":{"username":"zoë \"z\" 李","groups":["a\\b","c"]},"objectRef":{"resource":"pods","namespace":"n"},"responseStatus":{"code":201},` +
		`"requestObject":{"kind":"Pod","spec":{"hostPID":true,"containers":[{"name":"é\ud83d\ude00","image":"x\/y"}],"n":-1.5e3}},"annotations":{"a":"b\n"}}`
	readable := strings.Index(whole, `,"objectRef"`)
	for cut := 1; cut < len(whole); cut++ {
		prefix := whole[:cut]
		for name, body := range map[string]string{
			"log":                record(`{"log":` + quote(prefix) + `,"pod":"p"}`),
			"log with a newline": record(`{"log":` + quote(prefix+"\n") + `}`),
			"properties as text": record(quote(`{"log":` + quote(prefix) + `}`)),
			"a batch":            `{"records":[` + record(`{"log":`+quote(prefix)+`}`) + `,` + record(`{"log":`+quote(event2)+`}`) + `]}`,
			"the record, too":    record(`{"log":` + quote(prefix))[:len(record(`{"log":`+quote(prefix)))-1],
			"raw bytes":          record(`{"log":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(prefix) + `"}`),
		} {
			events := 0
			for _, it := range decode(t, New(Options{}), body, nil) {
				if it.Kind == Broken && it.Class == ClassTruncated && cut < readable {
					continue
				}
				if it.Kind != Event {
					if cut > 1 {
						t.Fatalf("%s cut at %d: %s (%s)", name, cut, summary(it), it.Detail)
					}
					continue
				}
				if strings.HasSuffix(summary(it), "e2") {
					continue
				}
				events++
				e, err := event.Parse([]byte(it.canonical))
				if err != nil || !it.Envelope.Truncated || e.User.Username != `zoë "z" 李` || e.Verb != "create" || it.Envelope.Cluster.Name != "prod" || !utf8.ValidString(it.canonical) {
					t.Fatalf("%s cut at %d: %v %+v %s", name, cut, err, it.Envelope, it.canonical)
				}
			}
			if want := cut >= readable; (events == 1) != want {
				t.Fatalf("%s cut at %d of %q: %d events", name, cut, prefix[max(0, cut-20):], events)
			}
		}
	}
}

func TestBodiesThatAzureReplacedAreRemoved(t *testing.T) {
	native := strings.Replace(event1, `"verb":"list"`, `"verb":"create","requestObject":"skipped-too-big-size-object"`, 1)
	row := `{"AuditId":"e1","Verb":"create","RequestUri":"/api/v1/pods","Level":"RequestResponse","Stage":"ResponseComplete","User":"{\"username\":\"u\"}","RequestObject":"skipped-too-big-size-object","ObjectRef":"","SourceIps":["10.0.0.1"],"RequestReceivedTime":"2026-03-04T10:15:20.000001Z","TimeGenerated":"2026-03-04T10:15:21Z","Type":"AKSAuditAdmin","_ResourceId":"/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/Prod"}`
	for _, body := range []string{record(`{"log":` + quote(native) + `}`), row, `{"records":[` + row + `]}`, "[" + row + "]"} {
		items := decode(t, New(Options{}), body, nil)
		if len(items) != 1 || summary(items[0]) != "event e1" {
			t.Errorf("%+v", items)
			continue
		}
		if env := items[0].Envelope; !env.BodiesRemoved || env.Provider != "aks" || env.Format != FormatAKS || env.Cluster.ID != "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/prod" {
			t.Errorf("%+v", env)
		}
	}
}
