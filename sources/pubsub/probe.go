package pubsub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/foretop/foretop/pkg/pipeline"
)

const permissionConsume = "pubsub.subscriptions.consume"

// shortRetention is less than the default of subscriptions. It is the time that we may be down without a loss.
const shortRetention = 7 * 24 * time.Hour

// Probe implements pipeline.Prober. For a sample it pulls messages and gives them back at once, which only subscriptions
// without a dead letter policy and without order take without a trace: with the one each delivery counts, and with the
// other the service would send what follows again.
func (s *Source) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	if err := s.connect(ctx); err != nil {
		report(pipeline.Check{
			Name: "credentials", State: pipeline.CheckFailed, Detail: err.Error(),
			Fix: "bind a Google service account to the Kubernetes service account (workload identity), or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file",
		})
		return nil
	}
	defer s.disconnect()
	report(pipeline.Check{Name: "credentials", State: pipeline.CheckOK, Detail: "found"})
	var sample []pipeline.Record
	for _, r := range s.readers {
		sub := r.probeProperties(ctx, report)
		mayConsume := r.probePermission(ctx, report)
		if mayConsume && len(sample) < limit {
			sample = append(sample, r.probeSample(ctx, sub, limit-len(sample), report)...)
		}
	}
	return sample
}

// probeProperties shows how the subscription is set up; nil if that is not known.
func (r *reader) probeProperties(ctx context.Context, report func(pipeline.Check)) *pubsubpb.Subscription {
	check := pipeline.Check{Name: "subscription " + r.stream}
	ask, cancel := context.WithTimeout(ctx, scanAsk)
	defer cancel()
	sub, err := r.src.client.SubscriptionAdminClient.GetSubscription(ask, &pubsubpb.GetSubscriptionRequest{Subscription: r.stream})
	switch {
	case status.Code(err) == codes.PermissionDenied:
		check.State, check.Detail = pipeline.CheckWarning, "its properties are not known: pubsub.subscriptions.get is not granted; reading does not need it"
		check.Fix = "grant roles/pubsub.viewer on the subscription to have its properties checked"
	case err != nil:
		check.State, check.Detail = pipeline.CheckFailed, explain(r.stream, err).Error()
		if codeOf(err) == codes.NotFound {
			check.Fix = "create the subscription on the topic of the log sink, or correct SUBSCRIPTIONS"
		}
	default:
		check.Detail = properties(sub)
		if fixes := advice(sub); len(fixes) > 0 {
			check.State, check.Fix = pipeline.CheckWarning, strings.Join(fixes, "; ")
		}
		if otherTarget(sub) {
			check.State = pipeline.CheckFailed
		}
	}
	report(check)
	return sub
}

// properties says in one line how a subscription is set up.
func properties(sub *pubsubpb.Subscription) string {
	facts := []string{
		"topic " + sub.GetTopic(),
		fmt.Sprintf("ack deadline %ds", sub.GetAckDeadlineSeconds()),
		"keeps unread messages " + days(sub.GetMessageRetentionDuration().AsDuration()),
	}
	if kept := sub.GetTopicMessageRetentionDuration().AsDuration(); kept > 0 {
		facts = append(facts, "its topic keeps all messages "+days(kept)+", which scan can read")
	} else {
		facts = append(facts, "its topic keeps nothing that was read, so that scan has nothing to read")
	}
	if ttl := sub.GetExpirationPolicy().GetTtl().AsDuration(); ttl > 0 {
		facts = append(facts, "expires after "+days(ttl)+" without a reader")
	} else {
		facts = append(facts, "never expires")
	}
	if policy := sub.GetDeadLetterPolicy(); policy != nil {
		facts = append(facts, fmt.Sprintf("dead letters to %s after %d attempts", policy.GetDeadLetterTopic(), policy.GetMaxDeliveryAttempts()))
	}
	if sub.GetFilter() != "" {
		facts = append(facts, "filter "+sub.GetFilter())
	}
	if sub.GetEnableExactlyOnceDelivery() {
		facts = append(facts, "exactly-once delivery")
	}
	if sub.GetEnableMessageOrdering() {
		facts = append(facts, "ordered by key")
	}
	return strings.Join(facts, ", ")
}

func days(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

// otherTarget says that messages go elsewhere, so that nobody can pull them.
func otherTarget(sub *pubsubpb.Subscription) bool {
	return sub.GetPushConfig().GetPushEndpoint() != "" || sub.GetBigqueryConfig().GetTable() != "" ||
		sub.GetCloudStorageConfig().GetBucket() != "" || sub.GetDetached() || sub.GetTopic() == "_deleted-topic_"
}

// advice says what should be set up differently.
func advice(sub *pubsubpb.Subscription) (fixes []string) {
	advise := func(needed bool, fix string) {
		if needed {
			fixes = append(fixes, fix)
		}
	}
	advise(sub.GetTopic() == "_deleted-topic_" || sub.GetDetached(), "its topic is gone, so that nothing new comes: make a new subscription on the topic of the log sink")
	advise(sub.GetPushConfig().GetPushEndpoint() != "" || sub.GetBigqueryConfig().GetTable() != "" || sub.GetCloudStorageConfig().GetBucket() != "",
		"it delivers to a push endpoint, BigQuery or Cloud Storage: make a pull subscription for Foretop")
	advise(sub.GetMessageRetentionDuration().AsDuration() < shortRetention,
		"raise its message retention to 7 days: it is the time that Foretop or Elasticsearch may be down without a loss")
	ttl := sub.GetExpirationPolicy().GetTtl().AsDuration()
	advise(ttl > 0 && ttl < 31*24*time.Hour, "let it never expire, so that Google does not delete it after a pause")
	policy := sub.GetDeadLetterPolicy()
	advise(policy == nil, "a dead letter topic would show messages that no replica survives; give it at least 20 attempts")
	advise(policy != nil && policy.GetMaxDeliveryAttempts() < 20,
		"raise the dead letter policy to at least 20 attempts: restarts count too")
	return fixes
}

// probePermission asks whether we may read, and reports it; it is true if we may or if nobody can tell.
func (r *reader) probePermission(ctx context.Context, report func(pipeline.Check)) bool {
	check := pipeline.Check{Name: "permission to read " + r.stream}
	ask, cancel := context.WithTimeout(ctx, scanAsk)
	defer cancel()
	answer, err := r.src.client.SubscriptionAdminClient.TestIamPermissions(ask, &iampb.TestIamPermissionsRequest{
		Resource: r.stream, Permissions: []string{permissionConsume},
	})
	may := true
	switch {
	case status.Code(err) == codes.Unimplemented:
		check.State, check.Detail = pipeline.CheckWarning, "not known: this server has no permissions to ask for, as an emulator"
	case err != nil:
		check.State, check.Detail, may = pipeline.CheckFailed, explain(r.stream, err).Error(), false
	case !slices.Contains(answer.GetPermissions(), permissionConsume):
		check.State, check.Detail, may = pipeline.CheckFailed, permissionConsume+" is not granted", false
		check.Fix = "grant roles/pubsub.subscriber on the subscription to the identity of this process"
	default:
		check.Detail = permissionConsume + " is granted"
	}
	report(check)
	return may
}

// probeSample pulls up to limit messages and gives them back.
func (r *reader) probeSample(ctx context.Context, sub *pubsubpb.Subscription, limit int, report func(pipeline.Check)) []pipeline.Record {
	check := pipeline.Check{Name: "sample of " + r.stream}
	defer func() { report(check) }()
	switch {
	case sub == nil:
		check.State, check.Detail = pipeline.CheckWarning, "none taken: it is not known whether the subscription counts deliveries"
		return nil
	case sub.GetDeadLetterPolicy() != nil:
		check.Detail = "none taken: each delivery counts towards the limit of its dead letter policy"
		return nil
	case sub.GetEnableMessageOrdering():
		check.Detail = "none taken: giving back a message of an ordered subscription repeats those after it"
		return nil
	}
	ask, cancel := context.WithTimeout(ctx, r.src.tuning.pull)
	defer cancel()
	answer, err := r.src.client.SubscriptionAdminClient.Pull(ask, &pubsubpb.PullRequest{Subscription: r.stream, MaxMessages: int32(min(limit, 1000))})
	switch {
	case status.Code(err) == codes.DeadlineExceeded || err == nil && len(answer.GetReceivedMessages()) == 0:
		check.State, check.Detail = pipeline.CheckWarning, fmt.Sprintf("no message within %s: none was written, or a running reader has them all", r.src.tuning.pull)
		check.Fix = "see whether a log sink writes to " + sub.GetTopic()
		return nil
	case err != nil:
		check.State, check.Detail = pipeline.CheckFailed, explain(r.stream, err).Error()
		if codeOf(err) == codes.NotFound {
			check.Fix = "create the subscription on the topic of the log sink, or correct SUBSCRIPTIONS"
		}
		return nil
	}
	records := make([]pipeline.Record, 0, len(answer.GetReceivedMessages()))
	ids := make([]string, 0, len(answer.GetReceivedMessages()))
	for _, received := range answer.GetReceivedMessages() {
		m := received.GetMessage()
		ids = append(ids, received.GetAckId())
		records = append(records, pipeline.Record{
			Body: m.GetData(), Time: m.GetPublishTime().AsTime(), Pos: m.GetMessageId(),
			Meta: r.meta(&pubsub.Message{Attributes: m.GetAttributes(), OrderingKey: m.GetOrderingKey()}),
		})
	}
	check.Detail = fmt.Sprintf("%d messages, given back", len(records))
	if err := r.returnSample(ctx, ids); err != nil {
		check.State = pipeline.CheckWarning
		check.Detail = fmt.Sprintf("%d messages, which come again %d seconds from now: %s", len(records), sub.GetAckDeadlineSeconds(), err)
	}
	return records
}

func (r *reader) returnSample(ctx context.Context, ids []string) error {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.src.tuning.pull)
	defer cancel()
	return r.src.client.SubscriptionAdminClient.ModifyAckDeadline(ask, &pubsubpb.ModifyAckDeadlineRequest{Subscription: r.stream, AckIds: ids})
}
