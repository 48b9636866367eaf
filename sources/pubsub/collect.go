package pubsub

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/foretop/foretop/pkg/pipeline"
)

// delivery is one message in work.
type delivery struct {
	msg *pubsub.Message
	// settled gets the fate of the batch that the message was in; nil: it is handled.
	settled chan error
}

// collector makes batches of the messages that concurrent callbacks offer. Batches of one message cost more in the
// pipeline than judging them does.
type collector struct {
	stream  string
	limits  batchLimits
	meta    func(*pubsub.Message) map[string]string
	offers  chan *delivery
	waiting *delivery // read from offers, for the next batch
}

type batchLimits struct {
	records, bytes int
	delay          time.Duration
}

// run emits until ctx ends; lease is the context of the batches. What it took and did not emit it settles as failed.
func (c *collector) run(ctx, lease context.Context, emit pipeline.Emit) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch := c.gather(ctx, timer)
		if len(batch) == 0 {
			return
		}
		err := ctx.Err()
		if err == nil {
			err = emit(ctx, c.batch(lease, batch))
		}
		if err != nil {
			settle(batch, err)
		}
	}
}

// gather waits for a message and then for more, until the batch is full, a delay is over or ctx ends.
func (c *collector) gather(ctx context.Context, timer *time.Timer) []*delivery {
	first := c.waiting
	c.waiting = nil
	if first == nil {
		select {
		case first = <-c.offers:
		case <-ctx.Done():
			return nil
		}
	}
	batch, size := []*delivery{first}, len(first.msg.Data)
	// A message whose lease ran out may come again while its first delivery waits here; positions of a batch differ.
	ids := map[string]bool{first.msg.ID: true}
	timer.Reset(c.limits.delay)
	for len(batch) < c.limits.records {
		select {
		case d := <-c.offers:
			if size+len(d.msg.Data) > c.limits.bytes || ids[d.msg.ID] {
				c.waiting = d
				return batch
			}
			batch, size = append(batch, d), size+len(d.msg.Data)
			ids[d.msg.ID] = true
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// batch makes a pipeline's batch. The library made each message's data for us alone.
func (c *collector) batch(lease context.Context, deliveries []*delivery) *pipeline.Batch {
	records := make([]pipeline.Record, len(deliveries))
	for i, d := range deliveries {
		records[i] = pipeline.Record{Body: d.msg.Data, Time: d.msg.PublishTime, Pos: d.msg.ID, Meta: c.meta(d.msg)}
	}
	return pipeline.NewBatch(lease, c.stream, records, func(err error) { settle(deliveries, err) })
}

func settle(deliveries []*delivery, err error) {
	for _, d := range deliveries {
		d.settled <- err // has room: a delivery is in one batch at a time
	}
}
