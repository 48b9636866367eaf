package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
)

// oldestFetch is the first version of Fetch that brings record batches of format 2 (Kafka 0.11).
const oldestFetch = 4

// maxResponse bounds the answer to one fetch. A broker sends one batch at least, however large, so this is
// also the largest batch that can be read; brokers take batches of 1 MiB unless told otherwise.
const maxResponse = 256 << 20

var (
	errResponseTooLarge = fmt.Errorf("the broker's answer is larger than %d MiB: lower max.message.bytes of the topic", maxResponse>>20)
	errBrokerTooOld     = errors.New("the broker is older than Kafka 0.11")
	errWrongAnswer      = errors.New("the broker answered something else than what was asked")
)

// fetchRequest asks the leader of one partition for records. It travels through kafka-go's Transport, which
// finds the leader and a connection, but takes the answer apart itself (protocol.RawExchanger): kafka-go
// drops what a reader needs that must not lose or invent records (see the package comment).
type fetchRequest struct {
	fetchapi.Request
	clientID string
	version  int16
	buf      []byte // memory for the answer
}

// fetchResponse is the answer for one partition. Records aliases the buffer that the request carried.
type fetchResponse struct {
	code     kafka.Error // zero if all is well
	throttle time.Duration
	// highWater is the end of what consumers may see, stable the end of what belongs to no open
	// transaction, logStart the oldest offset that still exists (-1 if the broker does not say).
	highWater, stable, logStart int64
	aborted                     []abortedTransaction
	records                     []byte
	buf                         []byte
}

// abortedTransaction says that the batches of a producer from an offset on were taken back, up to its
// abort marker.
type abortedTransaction struct {
	producer, first int64
}

// ApiKey makes fetchResponse a protocol.Message.
func (*fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// Required implements protocol.RawExchanger; versions are those that the connection negotiated.
func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < oldestFetch {
		return nil, errBrokerTooOld
	}
	const correlation = 1 // one request at a time is on the connection
	if err := protocol.WriteRequest(rw, r.version, correlation, r.clientID, &r.Request); err != nil {
		return nil, err
	}
	answer, err := readAnswer(rw, r.buf[:0])
	if err != nil {
		return nil, err
	}
	w := &wire{b: answer}
	if id := w.int32(); id != correlation {
		return nil, errWrongAnswer
	}
	asked := r.Topics[0]
	res, err := parseFetch(w, r.version, asked.Topic, asked.Partitions[0].Partition)
	if err != nil {
		return nil, err
	}
	res.buf = answer
	return res, nil
}

// readAnswer reads one answer with its length before it. Memory grows with what arrives, not with what is
// announced.
func readAnswer(r io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, unexpectedEOF(err)
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 0 || size > maxResponse {
		return nil, errResponseTooLarge
	}
	for len(buf) < size {
		from := len(buf)
		step := min(size-from, max(1<<20, from))
		if cap(buf) < from+step {
			buf = append(make([]byte, 0, from+step), buf...)
		}
		buf = buf[:from+step]
		if _, err := io.ReadFull(r, buf[from:]); err != nil {
			return nil, unexpectedEOF(err)
		}
	}
	return buf, nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseFetch reads the body of a Fetch answer, versions 4 to 11.
// https://kafka.apache.org/protocol.html#The_Messages_Fetch
func parseFetch(w *wire, version int16, topic string, partition int32) (*fetchResponse, error) {
	res := &fetchResponse{throttle: time.Duration(w.int32()) * time.Millisecond, logStart: -1}
	if version >= 7 {
		res.code = kafka.Error(w.int16())
		w.int32() // session
	}
	if res.code != 0 && w.err == nil {
		return res, nil
	}
	for range w.count(6) {
		name := w.string16()
		for range w.count(30) {
			id := w.int32()
			found := *res
			parsePartition(w, version, &found)
			if w.err == nil && id == partition && string(name) == topic {
				return &found, nil
			}
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	return nil, errWrongAnswer
}

func parsePartition(w *wire, version int16, p *fetchResponse) {
	p.code = kafka.Error(w.int16())
	p.highWater, p.stable = w.int64(), w.int64()
	if version >= 5 {
		p.logStart = w.int64()
	}
	if n := w.count(16); n > 0 {
		p.aborted = make([]abortedTransaction, n)
		for i := range p.aborted {
			p.aborted[i] = abortedTransaction{producer: w.int64(), first: w.int64()}
		}
	}
	if version >= 11 {
		w.int32() // preferred replica
	}
	p.records = w.bytes32()
}

// fetcher reads one partition's records.
type fetcher struct {
	transport *kafka.Transport
	brokers   net.Addr
	clientID  string
	topic     string
	partition int
	min, max  int32 // bytes that an answer should have
	isolation kafka.IsolationLevel
	// patience is what a broker may take longer than it was told to wait.
	patience time.Duration
	buf      []byte
}

// fetch asks for records from offset on and waits for them up to wait. The answer is valid until the next
// fetch. An error code of the broker is in the answer, not in the error.
func (f *fetcher) fetch(ctx context.Context, offset int64, wait time.Duration) (*fetchResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+f.patience)
	defer cancel()
	req := &fetchRequest{clientID: f.clientID, Request: fetchapi.Request{
		ReplicaID: -1, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: f.min, MaxBytes: f.max,
		IsolationLevel: int8(f.isolation), SessionID: 0, SessionEpoch: -1, // no fetch session
		Topics: []fetchapi.RequestTopic{{Topic: f.topic, Partitions: []fetchapi.RequestPartition{{
			Partition: int32(f.partition), CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: f.max,
		}}}},
	}}
	// The buffer belongs to the exchange until it comes back with the answer: one that was given up may
	// still write to it.
	req.buf, f.buf = f.buf, nil
	answer, err := f.transport.RoundTrip(ctx, f.brokers, req)
	if err != nil {
		return nil, err
	}
	res := answer.(*fetchResponse)
	if cap(res.buf) <= 2*int(f.max)+1<<20 { // memory for one large batch is not kept for ever
		f.buf = res.buf
	}
	return res, nil
}
