// Package envelopes puts audit events into what shippers and clouds put around them, as their records arrive on the wire.
package envelopes

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/foretop/foretop/pkg/decode"
)

// Record is one record of a source: what one call of the decoder gets.
type Record struct {
	Body []byte
	Meta map[string]string
	// Events is how many events it holds.
	Events int
}

// Form is one way in which events arrive.
type Form struct {
	Name string
	// Lossy forms do not carry all of the event, so that fewer rules may be true.
	Lossy bool
	batch int
	wrap  func(events [][]byte) (Record, error)
}

// Events in one record, as the senders batch them.
const (
	webhookBatch = 400 // kube-apiserver's default
	cloudBatch   = 50  // CloudWatch, Event Hubs: hundreds of kilobytes a message
	logBatch     = 50  // the OpenTelemetry collector's and Loki's clients batch too
)

// Forms are all of them; the first is the event as kube-apiserver writes it.
func Forms() []Form {
	return []Form{
		{Name: "native", batch: 1, wrap: native},
		{Name: "eventlist", batch: webhookBatch, wrap: eventList},
		{Name: "filebeat", batch: 1, wrap: one(filebeat)},
		{Name: "fluent-bit", batch: 1, wrap: one(fluentBit)},
		{Name: "fluentd", batch: 1, wrap: fluentd},
		{Name: "vector", batch: 1, wrap: one(vector)},
		{Name: "eks-subscription", batch: cloudBatch, wrap: subscription},
		{Name: "eks-subscription-gzip", batch: cloudBatch, wrap: zipped},
		{Name: "eks-api", batch: 1, wrap: logsEvent},
		{Name: "aks", batch: cloudBatch, wrap: diagnostics},
		{Name: "gke", batch: 1, wrap: one(logEntry), Lossy: true},
		{Name: "otlp", batch: logBatch, wrap: otlp},
		{Name: "loki", batch: logBatch, wrap: loki},
	}
}

// Wrap puts events into records of this form, in order.
func (f Form) Wrap(events [][]byte) ([]Record, error) {
	records := make([]Record, 0, len(events)/f.batch+1)
	for batch := range slices.Chunk(events, f.batch) {
		r, err := f.wrap(batch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		r.Events = len(batch)
		records = append(records, r)
	}
	return records, nil
}

type object = map[string]any

// one makes a wrapping of a form that carries one event a record.
func one(f func(event []byte) (any, error)) func([][]byte) (Record, error) {
	return func(events [][]byte) (Record, error) {
		v, err := f(events[0])
		if err != nil {
			return Record{}, err
		}
		return marshal(v)
	}
}

// marshal writes v as services do: without escaping what HTML would want escaped.
func marshal(v any) (Record, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Record{}, err
	}
	return Record{Body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

func native(events [][]byte) (Record, error) { return Record{Body: events[0]}, nil }

// eventList is what the webhook posts: the items have no kind and no apiVersion.
func eventList(events [][]byte) (Record, error) {
	head := []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",`)
	body := []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`)
	for i, e := range events {
		rest, ok := bytes.CutPrefix(e, head)
		if !ok {
			return Record{}, fmt.Errorf("event %d does not begin as kube-apiserver's do: %.80s", i, e)
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(body, '{'), rest...)
	}
	return Record{Body: append(body, `]}`...)}, nil
}

func filebeat(event []byte) (any, error) {
	return object{
		"@timestamp": "2026-03-04T10:15:20.151Z", "@metadata": object{"beat": "filebeat", "type": "_doc", "version": "9.1.0"},
		"log":     object{"offset": 918273, "file": object{"path": "/var/log/kubernetes/audit/audit.log", "inode": "1234", "device_id": "64768"}},
		"message": string(event), "input": object{"type": "filestream"}, "ecs": object{"version": "8.0.0"}, "host": object{"name": "cp1"},
		"agent": object{"name": "cp1", "type": "filebeat", "version": "9.1.0", "ephemeral_id": "6f6a5a0e-8d0a-4d46-8f9c-1d3c5b7f9a11"},
	}, nil
}

func fluentBit(event []byte) (any, error) {
	return object{"@timestamp": 1772619320.151, "log": string(event) + "\n"}, nil
}

// fluentd parses the line and adds members of its own behind the event's.
func fluentd(events [][]byte) (Record, error) {
	body := bytes.TrimSuffix(events[0], []byte("}"))
	return Record{Body: append(slices.Clone(body), `,"time":"2026-03-04T10:15:20.151Z","tag":"kube.audit"}`...)}, nil
}

func vector(event []byte) (any, error) {
	return object{
		"file": "/var/log/kubernetes/audit/audit.log", "host": "cp1", "message": string(event), "source_type": "file",
		"timestamp": "2026-03-04T10:15:20.151432187Z",
	}, nil
}

const (
	logGroup  = "/aws/eks/prod/cluster"
	logStream = "kube-apiserver-audit-0123456789abcdef0123456789abcdef"
	azureID   = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD"
)

// subscription is a message of a CloudWatch Logs subscription, once it is decompressed.
func subscription(events [][]byte) (Record, error) {
	logEvents := make([]any, len(events))
	for i, e := range events {
		logEvents[i] = object{"id": fmt.Sprintf("%056d", i), "timestamp": 1772619320151 + i, "message": string(e)}
	}
	return marshal(object{
		"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": logGroup, "logStream": logStream, "subscriptionFilters": []any{"audit"},
		"logEvents": logEvents,
	})
}

// zipped is the same as Kinesis carries it.
func zipped(events [][]byte) (Record, error) {
	r, err := subscription(events)
	if err != nil {
		return r, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(r.Body); err != nil {
		return r, err
	}
	if err := z.Close(); err != nil {
		return r, err
	}
	return Record{Body: b.Bytes()}, nil
}

// logsEvent is an event of the CloudWatch Logs API: the bare message, and beside it what the source knows.
func logsEvent(events [][]byte) (Record, error) {
	return Record{Body: events[0], Meta: map[string]string{
		decode.MetaLogGroup: logGroup, decode.MetaLogStream: logStream, decode.MetaAccount: "111122223333", decode.MetaRegion: "eu-west-1",
	}}, nil
}

// diagnostics is a batch of Azure Monitor's records, with the event as text.
func diagnostics(events [][]byte) (Record, error) {
	records := make([]any, len(events))
	for i, e := range events {
		records[i] = object{
			"category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read", "resourceId": azureID,
			"time": "2026-03-04T10:15:20.1514321Z", "ccpNamespace": "65f0a1b2c3d4e5f6a7b8c9d0", "serviceBuild": "na",
			"properties": object{"log": string(e) + "\n", "pod": "kube-apiserver-5d8f7c6b9-x2k4j", "stream": "stdout", "containerID": "0123456789abcdef"},
		}
	}
	return marshal(object{"records": records})
}

func otlp(events [][]byte) (Record, error) {
	records := make([]any, len(events))
	for i, e := range events {
		records[i] = object{
			"timeUnixNano": "1772619320151432187", "observedTimeUnixNano": "1772619320151432187", "body": object{"stringValue": string(e)},
			"attributes": []any{object{"key": "log.file.name", "value": object{"stringValue": "audit.log"}}},
		}
	}
	host := object{"key": "host.name", "value": object{"stringValue": "cp1"}}
	return marshal(object{"resourceLogs": []any{object{
		"resource":  object{"attributes": []any{host}},
		"scopeLogs": []any{object{"scope": object{}, "logRecords": records}},
	}}})
}

func loki(events [][]byte) (Record, error) {
	values := make([]any, len(events))
	for i, e := range events {
		values[i] = []any{strconv.Itoa(1772619320151432187 + i), string(e)}
	}
	return marshal(object{"streams": []any{object{"stream": object{"job": "audit", "host": "cp1"}, "values": values}}})
}
