package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

const (
	// distinct is how many large events are made before the replay goes round them.
	distinct = 600
	// A replay may add some bytes to names and versions: the events stay between 8 and 20 KB.
	smallest, largest = 8_300, 19_700
)

var large = sync.OnceValues(func() ([]template, error) {
	lines, err := generate(distinct)
	if err != nil {
		return nil, err
	}
	return templates(lines)
})

// Generated returns that many events of 8 to 20 KB, as big clusters write them: what a real API server would have written of
// pods with many containers, deployments by kubectl apply, definitions of resources, long texts and lists.
func Generated(events int) (*File, error) {
	all, err := large()
	if err != nil {
		return nil, fmt.Errorf("large: %w", err)
	}
	return replay("large", all, events), nil
}

// An object is a JSON object that keeps the order of its keys, as the API server's types do: key, value, key, value.
type object []any

type list []any

// appendJSON writes as encoding/json does, with its escapes of <, > and &.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		dst = append(dst, '{')
		for i := 0; i < len(v); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSON(dst, v[i]), ':')
			dst = appendJSON(dst, v[i+1])
		}
		return append(dst, '}')
	case list:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	default:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // a mistake in this package: only strings, numbers, booleans and maps of them are used
		}
		return append(dst, text...)
	}
}

// MarshalJSON is for objects inside maps, where encoding/json sorts the keys.
func (o object) MarshalJSON() ([]byte, error) { return appendJSON(nil, o), nil }

// A generator makes events, one after the other in time.
type generator struct {
	*rand.Rand
	now     time.Time
	version int
}

// A request is the part of an event in which the kinds of events differ.
type request struct {
	verb, uri, agent, reason string
	user, ref                object
	code                     int
	sent                     any // nil: no requestObject
	answer                   any
}

func generate(events int) ([][]byte, error) {
	// #nosec G404 -- the same bytes on every run are the point
	g := &generator{Rand: rand.New(rand.NewPCG(seed, seed)), now: time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC), version: 48_211_000}
	kinds := []func(*generator) request{ // how often each comes here is its share
		podCreated, podCreated, podCreated, podStatus, podStatus, deploymentApplied, deploymentApplied, deploymentUpdated,
		configUpdated, definitionUpdated, podsListed,
	}
	lines := make([][]byte, 0, events)
	for tries := 0; len(lines) < events; tries++ {
		if tries == 100*events {
			return nil, errors.New("no events of 8 to 20 KB are made")
		}
		g.now = g.now.Add(time.Duration(1+g.IntN(40_000)) * time.Microsecond)
		g.version += 1 + g.IntN(9)
		line := appendJSON(nil, g.event(kinds[len(lines)%len(kinds)](g)))
		if len(line) >= smallest && len(line) <= largest {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (g *generator) event(r request) object {
	e := object{
		"kind", "Event", "apiVersion", "audit.k8s.io/v1", "level", "RequestResponse", "auditID", g.uuid(), "stage", "ResponseComplete",
		"requestURI", r.uri, "verb", r.verb, "user", r.user,
		"sourceIPs", list{fmt.Sprintf("10.0.%d.%d", g.IntN(256), g.IntN(256))}, "userAgent", r.agent,
		"objectRef", r.ref, "responseStatus", object{"metadata", object{}, "code", r.code},
	}
	if r.sent != nil {
		e = append(e, "requestObject", r.sent)
	}
	return append(e, "responseObject", r.answer,
		"requestReceivedTimestamp", micro(g.now.Add(-time.Duration(2+g.IntN(20_000))*time.Microsecond)), "stageTimestamp", micro(g.now),
		"annotations", object{"authorization.k8s.io/decision", "allow", "authorization.k8s.io/reason", r.reason})
}

// user returns a user as an event names it; groups without system:authenticated.
func (g *generator) user(name string, groups ...any) object {
	return object{"username", name, "uid", g.uuid(), "groups", append(list(groups), "system:authenticated"),
		"extra", object{"authentication.kubernetes.io/credential-id", list{"JTI=" + g.uuid()}}}
}

func (g *generator) controller(name string) object {
	return g.user("system:serviceaccount:kube-system:"+name, "system:serviceaccounts", "system:serviceaccounts:kube-system")
}

func micro(t time.Time) string { return t.Format(micros) }

func (g *generator) time() string {
	return g.now.Add(-time.Duration(g.IntN(86_400)) * time.Second).Format(seconds)
}

func (g *generator) resourceVersion() string { return strconv.Itoa(g.version - g.IntN(1000)) }

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) from(alphabet string, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(text)
}

func (g *generator) uuid() string {
	h := g.from(hexAlphabet, 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}
