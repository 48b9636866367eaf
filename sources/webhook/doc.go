// Package webhook receives audit events from API servers that post them (--audit-webhook-config-file).
//
// A request is one audit.k8s.io EventList and becomes one record. It is answered with 200 when the record is
// settled, which means that its findings are stored; with QUEUE_DIR as soon as it is in the queue on disk. Every
// other answer makes an API server post the same list again, a few times: it repeats on any error, 4xx too
// (https://github.com/kubernetes/apiserver/blob/v0.36.3/plugin/pkg/audit/webhook/webhook.go, retryOnError), and
// then drops the list. So what cannot be read is no reason for an error: it is taken, becomes a dead letter, and
// is answered with 200. Errors are for what a repetition may cure, and for what was not taken at all.
//
// An answer that comes too late is as bad as none. A request that is not settled in time is answered with 503,
// but its record stays in the pipeline, and the repetition waits for that one instead of adding a second.
//
// Which cluster an event is of is not in the body. It is what the sender proved to be, by its token or its
// client certificate; nothing in the body changes that.
package webhook
