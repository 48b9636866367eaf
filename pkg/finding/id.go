package finding

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// idSchema is part of every id: a change of what ids are made of is a new number.
const idSchema = "1"

// IDOf is the id of the finding of rule about ev: event.id and the document's _id. It depends on the
// request and the rule's identity only, so that the stages of one request, both log categories of AKS
// and every redelivery are one finding.
//
// It is the lower-case hex SHA-256 of nine parts, each written as its length in bytes (8 bytes, big
// endian) and then its bytes (UTF-8 as in the event):
//
//  1. "1", the schema number
//  2. the cluster's id ("unknown" where nothing names the cluster)
//  3. the rule's id (a UUID); its name or title where it has none
//  4. auditID
//  5. user.username
//  6. impersonatedUser.username
//  7. verb
//  8. requestURI up to, and without, the first "?"
//  9. requestReceivedTimestamp as decimal microseconds since 1970-01-01T00:00:00Z, rounded down
//
// What the event lacks is an empty part.
func IDOf(ev *event.Event, env *event.Envelope, rule *sigma.Rule) string {
	impersonated, received := "", ""
	if ev.ImpersonatedUser != nil {
		impersonated = ev.ImpersonatedUser.Username
	}
	if t := ev.RequestReceivedTimestamp; !t.IsZero() {
		received = strconv.FormatInt(t.UnixMicro(), 10)
	}
	path, _, _ := strings.Cut(ev.RequestURI, "?")
	return hashParts(idSchema, clusterID(env), rule.Key(), ev.AuditID, ev.User.Username, impersonated, ev.Verb, path, received)
}

func clusterID(env *event.Envelope) string {
	switch {
	case env.Cluster.ID != "":
		return env.Cluster.ID
	case env.Cluster.Name != "":
		return env.Cluster.Name
	}
	return event.UnknownCluster
}

func hashParts(parts ...string) string {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
