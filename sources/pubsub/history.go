package pubsub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/foretop/foretop/pkg/pipeline"
)

// A scan reads through a subscription of its own, since a subscription has one position, and seeking in that of the
// service would make the service read everything again.
const (
	scanPrefix = "foretop-scan-"
	// scanExpiry removes a scan's subscription that was left behind. Google takes no less than a day.
	// https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period
	scanExpiry = 24 * time.Hour
	// scanAsk bounds each call that prepares or ends a scan.
	scanAsk = 30 * time.Second
)

// replay reads the past of all subscriptions, each until its end.
func (s *Source) replay(ctx context.Context, emit pipeline.Emit) {
	var scans sync.WaitGroup
	for _, r := range s.readers {
		scans.Go(func() {
			if err := r.scan(ctx, *s.history, emit); err != nil && ctx.Err() == nil {
				s.mu.Lock()
				s.unreadable = append(s.unreadable, err)
				s.mu.Unlock()
			}
		})
	}
	scans.Wait()
}

// Unreadable implements pipeline.Incomplete, for a scan.
func (s *Source) Unreadable() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unreadable
}

// scan reads what r's topic holds of h through a subscription that it makes and deletes.
func (r *reader) scan(ctx context.Context, h pipeline.History, emit pipeline.Emit) (err error) {
	from, err := r.describe(ctx)
	if err != nil {
		return err
	}
	retention := from.GetTopicMessageRetentionDuration().AsDuration()
	if retention <= 0 {
		return fmt.Errorf("%s: its topic %s keeps no messages that were read, so that there is no past to scan; from now on it will with: gcloud pubsub topics update %s --message-retention-duration=7d",
			r.stream, from.GetTopic(), from.GetTopic())
	}
	if reach := time.Now().Add(-retention); h.Since.Before(reach) {
		r.src.log.Warn("the topic does not hold all of the time asked for", "source", r.src.name, "subscription", r.stream,
			"topic", from.GetTopic(), "retention", retention, "since", h.Since)
	}
	name, err := r.create(ctx, from)
	if err != nil {
		return err
	}
	defer r.remove(ctx, name)
	ask, cancel := context.WithTimeout(ctx, scanAsk)
	defer cancel()
	_, err = r.src.client.SubscriptionAdminClient.Seek(ask, &pubsubpb.SeekRequest{
		Subscription: name, Target: &pubsubpb.SeekRequest_Time{Time: timestamppb.New(h.Since)},
	})
	if err != nil {
		return explainScan(r.stream, "going back to "+h.Since.Format(time.RFC3339), "pubsub.subscriptions.consume on subscriptions of the project", err)
	}
	return r.untilSilent(ctx, name, h, emit)
}

// describe asks for the properties of r's subscription.
func (r *reader) describe(ctx context.Context) (*pubsubpb.Subscription, error) {
	ask, cancel := context.WithTimeout(ctx, scanAsk)
	defer cancel()
	sub, err := r.src.client.SubscriptionAdminClient.GetSubscription(ask, &pubsubpb.GetSubscriptionRequest{Subscription: r.stream})
	if status.Code(err) == codes.PermissionDenied {
		return nil, explainScan(r.stream, "looking up its topic", "pubsub.subscriptions.get (roles/pubsub.viewer)", err)
	}
	if err != nil {
		return nil, explain(r.stream, err)
	}
	return sub, nil
}

// create makes a subscription that gives the same messages as the one that is scanned.
func (r *reader) create(ctx context.Context, from *pubsubpb.Subscription) (string, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name := "projects/" + projectOf(r.stream) + "/subscriptions/" + scanPrefix + hex.EncodeToString(random[:])
	ask, cancel := context.WithTimeout(ctx, scanAsk)
	defer cancel()
	_, err := r.src.client.SubscriptionAdminClient.CreateSubscription(ask, &pubsubpb.Subscription{
		Name: name, Topic: from.GetTopic(), Filter: from.GetFilter(), MessageTransforms: from.GetMessageTransforms(),
		AckDeadlineSeconds: int32(r.src.cfg.Lease / time.Second),
		ExpirationPolicy:   &pubsubpb.ExpirationPolicy{Ttl: durationpb.New(scanExpiry)},
		Labels:             map[string]string{"created-by": "foretop-scan"},
	})
	if err != nil {
		// It may exist all the same, if only the answer was lost.
		r.remove(ctx, name)
		return "", explainScan(r.stream, "making a subscription to read its topic's past with",
			"pubsub.subscriptions.create and .delete on the project and pubsub.topics.attachSubscription on "+from.GetTopic()+" (roles/pubsub.editor)", err)
	}
	return name, nil
}

// remove deletes a scan's subscription, also after ctx has ended.
func (r *reader) remove(ctx context.Context, name string) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), scanAsk)
	defer cancel()
	err := r.src.client.SubscriptionAdminClient.DeleteSubscription(ask, &pubsubpb.DeleteSubscriptionRequest{Subscription: name})
	if err != nil && status.Code(err) != codes.NotFound {
		r.src.log.Warn("the subscription of a scan could not be deleted; unless somebody does, Google does a day after its last use",
			"source", r.src.name, "subscription", name, "error", err)
	}
}

// untilSilent reads the subscription called name until nothing of h has come for a while and all is settled.
func (r *reader) untilSilent(ctx context.Context, name string, h pipeline.History, emit pipeline.Emit) error {
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	past := &reader{
		src: r.src, name: name, stream: r.stream, shared: r.shared,
		open: make(map[*delivery]struct{}), emptied: make(chan struct{}, 1),
		accept: func(m *pubsub.Message) bool {
			// What is published meanwhile comes too.
			if !m.PublishTime.Before(h.Until) {
				return false
			}
			last.Store(time.Now().UnixNano())
			return true
		},
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	watching.Go(func() {
		for pipeline.Sleep(reading, r.src.cfg.ScanSilence/10) {
			if past.load().messages > 0 {
				last.Store(time.Now().UnixNano())
			} else if time.Since(time.Unix(0, last.Load())) >= r.src.cfg.ScanSilence {
				stop()
			}
		}
	})
	err := past.receive(reading, emit)
	stop()
	watching.Wait()
	if err != nil {
		return explain(r.stream, err)
	}
	return nil
}

// explainScan says which step of a scan failed, and what it needs.
func explainScan(subscription, step, permission string, err error) error {
	if status.Code(err) == codes.PermissionDenied {
		return fmt.Errorf("%s: %s is not allowed: a scan needs %s: %w", subscription, step, permission, err)
	}
	return fmt.Errorf("%s: %s: %w", subscription, step, err)
}
