package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/klauspost/compress/gzip"

	"github.com/foretop/foretop/pkg/pipeline"
)

var (
	errNoID   = errors.New("elasticsearch: the document has no id")
	errBadID  = errors.New("elasticsearch: the document's id is no UTF-8 text")
	errLongID = fmt.Errorf("elasticsearch: the document's id is longer than %d bytes", maxID)
	errNoJSON = errors.New("elasticsearch: the document is no JSON")
	// errTooLarge is inside this package only: the request was refused for its size.
	errTooLarge = errors.New("elasticsearch: request too large")
)

// lookup finds which ids the data stream has, over all its backing indices. `create` knows only those of
// the newest one, so without the lookup a replay after a rollover would store findings twice.
func (s *Sink) lookup(ctx context.Context, entries []*entry) (map[string]bool, error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	query, err := json.Marshal(map[string]any{
		"query":            map[string]any{"ids": map[string]any{"values": ids}},
		"_source":          false,
		"track_total_hits": false,
		// An id can be there more than once, if somebody made a copy by hand.
		"size": min(4*len(ids), 10_000),
	})
	if err != nil {
		return nil, err
	}
	yes, no := true, false
	var found struct {
		TimedOut bool `json:"timed_out"`
		Shards   struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
		Hits struct {
			Hits []struct {
				ID string `json:"_id"`
			} `json:"hits"`
		} `json:"hits"`
	}
	err = s.client.ask(ctx, "looking up ids in "+s.stream, &esapi.SearchRequest{
		Index: []string{s.stream}, Body: bytes.NewReader(query),
		// Before the first document there may be no data stream yet; closed backing indices cannot be asked.
		IgnoreUnavailable: &yes, AllowPartialSearchResults: &no,
		FilterPath: []string{"timed_out", "_shards.failed", "hits.hits._id"},
	}, &found)
	if err != nil {
		return nil, err
	}
	if found.TimedOut || found.Shards.Failed > 0 {
		return nil, fmt.Errorf("elasticsearch: looking up ids in %s: %d shards did not answer", s.stream, found.Shards.Failed)
	}
	known := make(map[string]bool, len(found.Hits.Hits))
	for _, h := range found.Hits.Hits {
		known[h.ID] = true
	}
	return known, nil
}

// item is what the answer says about one document.
type item struct {
	ID           string `json:"_id"`
	Status       int    `json:"status"`
	FailureStore string `json:"failure_store"`
	Error        struct {
		Type string `json:"type"`
	} `json:"error"`
}

// create sends one bulk request. It returns one item for each entry, or the reason why no fate is known:
// errTooLarge, or a classified error.
func (s *Sink) create(ctx context.Context, entries []*entry) ([]item, error) {
	body, header, err := s.encode(entries)
	if err != nil {
		return nil, err
	}
	s.metrics.bulkBytes.Observe(float64(len(body)))
	yes := true
	about := "bulk to " + s.stream
	started := time.Now()
	a, err := s.client.do(ctx, about, &esapi.BulkRequest{
		Index: s.stream, Body: bytes.NewReader(body), Header: header,
		RequireDataStream: &yes,
		// Not the reason: it may quote the document.
		FilterPath: []string{"items.*._id", "items.*.status", "items.*.error.type", "items.*.failure_store"},
	}, 64<<10+int64(len(entries))*1024)
	s.metrics.seconds.Observe(time.Since(started).Seconds())
	if err != nil {
		if errors.Is(err, errTimeout) {
			s.pace.shrink()
		}
		return nil, err
	}
	if a.status < 200 || a.status > 299 {
		switch fateOf(a.status, a.errorType()) {
		case tooLarge:
			s.pace.shrink()
			return nil, errTooLarge
		case retry:
			// Elasticsearch also refuses with 429 what is larger than its share of memory for indexing.
			if a.status == http.StatusTooManyRequests {
				s.pace.shrink()
			}
		}
		return nil, a.err(about)
	}
	items, err := readItems(a, entries)
	if err != nil {
		return nil, fmt.Errorf("%w; %w", a.unreadable(about), err)
	}
	s.pace.grow()
	return items, nil
}

// encode writes the request into a buffer of its own: the transport may still read it after the call has
// returned (golang/go#51907), so it is never used again.
func (s *Sink) encode(entries []*entry) ([]byte, http.Header, error) {
	var buf bytes.Buffer
	header := http.Header{"Content-Type": {"application/x-ndjson"}}
	var out io.Writer = &buf
	var zip *gzip.Writer
	if s.cfg.Compression {
		zip, _ = gzip.NewWriterLevel(&buf, gzip.BestSpeed) // the level is a valid one
		out = zip
		header.Set("Content-Encoding", "gzip")
	}
	stamp := appendTime(nil, time.Now())
	var line []byte
	for _, e := range entries {
		id, err := json.Marshal(e.id)
		if err != nil {
			return nil, nil, err
		}
		line = append(append(append(line[:0], `{"create":{"_id":`...), id...), "}}\n"...)
		line = append(s.dataset.appendDocument(line, e, s.cfg.Namespace, stamp), '\n')
		if _, err := out.Write(line); err != nil {
			return nil, nil, err
		}
	}
	if zip != nil {
		if err := zip.Close(); err != nil {
			return nil, nil, err
		}
	}
	return buf.Bytes(), header, nil
}

func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
}

// readItems is strict: where one item is not what was asked for, nothing is known about any.
func readItems(a *answer, entries []*entry) ([]item, error) {
	var got struct {
		Items []map[string]item `json:"items"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, errors.New("no list of items can be read from it")
	}
	if len(got.Items) != len(entries) {
		return nil, fmt.Errorf("it has %d items for %d documents", len(got.Items), len(entries))
	}
	items := make([]item, len(entries))
	for i, byOp := range got.Items {
		it, ok := byOp["create"]
		if !ok || it.ID != entries[i].id || it.Status == 0 {
			return nil, fmt.Errorf("its item %d is not about the document sent there", i)
		}
		it.Error.Type = plainType(it.Error.Type)
		items[i] = it
	}
	return items, nil
}

// settle is the state machine of one item. again is true for a document that is worth one more attempt
// without its optional bodies; it then has no result yet.
func (s *Sink) settle(e *entry, it *item) (again bool, err error) {
	about := fmt.Sprintf("elasticsearch: document refused with status %d", it.Status)
	if it.Error.Type != "" {
		about += " " + it.Error.Type
	}
	if it.FailureStore == "used" {
		// The answer says success, yet the document is not where anybody looks for findings.
		return false, s.result("failure_store", pipeline.Rejected(errors.New("elasticsearch: the document went to the failure store of "+s.stream)))
	}
	switch fateOf(it.Status, it.Error.Type) {
	case stored:
		return false, s.result("created", nil)
	case duplicate:
		return false, s.result("duplicate", nil)
	case retry:
		return false, s.result("retry", errors.New(about))
	case denied:
		return false, s.result("fatal", pipeline.FatalError(errors.New(about+": check the privileges on logs-foretop.*")))
	case missing:
		return false, s.result("fatal", pipeline.FatalError(errors.New(about+": run `foretop setup elasticsearch`")))
	default: // refused, tooLarge
		if stripped, ok := e.strip(); ok {
			*e = *stripped
			s.metrics.documents.WithLabelValues("stripped").Inc()
			return true, nil
		}
		return false, s.result("rejected", pipeline.Rejected(errors.New(about)))
	}
}

func (s *Sink) result(name string, err error) error {
	s.metrics.documents.WithLabelValues(name).Inc()
	return err
}

// strip is the entry without its optional bodies; false if it has none or has lost them already.
func (e *entry) strip() (*entry, bool) {
	if e.stripped {
		return nil, false
	}
	body, ok := stripBodies(e.body)
	if !ok {
		return nil, false
	}
	return &entry{pos: e.pos, id: e.id, body: body, stripped: true}, true
}

// cut takes from the front of entries what fits into one request of at most limit bytes: one document at
// least, and not more than the lookup can ask for.
func cut(entries []*entry, limit int) (head, tail []*entry) {
	const most = 1000
	size := 0
	n := slices.IndexFunc(entries, func(e *entry) bool {
		size += len(e.id) + len(e.body) + 64
		return size > limit
	})
	if n < 0 {
		n = len(entries)
	}
	n = min(max(n, 1), most)
	return entries[:n], entries[n:]
}
