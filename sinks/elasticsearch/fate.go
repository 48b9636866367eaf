package elasticsearch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// fate is what a status and an error type say about a document or a request.
type fate int

const (
	stored    fate = iota
	duplicate      // there is a document with this id already
	retry          // waiting may cure it
	refused        // Elasticsearch will never take it as it is
	tooLarge       // the same, because of its size
	denied         // credentials or privileges
	missing        // no data stream and no template for one
)

// passing are errors that pass, whatever status they come with: a full disk is a 403 on old servers and a
// 429 on new ones, an overloaded node may say 429 or 503.
var passing = map[string]bool{
	"cluster_block_exception":                 true,
	"es_rejected_execution_exception":         true,
	"unavailable_shards_exception":            true,
	"no_shard_available_action_exception":     true,
	"circuit_breaking_exception":              true,
	"master_not_discovered_exception":         true,
	"process_cluster_event_timeout_exception": true,
	"index_closed_exception":                  true,
}

const versionConflict = "version_conflict_engine_exception"

func fateOf(status int, kind string) fate {
	switch {
	case passing[kind]:
		return retry
	case status == http.StatusConflict:
		if kind == "" || kind == versionConflict {
			return duplicate
		}
		return retry
	case status >= 200 && status < 300:
		return stored
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return denied
	case status == http.StatusNotFound:
		return missing
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500, status < 200:
		return retry
	default:
		return refused
	}
}

// plainType is an error type as Elasticsearch writes them, snake case, and nothing else, so that no text
// of a document or a proxy comes into a message.
func plainType(s string) string {
	if len(s) > 100 {
		return ""
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return ""
		}
	}
	return s
}

// maxRetryAfter bounds what a server can ask for, so that a wrong clock does not stop the sink for days.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads a Retry-After header: seconds, or an HTTP date.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(header); err == nil {
		return min(max(time.Duration(min(seconds, 1e6))*time.Second, 0), maxRetryAfter)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// networkError classifies the failure of a request that got no answer. A certificate that cannot be
// trusted needs a human; anything else may pass.
func networkError(ctx context.Context, about string, timeout time.Duration, err error) error {
	fatal := func(format string, args ...any) error {
		return pipeline.FatalError(fmt.Errorf("elasticsearch: "+about+": "+format, args...))
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("elasticsearch: %s: %w (%s)", about, errTimeout, timeout)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fatal("the server's certificate is valid from %s to %s only (the clock here says %s)",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fatal("the server's certificate is signed by an authority that is not trusted here: name its file in CA_FILE")
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return fatal("the server's certificate is not for the name in the address: %w", host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return fatal("the server's certificate is not valid: %w", invalid)
	}
	return fmt.Errorf("elasticsearch: %s: %w", about, err)
}
