package cloudwatch

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
)

// clock is AWS' time, measured by the Date of its answers. The bounds of what is read are times of events, which
// AWS' clock made: with our own clock ahead, the sweep would come before the last events have.
type clock struct {
	skew  atomic.Int64
	known atomic.Bool // it was measured
}

// skewTolerance is what a Date cannot tell: it has whole seconds, and the answer took its time.
const skewTolerance = 2 * time.Second

// now is AWS' time in milliseconds since 1970.
func (c *clock) now() int64 { return time.Now().UnixMilli() + c.skew.Load() }

// ahead is by how much AWS' clock is ahead of ours, zero if that cannot be told from zero.
func (c *clock) ahead() time.Duration { return time.Duration(c.skew.Load()) * time.Millisecond }

// observe takes the time from an answer or an error.
func (c *clock) observe(metadata *middleware.Metadata, err error) {
	if err != nil {
		if res, ok := errors.AsType[*awshttp.ResponseError](err); ok && res.Response != nil {
			if at, err := http.ParseTime(res.Response.Header.Get("Date")); err == nil {
				c.set(at, time.Now())
			}
		}
		return
	}
	at, ok := awsmiddleware.GetServerTime(*metadata)
	received, known := awsmiddleware.GetResponseAt(*metadata)
	if ok && known {
		c.set(at, received)
	}
}

func (c *clock) set(server, local time.Time) {
	skew := server.Sub(local)
	if skew.Abs() <= skewTolerance {
		skew = 0
	}
	c.skew.Store(skew.Milliseconds())
	c.known.Store(true)
}
