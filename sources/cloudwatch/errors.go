package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// kind says what to do about a failed call. Its text is a label of metrics.
type kind string

const (
	kindOK          kind = "ok"
	kindThrottled   kind = "throttled"   // slower
	kindToken       kind = "token"       // the pass from its beginning
	kindDenied      kind = "denied"      // somebody has to act
	kindMissing     kind = "missing"     // somebody has to act
	kindCredentials kind = "credentials" // somebody has to act, or they are renewed
	kindClock       kind = "clock"       // somebody has to act
	kindRefused     kind = "refused"     // AWS finds the request wrong
	kindUnreachable kind = "unreachable" // again
	kindTransient   kind = "error"       // again
)

// sure says that waiting alone will hardly cure it.
func (k kind) sure() bool {
	return k != kindThrottled && k != kindToken && k != kindUnreachable && k != kindTransient
}

// cure is what to do about a failure of this kind; lacking is the answer to a missing permission.
func (k kind) cure(lacking string) string {
	switch k {
	case kindDenied:
		return lacking
	case kindUnreachable:
		return "see whether AWS can be reached from here: endpoints, proxy, network policy"
	}
	return ""
}

// failure is a failed call, for the person who reads it.
type failure struct {
	kind kind
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// credentialsError is that there are no credentials to make a call with.
type credentialsError struct {
	role string
	err  error
}

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// kindOf is the kind of a failure, transient for other errors.
func kindOf(err error) kind {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.kind
	}
	return kindTransient
}

// clockSuspect is a skew beyond which AWS refuses signatures (5 minutes), less a margin.
const clockSuspect = 4 * time.Minute

// explain makes a failure of what a call of action (as permissions name it) on t returned. paged says that the
// call had a token.
func explain(err error, action string, t *target, ahead time.Duration, paged bool) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	f := &failure{err: err, kind: kindTransient, text: fmt.Sprintf("%s on %s failed: %v", action, t.arn(), err)}
	if c, ok := errors.AsType[*credentialsError](err); ok {
		f.credentials(c, ahead)
		return f
	}
	if sent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		f.kind, f.text = kindUnreachable, fmt.Sprintf("%s: AWS cannot be reached: %v", action, sent.Err)
		return f
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return f
	}
	f.api(api, action, t, ahead, paged)
	if res, ok := errors.AsType[*awshttp.ResponseError](err); ok && f.kind == kindRefused && res.HTTPStatusCode() >= http.StatusInternalServerError {
		f.kind = kindTransient
	}
	return f
}

// api classifies by AWS' code. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html
func (f *failure) api(e smithy.APIError, action string, t *target, ahead time.Duration, paged bool) {
	said := fmt.Sprintf(" (%s: %s)", e.ErrorCode(), e.ErrorMessage())
	switch e.ErrorCode() {
	case "ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "LimitExceededException", "SlowDown":
		f.kind = kindThrottled
		f.text = "AWS throttles " + action + " in " + t.route.region + ": the quota of the account is used up; calls are made more slowly" + said
	case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized":
		f.kind = kindDenied
		f.text = fmt.Sprintf("%s on %s is not allowed: grant it to the role or user that Foretop runs as%s", action, t.arn()+":*", said)
		if t.route.role != "" {
			f.text = fmt.Sprintf("%s on %s is not allowed: grant it to %s%s", action, t.arn()+":*", t.route.role, said)
		}
	case "ResourceNotFoundException":
		f.kind = kindMissing
		f.text = fmt.Sprintf("there is no log group %s: see whether name, region and account are right, and whether audit logging of the cluster is on%s", t.arn(), said)
	case "InvalidParameterException":
		f.kind = kindRefused
		f.text = fmt.Sprintf("AWS finds %s on %s wrong%s", action, t.arn(), said)
		if e, ok := errors.AsType[*types.InvalidParameterException](f.err); paged || ok && strings.Contains(strings.ToLower(e.ErrorMessage()), "token") {
			f.kind = kindToken
		}
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException", "OptInRequired":
		f.kind = kindCredentials
		f.text = "AWS does not accept the credentials: they have expired or are wrong; renew them" + said
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture", "AuthFailure":
		f.signature(e.ErrorCode(), ahead, said)
	case "InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException", "OperationAbortedException":
	default:
		f.kind = kindRefused
		f.text = fmt.Sprintf("AWS refuses %s on %s%s", action, t.arn(), said)
	}
}

// signature tells a wrong clock from wrong credentials.
func (f *failure) signature(code string, ahead time.Duration, said string) {
	f.kind, f.text = kindCredentials, "AWS does not accept the signature: the secret key is wrong"+said
	if ahead.Abs() >= clockSuspect {
		f.kind, f.text = kindClock, fmt.Sprintf("AWS does not accept the signature: this machine's clock is %s; set it%s", describeSkew(ahead), said)
	} else if code == "RequestExpired" || strings.HasPrefix(code, "RequestTime") || code == "RequestInTheFuture" {
		f.kind, f.text = kindClock, "AWS finds the time of the request wrong: see whether this machine's clock jumps, and whether the network holds requests up"+said
	}
}

// describeSkew says how far our clock is off.
func describeSkew(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Second).String() + " ahead of AWS' clock"
	}
	return ahead.Round(time.Second).String() + " behind AWS' clock"
}

// credentials says why there are none.
func (f *failure) credentials(c *credentialsError, ahead time.Duration) {
	api, ok := errors.AsType[smithy.APIError](c.err)
	switch {
	case errors.Is(c.err, context.Canceled):
		f.text = "stopped while getting credentials"
	case ok && isSignature(api.ErrorCode()):
		f.signature(api.ErrorCode(), ahead, fmt.Sprintf(" (%s: %s)", api.ErrorCode(), api.ErrorMessage()))
	case ok && c.role != "":
		f.kind = kindCredentials
		f.text = fmt.Sprintf("the role %s cannot be assumed: its trust policy must allow sts:AssumeRole to Foretop's own role or user, with the external id that it asks for (%s: %s)", c.role, api.ErrorCode(), api.ErrorMessage())
	case ok:
		f.kind = kindCredentials
		f.text = fmt.Sprintf("AWS gives out no credentials (%s: %s)", api.ErrorCode(), api.ErrorMessage())
	default:
		f.kind = kindCredentials
		f.text = fmt.Sprintf("no AWS credentials are to be had: give the pod a role (IRSA or Pod Identity), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (%v)", c.err)
	}
}

func isSignature(code string) bool {
	switch code {
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture":
		return true
	}
	return false
}
