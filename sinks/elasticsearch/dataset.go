package elasticsearch

import (
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Dataset is one of the data streams of Foretop, by its name in ECS (data_stream.dataset).
type Dataset string

// The datasets. A dead letter is written as an ECS document of kind pipeline_error that holds the stored
// form of package pipeline under foretop.dead_letter.
const (
	Findings    Dataset = "foretop.findings"
	DeadLetters Dataset = "foretop.deadletters"
)

// Stream is the name of the data stream for a namespace.
func (d Dataset) Stream(namespace string) string { return "logs-" + string(d) + "-" + namespace }

func (d Dataset) template() string { return "logs-" + string(d) }

// appendDocument appends doc as it is stored. stamp is the time of writing as a JSON string.
func (d Dataset) appendDocument(dst []byte, doc *entry, namespace string, stamp []byte) []byte {
	if d != DeadLetters {
		return stampIngested(dst, doc.body, stamp)
	}
	dst = append(append(dst, `{"@timestamp":`...), stamp...)
	dst = append(append(dst, `,"message":"Foretop could not judge or store an item","ecs":{"version":"8.17.0"},`+
		`"event":{"kind":"pipeline_error","module":"foretop","dataset":"foretop.deadletters","ingested":`...), stamp...)
	dst = append(append(dst, `},"data_stream":{"type":"logs","dataset":"foretop.deadletters","namespace":"`...), namespace...)
	dst = append(append(dst, `"},"foretop":{"dead_letter":`...), doc.body...)
	return append(dst, "}}"...)
}

// entry is a document on its way.
type entry struct {
	pos      int // in the call to Write
	id       string
	body     []byte // one line
	stripped bool
}

// maxID is the limit of Elasticsearch, in bytes. A longer one fails the request as a whole.
const maxID = 512

// newEntry checks what would otherwise spoil the request for the other documents.
func newEntry(pos int, doc *pipeline.Document) (*entry, error) {
	switch {
	case doc.ID == "":
		return nil, pipeline.Rejected(errNoID)
	case len(doc.ID) > maxID:
		return nil, pipeline.Rejected(errLongID)
	case !utf8.ValidString(doc.ID):
		return nil, pipeline.Rejected(errBadID)
	}
	body, ok := oneLine(doc.Body)
	if !ok {
		return nil, pipeline.Rejected(errNoJSON)
	}
	return &entry{pos: pos, id: doc.ID, body: body}, nil
}
