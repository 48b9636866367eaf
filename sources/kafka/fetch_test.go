package kafka

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func FuzzFetchAnswer(f *testing.F) {
	for version := int16(oldestFetch); version <= 11; version++ {
		f.Add(encodeAnswer(version, "audit", 3, []byte("records"), abortedTransaction{7, 5}), version)
	}
	f.Fuzz(func(t *testing.T, answer []byte, version int16) {
		version = oldestFetch + max(0, version)%8
		res, err := parseFetch(&wire{b: answer}, version, "audit", 3)
		if err == nil && len(res.records)+16*len(res.aborted) > len(answer) {
			t.Fatal("more came out than went in")
		}
	})
}

// encodeAnswer writes the body of a Fetch answer, with another implementation than the one under test.
func encodeAnswer(version int16, topic string, partition int32, records []byte, aborted ...abortedTransaction) []byte {
	res := kmsg.NewPtrFetchResponse()
	res.SetVersion(version)
	part := kmsg.NewFetchResponseTopicPartition()
	part.Partition, part.HighWatermark, part.LastStableOffset, part.LogStartOffset, part.RecordBatches = partition, 40, 30, 20, records
	for _, a := range aborted {
		txn := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		txn.ProducerID, txn.FirstOffset = a.producer, a.first
		part.AbortedTransactions = append(part.AbortedTransactions, txn)
	}
	out := kmsg.NewFetchResponseTopic()
	out.Topic, out.Partitions = topic, append(out.Partitions, part)
	res.Topics = append(res.Topics, out)
	return res.AppendTo(nil)
}

func TestEveryVersionOfAFetchAnswerIsRead(t *testing.T) {
	for version := int16(oldestFetch); version <= 11; version++ {
		res, err := parseFetch(&wire{b: encodeAnswer(version, "audit", 3, []byte("records"), abortedTransaction{7, 5})}, version, "audit", 3)
		if err != nil {
			t.Errorf("version %d: %v", version, err)
			continue
		}
		if res.highWater != 40 || res.stable != 30 || string(res.records) != "records" || len(res.aborted) != 1 || res.aborted[0] != (abortedTransaction{7, 5}) {
			t.Errorf("version %d: %+v", version, res)
		}
		if want := int64(20); version >= 5 && res.logStart != want {
			t.Errorf("version %d: log start %d", version, res.logStart)
		}
	}
	if _, err := parseFetch(&wire{b: encodeAnswer(11, "audit", 4, nil)}, 11, "audit", 3); !errors.Is(err, errWrongAnswer) {
		t.Errorf("an answer for another partition: %v", err)
	}
}

func TestAnAnswerIsNotBelievedBeforeItArrives(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readAnswer(bytes.NewReader([]byte{0x0f, 0xff, 0xff, 0xff, 1, 2, 3}), nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d MiB allocated for 3 bytes", used>>20)
	}
	if _, err := readAnswer(bytes.NewReader([]byte{0x7f, 0xff, 0xff, 0xff}), nil); !errors.Is(err, errResponseTooLarge) {
		t.Errorf("error %v", err)
	}
}
