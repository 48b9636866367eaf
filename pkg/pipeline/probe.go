package pipeline

import (
	"context"
	"time"
)

// Prober is what a Source or Sink may implement so that `foretop doctor` can examine it before it is run.
//
// Probe makes the smallest calls that show whether it would work and reports each in the order of making it; it
// goes on after a failure where later calls can still tell something. It moves no saved position, joins no group
// that others share, acknowledges and writes nothing. A source returns up to limit records that it holds, the
// newest it can get cheaply, as its Run would deliver them; a sink returns none.
type Prober interface {
	Probe(ctx context.Context, limit int, report func(Check)) []Record
}

// Check is the result of one step of a Probe.
type Check struct {
	// Name says what was checked, in one or two words: "credentials", "log group /aws/eks/prod/cluster".
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	// Detail says what was found. It holds no secret and no text from records.
	Detail string `json:"detail,omitempty"`
	// Fix says what to do, for example the permission to grant; empty where all is well.
	Fix string `json:"fix,omitempty"`
}

// CheckState orders checks by how bad they are.
type CheckState int

// The states of a Check. A warning is for what works and is probably not what was wanted.
const (
	CheckOK CheckState = iota
	CheckWarning
	CheckFailed
)

func (s CheckState) String() string {
	switch s {
	case CheckWarning:
		return "warning"
	case CheckFailed:
		return "failed"
	default:
		return "ok"
	}
}

// MarshalText makes the state its name in JSON.
func (s CheckState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// History asks a Source to read what its service holds from Since on, up to Until, and to end: Run returns nil
// when everything is read and settled. Such a source moves no saved position and joins no group, so that the
// service that follows the same logs does not notice. Both bounds are compared with what the service itself
// knows of a record's time; a few records outside of them may come.
type History struct {
	Since, Until time.Time
}

// Incomplete is what a Source that reads to an end may implement. Unreadable says which parts of its input it
// could not read, or not to their end, and why: one error each, for the person who reads them. It is complete
// when Run has returned; Run itself then returns nil for the sake of what could be read, which was judged.
type Incomplete interface {
	Unreadable() []error
}
