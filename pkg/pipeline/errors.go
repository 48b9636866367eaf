package pipeline

import (
	"errors"
	"time"
)

// Class says what to do about an error of a sink or a source.
type Class int

const (
	// Retry is for what waiting may cure, and the default for errors that do not classify themselves.
	Retry Class = iota
	// Reject is for one item that will never succeed: it goes to the dead letters.
	Reject
	// Fatal is for what only a human can cure (credentials, a missing template): readiness goes off,
	// the pipeline keeps trying, and nothing is lost.
	Fatal
)

func (c Class) String() string {
	switch c {
	case Reject:
		return "reject"
	case Fatal:
		return "fatal"
	default:
		return "retry"
	}
}

type classified struct {
	err   error
	class Class
	after time.Duration
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// Rejected marks err as final for the item it belongs to.
func Rejected(err error) error { return &classified{err: err, class: Reject} }

// FatalError marks err as one that only a human can cure.
func FatalError(err error) error { return &classified{err: err, class: Fatal} }

// RetryAfter marks err as one to retry, not sooner than d from now.
func RetryAfter(err error, d time.Duration) error {
	return &classified{err: err, class: Retry, after: d}
}

// ClassOf finds the class of err in its chain; an unmarked error is Retry.
func ClassOf(err error) Class {
	if c, ok := errors.AsType[*classified](err); ok {
		return c.class
	}
	return Retry
}

// DelayOf is the delay that err asks for before the next attempt, zero if it asks for none.
func DelayOf(err error) time.Duration {
	if c, ok := errors.AsType[*classified](err); ok {
		return c.after
	}
	return 0
}
