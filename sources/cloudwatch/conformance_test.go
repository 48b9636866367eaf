package cloudwatch

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		s := newService(t)
		cfg := settings(t, testGroup)
		cfg.BatchRecords = 20
		store := newStore(t)
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source {
				src, _ := newSource(t, cfg, Options{Store: store})
				return src
			},
			Put: func(_ *testing.T, bodies ...[]byte) {
				for _, b := range bodies {
					s.happen(string(b))
				}
			},
			DrainLimit: cfg.DrainTimeout, SaveInterval: 20 * time.Millisecond, MaxEmits: 2,
			Repeats:     true, // what lies behind the sweep's position is read again by the next source
			LeakOptions: idle,
		}
	})
}

// TestHistoryConforms runs the suite on the source that reads what is stored and ends.
func TestHistoryConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		s := newService(t)
		cfg := settings(t, testGroup)
		cfg.BatchRecords = 20
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source {
				src, _ := newSource(t, cfg, Options{History: &pipeline.History{Since: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Second)}})
				return src
			},
			Put: func(_ *testing.T, bodies ...[]byte) {
				for _, b := range bodies {
					s.happen(string(b))
				}
			},
			DrainLimit: cfg.DrainTimeout, Finite: true, Volatile: true, Repeats: true, LeakOptions: idle,
		}
	})
}

// idle are the connections that the AWS client keeps, and those of the service, which end after the test.
var idle = []goleak.Option{
	goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
	goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"),
	goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
}
