package app

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

// envelope is one way in which events arrive.
type envelope struct {
	name  string
	wrap  func(t *testing.T, events [][]byte) []pipeline.Record
	lossy bool // the form leaves out or changes parts of the event
	mixed bool // there are records of other kinds between the events
}

type object = map[string]any

var envelopes = []envelope{
	{name: "native, one a line", wrap: whole(func(e [][]byte) []byte { return bytes.Join(e, []byte("\n")) })},
	{name: "native, an array", wrap: whole(func(e [][]byte) []byte { return enclose("[", bytes.Join(e, []byte(",")), "]") })},
	{name: "webhook", wrap: batches(400, func(e [][]byte) []byte { return marshal(eventList(e)) })},
	{name: "eks, bare messages", wrap: bareMessages},
	{name: "eks, FilterLogEvents", wrap: batches(50, func(e [][]byte) []byte {
		return marshal(object{"events": logEvents(e, true), "searchedLogStreams": []any{}})
	}), mixed: true},
	{name: "eks, Kinesis", wrap: batches(50, func(e [][]byte) []byte { return zip(marshal(subscription(e))) })},
	{name: "eks, Lambda", wrap: batches(50, func(e [][]byte) []byte {
		return marshal(object{"awslogs": object{"data": zip(marshal(subscription(e)))}})
	})},
	{name: "eks, Firehose file", wrap: whole(firehoseFile)},
	{name: "eks, Firehose file, compressed twice", wrap: whole(func(e [][]byte) []byte { return zip(firehoseFile(e)) })},
	{name: "eks, Firehose HTTP endpoint", wrap: batches(50, func(e [][]byte) []byte {
		return marshal(object{"requestId": "r", "timestamp": 1, "records": []any{object{"data": zip(marshal(subscription(e)))}}})
	})},
	{name: "eks, Firehose decompressed", wrap: whole(func(e [][]byte) []byte {
		return append(marshal(subscription(e[:len(e)/2])), marshal(subscription(e[len(e)/2:]))...)
	})},
	{name: "eks, export", wrap: whole(func(e [][]byte) []byte {
		var b bytes.Buffer
		for _, one := range e {
			fmt.Fprintf(&b, "2026-03-04T10:15:20.151Z %s\n", one)
		}
		return zip(b.Bytes())
	})},
	{name: "aks", wrap: batches(50, func(e [][]byte) []byte { return marshal(diagnostics(e, logAsText)) })},
	{name: "aks, both categories", wrap: bothCategories, mixed: true},
	{name: "aks, the log as an object", wrap: batches(50, func(e [][]byte) []byte {
		return marshal(diagnostics(e, func(one []byte) any { return object{"log": json.RawMessage(one)} }))
	})},
	{name: "aks, properties as text", wrap: batches(50, func(e [][]byte) []byte {
		return marshal(diagnostics(e, func(one []byte) any { return string(marshal(logAsText(one))) }))
	})},
	{name: "aks, one record a line", wrap: whole(func(e [][]byte) []byte {
		var b bytes.Buffer
		for _, r := range diagnostics(e, logAsText)["records"].([]any) {
			b.Write(append(marshal(r), '\n'))
		}
		return b.Bytes()
	})},
	{name: "aks, AzureDiagnostics", wrap: each(func(one []byte) any {
		return object{"Category": "kube-audit", "ResourceId": azureID, "OperationName": "x", "log_s": string(one), "pod_s": "kube-apiserver-1"}
	})},
	{name: "aks, AKSAudit", wrap: each(func(one []byte) any { return tableRow(one, func(v any) any { return v }) }), lossy: true},
	{name: "aks, AKSAudit in a batch, columns as text", wrap: batches(20, func(e [][]byte) []byte {
		var rows []any
		for _, one := range e {
			rows = append(rows, tableRow(one, func(v any) any { return string(marshal(v)) }))
		}
		return marshal(object{"records": rows})
	}), lossy: true},
	{name: "gke", wrap: entries(func(e object) []byte { return marshal(e) }), lossy: true},
	{name: "gke, gcloud", wrap: func(t *testing.T, events [][]byte) []pipeline.Record {
		var all []any
		for _, e := range events {
			all = append(all, logEntry(t, e))
		}
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return []pipeline.Record{{Body: b}}
	}, lossy: true},
	{name: "gke, Pub/Sub push", wrap: entries(func(e object) []byte {
		return marshal(object{"message": object{"data": marshal(e), "messageId": "1", "publishTime": "2026-03-04T10:15:21Z"}, "subscription": "projects/p/subscriptions/s"})
	}), lossy: true},
	{name: "gke, Pub/Sub pull", wrap: entries(func(e object) []byte {
		return marshal(object{"receivedMessages": []any{object{"ackId": "a", "message": object{"data": marshal(e), "messageId": "1"}}}})
	}), lossy: true},
	{name: "fluent-bit", wrap: each(func(one []byte) any { return object{"@timestamp": 1772619320.15, "log": string(one) + "\n"} })},
	{name: "fluent-bit, merged log", wrap: each(func(one []byte) any {
		return object{"log": string(one), "log_processed": json.RawMessage(one), "kubernetes": object{"host": "cp1"}, "stream": "stdout"}
	})},
	{name: "fluent-bit, dots replaced", wrap: each(dedotted)},
	{name: "filebeat", wrap: each(func(one []byte) any {
		return object{"@timestamp": "2026-03-04T10:15:20.151Z", "log": object{"offset": 1}, "message": string(one), "host": object{"name": "cp1"}}
	})},
	{name: "elastic agent", wrap: each(func(one []byte) any {
		return object{"event": object{"original": string(one)}, "kubernetes": object{"audit": json.RawMessage(one)}}
	})},
	{name: "fluentd", wrap: each(func(one []byte) any {
		e := parse(one)
		e["@timestamp"], e["tag"] = "2026-03-04T10:15:20.151Z", "kube.audit"
		return e
	})},
	{name: "logstash", wrap: each(func(one []byte) any {
		return object{"message": string(one), "event": object{"original": string(one)}, "@version": "1"}
	})},
	{name: "logstash, plain codec", wrap: whole(func(e [][]byte) []byte {
		return enclose("2026-03-04T10:15:20.123Z cp1 ", bytes.Join(e, []byte("\n2026-03-04T10:15:20.123Z cp1 ")), "\n")
	})},
	{name: "vector", wrap: each(func(one []byte) any {
		return object{"message": string(one), "source_type": "file", "timestamp": "2026-03-04T10:15:20Z"}
	})},
	{name: "syslog", wrap: each(func(one []byte) any { return object{"MESSAGE": string(one), "PROGRAM": "kube-apiserver"} })},
	{name: "kafka connect", wrap: each(func(one []byte) any { return object{"schema": nil, "payload": string(marshal(string(one)))} })},
	{name: "otlp", wrap: each(func(one []byte) any {
		return object{"resourceLogs": []any{object{"scopeLogs": []any{object{"logRecords": []any{object{"body": object{"stringValue": string(one)}}}}}}}}
	})},
	{name: "loki", wrap: each(func(one []byte) any {
		return object{"streams": []any{object{"stream": object{"job": "audit"}, "values": []any{[]any{"1772619320000000000", string(one)}}}}}
	})},
	{name: "cri", wrap: whole(func(e [][]byte) []byte {
		return enclose("2026-03-04T10:15:20.1Z stdout F ", bytes.Join(e, []byte("\n2026-03-04T10:15:20.1Z stdout F ")), "\n")
	})},
}

func each(f func(one []byte) any) func(*testing.T, [][]byte) []pipeline.Record {
	return batches(1, func(e [][]byte) []byte { return marshal(f(e[0])) })
}

func batches(n int, f func(e [][]byte) []byte) func(*testing.T, [][]byte) []pipeline.Record {
	return func(_ *testing.T, events [][]byte) (records []pipeline.Record) {
		for ; len(events) > 0; events = events[min(n, len(events)):] {
			records = append(records, pipeline.Record{Body: f(events[:min(n, len(events))])})
		}
		return records
	}
}

func whole(f func(e [][]byte) []byte) func(*testing.T, [][]byte) []pipeline.Record {
	return batches(1<<30, f)
}

func entries(f func(entry object) []byte) func(*testing.T, [][]byte) []pipeline.Record {
	return func(t *testing.T, events [][]byte) (records []pipeline.Record) {
		for _, e := range events {
			records = append(records, pipeline.Record{Body: f(logEntry(t, e))})
		}
		return records
	}
}

// marshal writes v as services do: without escaping what HTML would want escaped.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func parse(one []byte) (e object) {
	d := json.NewDecoder(bytes.NewReader(one))
	d.UseNumber()
	if err := d.Decode(&e); err != nil {
		panic(err)
	}
	return e
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func enclose(before string, b []byte, after string) []byte {
	return append(append([]byte(before), b...), after...)
}

func eventList(events [][]byte) object {
	var items []any
	for _, one := range events {
		e := parse(one)
		delete(e, "kind")
		delete(e, "apiVersion")
		items = append(items, e)
	}
	return object{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": object{}, "items": items}
}

const (
	logGroup  = "/aws/eks/prod/cluster"
	logStream = "kube-apiserver-audit-0123456789abcdef0123456789abcdef"
	azureID   = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD"
)

func bareMessages(_ *testing.T, events [][]byte) []pipeline.Record {
	records := bare(events)
	for i := range records {
		records[i].Meta = map[string]string{
			decode.MetaLogGroup: logGroup, decode.MetaLogStream: logStream, decode.MetaAccount: "111122223333", decode.MetaRegion: "eu-west-1",
		}
	}
	return records
}

// logEvents are CloudWatch's; an answer of FilterLogEvents has those of other streams too.
func logEvents(events [][]byte, answer bool) (all []any) {
	for i, e := range events {
		one := object{"id": fmt.Sprint(i), "timestamp": 1772619320151 + i, "message": string(e)}
		if answer {
			one = object{"eventId": fmt.Sprint(i), "timestamp": 1772619320151 + i, "ingestionTime": 1772619321000, "message": string(e), "logStreamName": logStream}
		}
		all = append(all, one)
	}
	if answer {
		all = append(all, object{"eventId": "x", "timestamp": 1, "ingestionTime": 2, "message": "I0304 httplog.go:132]", "logStreamName": "kube-apiserver-0123456789abcdef0123456789abcdef"})
	}
	return all
}

func subscription(events [][]byte) object {
	return object{"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": logGroup, "logStream": logStream,
		"subscriptionFilters": []any{"f"}, "logEvents": logEvents(events, false)}
}

// firehoseFile is what Firehose stores: one gzip member behind the other.
func firehoseFile(events [][]byte) (all []byte) {
	for _, r := range batches(100, func(e [][]byte) []byte { return zip(marshal(subscription(e))) })(nil, events) {
		all = append(all, r.Body...)
	}
	return all
}

func logAsText(one []byte) any {
	return object{"log": string(one) + "\n", "pod": "kube-apiserver-1", "stream": "stdout"}
}

func diagnostics(events [][]byte, properties func([]byte) any) object {
	var records []any
	for _, e := range events {
		records = append(records, object{"category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
			"resourceId": azureID, "time": "2026-03-04T10:15:20.1514321Z", "ccpNamespace": "x", "properties": properties(e)})
	}
	return object{"records": records}
}

// tableRow is an event as Azure Monitor's table for it has it; dynamic makes a value of a dynamic column.
func tableRow(one []byte, dynamic func(any) any) object {
	e := parse(one)
	row := object{"TimeGenerated": "2026-03-04T10:15:20.15Z", "Type": "AKSAudit", "PodName": "kube-apiserver-1", "TenantId": "t", "_ResourceId": strings.ToLower(azureID)}
	for member, column := range map[string]string{
		"auditID": "AuditId", "level": "Level", "stage": "Stage", "requestURI": "RequestUri", "verb": "Verb", "userAgent": "UserAgent",
		"requestReceivedTimestamp": "RequestReceivedTime", "stageTimestamp": "StageReceivedTime",
	} {
		row[column] = e[member]
	}
	for member, column := range map[string]string{
		"user": "User", "sourceIPs": "SourceIps", "objectRef": "ObjectRef", "responseStatus": "ResponseStatus", "requestObject": "RequestObject",
		"responseObject": "ResponseObject", "annotations": "Annotations",
	} {
		if e[member] != nil {
			row[column] = dynamic(e[member])
		}
	}
	return row
}

// bothCategories sends each write twice, and other services' records between them.
func bothCategories(_ *testing.T, events [][]byte) (records []pipeline.Record) {
	for len(events) > 0 {
		n := min(20, len(events))
		batch := diagnostics(events[:n], logAsText)
		list := batch["records"].([]any)
		for _, r := range diagnostics(events[:n], logAsText)["records"].([]any) {
			again := r.(object)
			again["category"] = "kube-audit-admin"
			list = append(list, again)
		}
		list = append(list, object{"category": "guard", "operationName": "x", "resourceId": azureID, "properties": object{"log": "I0304 {not json"}})
		records = append(records, pipeline.Record{Body: marshal(object{"records": list})})
		events = events[n:]
	}
	return records
}

// dedotted writes annotations and the keys of extra without dots.
func dedotted(one []byte) any {
	e := parse(one)
	replace := func(m any) any {
		out := object{}
		if m, ok := m.(object); ok {
			for k, v := range m {
				out[strings.ReplaceAll(k, ".", "_")] = v
			}
		}
		return out
	}
	e["annotations"] = replace(e["annotations"])
	if user, ok := e["user"].(object); ok && user["extra"] != nil {
		user["extra"] = replace(user["extra"])
	}
	e["@timestamp"] = "2026-03-04T10:15:20.151Z"
	return e
}
