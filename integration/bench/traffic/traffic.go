// Package traffic is what Foretop and the readers beside it are measured on: recordings of a real API server, grown to any
// number of events by replay, and generated events of the size that big clusters write.
package traffic

import (
	"embed"
	"io"
	"sync"
)

// A File is one kind of traffic: audit.k8s.io/v1 events in the order and spelling of the API server.
type File struct {
	Name  string
	Lines [][]byte // one JSON object each, without a newline; shared, to be read only
	Bytes int64    // of all lines, with one newline for each
}

//go:embed testdata/metadata.ndjson.bz2 testdata/bodies.ndjson.bz2
var recordings embed.FS

// Finding what varies takes longer than a replay, and one run of the benchmarks wants many files.
var (
	metadata = sync.OnceValues(func() ([]template, error) { return recordedTemplates("metadata") })
	bodies   = sync.OnceValues(func() ([]template, error) { return recordedTemplates("bodies") })
)

// Metadata returns that many events of recorded traffic at audit level Metadata: reads, watches, leases, writes, no bodies.
func Metadata(events int) (*File, error) {
	all, err := metadata()
	if err != nil {
		return nil, err
	}
	return replay("metadata", all, events), nil
}

// Bodies returns that many events of recorded traffic with request and response bodies, controllers' own work included.
func Bodies(events int) (*File, error) {
	all, err := bodies()
	if err != nil {
		return nil, err
	}
	return replay("bodies", all, events), nil
}

// WriteTo writes the events as NDJSON.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	var n int64
	var buf []byte
	for _, line := range f.Lines {
		buf = append(append(buf[:0], line...), '\n')
		m, err := w.Write(buf)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
