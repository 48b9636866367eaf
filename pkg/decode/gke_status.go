package decode

import (
	"math"
	"strconv"
)

// gkeStatus is how the request ended.
type gkeStatus struct {
	code    int    // HTTP
	exact   bool   // code is the API server's own, or certain
	answer  []byte // the Status that the API server answered with, if it did
	message []byte // JSON text
}

// readStatus reads the HTTP status from the API server's answer, else infers it from the gRPC code.
func (c *gkeEntry) readStatus() gkeStatus {
	response, status := c.payload.raw(keyResponse), c.payload.raw(keyStatus)
	s := gkeStatus{message: c.find(status, "message")}
	if c.isStatus(response) {
		s.answer = response
		if message := c.find(response, "message"); message != nil {
			s.message = message
		}
		s.code = c.number(c.find(response, "code"))
	}
	if s.exact = s.code >= 100 && s.code < 600; s.exact {
		return s
	}
	if c.payload.cut && !c.payload.has(keyStatus) {
		s.code = 0
		return s
	}
	if status == nil {
		if _, refused := c.grants(); refused {
			s.code = 403
			return s
		}
	}
	s.code = httpStatus(c.number(c.find(status, "code")), &c.ref)
	s.exact = s.code == 200 && c.ref.patches() && c.createdLongBefore()
	return s
}

func (c *gkeEntry) isStatus(response []byte) bool {
	kind, ok := unquote(c.find(response, "@type"), &c.scratch)
	if ok {
		return string(kind) == "core.k8s.io/v1.Status" || string(kind) == "meta.k8s.io/v1.Status"
	}
	kind, _ = unquote(c.find(response, "kind"), &c.scratch)
	return string(kind) == "Status"
}

// number reads a small whole number in any spelling that protobuf's JSON has for it; zero if it is none.
func (c *gkeEntry) number(raw []byte) int {
	if text, ok := unquote(raw, &c.scratch); ok {
		raw = text
	}
	if len(raw) <= 3 && skipDigits(raw, 0) == len(raw) { // as nearly all of them write it, or nothing
		n := 0
		for _, c := range raw {
			n = n*10 + int(c-'0')
		}
		return n
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > 999 {
		return 0
	}
	return int(f)
}

// appendStatus writes responseStatus.
func (c *gkeEntry) appendStatus(b []byte) []byte {
	s := &c.status
	if s.code == 0 {
		c.miss("responseStatus")
		return b
	}
	if !s.exact {
		c.inferred = append(c.inferred, "responseStatus.code")
	}
	b = append(b, `,"responseStatus":{"metadata":{}`...)
	if s.code >= 400 {
		b = c.appendFailure(b)
	}
	b = strconv.AppendInt(append(b, `,"code":`...), int64(s.code), 10)
	return append(b, '}')
}

// reasons are those that the API server gives with a code, where there is but one.
var reasons = map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}

// appendFailure writes why the request failed, of which only the API server's own answer tells all.
func (c *gkeEntry) appendFailure(b []byte) []byte {
	for _, name := range [...]string{"status", "reason", "details"} {
		if raw := c.find(c.status.answer, name); len(raw) > 0 && string(raw) != "null" {
			b = append(append(append(append(b, `,"`...), name...), `":`...), raw...)
		}
	}
	if c.status.answer == nil {
		b = append(b, `,"status":"Failure"`...)
		if reason := reasons[c.status.code]; reason != "" {
			b = append(append(append(b, `,"reason":"`...), reason...), '"')
			c.inferred = append(c.inferred, "responseStatus.reason")
		} else {
			c.miss("responseStatus.reason")
		}
		c.miss("responseStatus.details")
	}
	if m := c.status.message; len(m) > 2 && m[0] == '"' {
		b = append(append(b, `,"message":`...), m...)
	} else if c.status.answer == nil {
		c.miss("responseStatus.message")
	}
	return b
}

// httpStatus gives the HTTP status for a gRPC code, which is what entries have. Code 2 (unknown) is what
// becomes of 101, which gRPC cannot say: https://cloud.google.com/apis/design/errors#handling_errors
func httpStatus(grpc int, ref *resourceRef) int {
	switch grpc {
	case 0:
		switch {
		case ref.upgrades() && !ref.isProxy():
			return 101
		case ref.creates() && len(ref.resource) > 0 && !ref.isProxy():
			return 201
		}
		return 200
	case 2:
		if ref.upgrades() {
			return 101
		}
		return 500
	case 1:
		return 499
	case 3, 9, 11:
		return 400
	case 4:
		return 504
	case 5:
		return 404
	case 6, 10:
		return 409
	case 7:
		return 403
	case 8:
		return 429
	case 12:
		return 501
	case 14:
		return 503
	case 16:
		return 401
	}
	return 500
}
