package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"
)

// retryAfter is what an answer that asks for a repetition says, in seconds. The client of API servers obeys it up to
// ten times within the 30 seconds of one attempt, so that it costs none of the attempts after which events are dropped.
const retryAfter = "3"

// answerMargin is taken off the time that a sender grants, so that our answer is there before it gives up.
const answerMargin = 2 * time.Second

// refusal is an answer other than 200.
type refusal struct {
	code int
	text string
	// again says that the same request can be taken later, on the same connection.
	again bool
}

// ServeHTTP implements http.Handler.
func (r *run) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	began := time.Now()
	control := http.NewResponseController(w)
	// For HTTP/2 too, where the server's own ReadTimeout is one of the connection.
	_ = control.SetReadDeadline(began.Add(r.cfg.ReadTimeout)) // fails on a connection that is gone, as reading will
	refused := r.serveRequest(control, req, began)
	if r.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	if refused == nil {
		w.WriteHeader(http.StatusOK)
		r.metrics.answered(http.StatusOK, time.Since(began))
		return
	}
	r.metrics.answered(refused.code, time.Since(began))
	header := w.Header()
	switch {
	case refused.again:
		header.Set("Retry-After", retryAfter)
	default:
		// What is left of the body is not worth reading, nor is another try of somebody who proves nothing.
		header.Set("Connection", "close")
	}
	switch refused.code {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodPost)
	case http.StatusUnsupportedMediaType:
		header.Set("Accept-Encoding", "identity")
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(refused.code)
	fmt.Fprintln(w, refused.text)
}

// serveRequest takes a request over, or says why not. Nil means that it may be answered with 200.
func (r *run) serveRequest(control *http.ResponseController, req *http.Request, began time.Time) *refusal {
	from, ok := r.access.Load().authenticate(req)
	if !ok {
		return &refusal{code: http.StatusUnauthorized, text: "unauthorized"}
	}
	if p, ok := req.Context().Value(provenKey{}).(*proven); ok {
		p.Store(true)
	}
	if refused := r.check(req); refused != nil {
		r.complain(from, refused)
		return refused
	}
	defer r.requests.Add(-1)
	if r.requests.Add(1) > int64(r.cfg.MaxRequests) {
		return &refusal{code: http.StatusTooManyRequests, text: "too many requests are in progress", again: true}
	}
	// A body of unknown length may be as long as is allowed.
	reserved := int64(r.cfg.MaxBody)
	if req.ContentLength >= 0 {
		reserved = req.ContentLength
	}
	if !r.reserve(reserved) {
		return &refusal{code: http.StatusTooManyRequests, text: "too many bytes are in progress", again: true}
	}
	body, refused := r.read(req)
	if refused != nil {
		r.release(reserved)
		r.complain(from, refused)
		return refused
	}
	r.release(reserved - int64(len(body)))
	// A deadline that passes while nothing is read would end the connection.
	_ = control.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithDeadline(req.Context(), r.deadline(req, began))
	defer cancel()
	if r.queue != nil {
		defer r.release(int64(len(body)))
		return r.enqueue(from, body, began)
	}
	return r.deliver(ctx, from, body, began)
}

// check looks at the request without its body.
func (r *run) check(req *http.Request) *refusal {
	switch {
	case req.URL.Path != r.cfg.Path:
		return &refusal{code: http.StatusNotFound, text: "audit events are posted to another path"}
	case req.Method != http.MethodPost:
		return &refusal{code: http.StatusMethodNotAllowed, text: "audit events are posted"}
	case r.draining.Load():
		return &refusal{code: http.StatusServiceUnavailable, text: "shutting down", again: true}
	case req.ContentLength > int64(r.cfg.MaxBody):
		return r.tooLarge()
	}
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{code: http.StatusUnsupportedMediaType, text: "audit events are posted as application/json"}
	}
	if encoding := req.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &refusal{code: http.StatusUnsupportedMediaType, text: "audit events are posted uncompressed"}
	}
	return nil
}

func (r *run) tooLarge() *refusal {
	return &refusal{code: http.StatusRequestEntityTooLarge, text: "the body is longer than " + r.cfg.MaxBody.String() +
		": set --audit-webhook-truncate-enabled, or a smaller --audit-webhook-batch-max-size, or raise MAX_BODY"}
}

// read reads the body, no more of it than is allowed.
func (r *run) read(req *http.Request) ([]byte, *refusal) {
	limit := int64(r.cfg.MaxBody)
	var body []byte
	var err error
	if req.ContentLength >= 0 {
		body = make([]byte, req.ContentLength)
		_, err = io.ReadFull(req.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(req.Body, limit+1))
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{code: http.StatusRequestTimeout, text: "the request did not arrive in time"}
	case err != nil:
		return nil, &refusal{code: http.StatusBadRequest, text: "the request ended early"}
	case int64(len(body)) > limit:
		return nil, r.tooLarge()
	}
	return body, nil
}

// complain logs what a cluster that proved who it is does wrong, since its events are lost after some attempts.
func (r *run) complain(from cluster, refused *refusal) {
	if !refused.again {
		r.throttle.Log(slog.LevelWarn, strconv.Itoa(refused.code)+from.name, "a request was refused; its API server drops the events after some attempts",
			"source", r.opt.Name, "cluster", from.name, "code", refused.code, "reason", refused.text)
	}
}

// deadline is the time to answer by.
func (r *run) deadline(req *http.Request, began time.Time) time.Time {
	wait := r.cfg.SettleTimeout
	if granted, err := time.ParseDuration(req.URL.Query().Get("timeout")); err == nil && granted > 0 {
		wait = min(wait, max(granted-answerMargin, granted/2))
	}
	return began.Add(wait)
}

func (s *Source) reserve(n int64) bool {
	if !s.bytes.TryAcquire(n) {
		return false
	}
	s.held.Add(n)
	return true
}

func (s *Source) release(n int64) {
	s.held.Add(-n)
	s.bytes.Release(n)
}
