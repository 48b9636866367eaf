package pubsub

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explain says what an error of the service means for the reading of a subscription, and what to do.
func explain(subscription string, err error) error {
	format := ""
	switch codeOf(err) {
	case codes.NotFound:
		format = "%s does not exist: create it, or correct SUBSCRIPTIONS: %w"
	case codes.PermissionDenied:
		format = "%s may not be read: grant pubsub.subscriptions.consume (roles/pubsub.subscriber) on it to the identity of this process: %w"
	case codes.Unauthenticated:
		format = "%s: Google does not accept the credentials: see whether the service account exists and is bound to this process (workload identity): %w"
	case codes.FailedPrecondition:
		format = "%s cannot be pulled: it must be a pull subscription, without a push, BigQuery or Cloud Storage target, and attached to its topic: %w"
	case codes.ResourceExhausted:
		format = "%s: a quota of the project is used up: %w"
	case codes.Unavailable, codes.DeadlineExceeded:
		format = "%s: Pub/Sub does not answer: see whether its endpoint can be reached from here: %w"
	default:
		format = "%s: %w"
	}
	return fmt.Errorf(format, subscription, err)
}

// codeOf is the code of an answer, or of waiting for one in vain.
func codeOf(err error) codes.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	return status.Code(err)
}

// lasting says that an error will not go away by waiting alone.
func lasting(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition, codes.InvalidArgument, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// ours says that an error is only the end of a call that we ended.
func ours(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}
