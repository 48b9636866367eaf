package cloudwatch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// service behaves like CloudWatch Logs and STS behind one endpoint: events that become visible late, pages, tokens
// that expire, quotas, permissions, a clock of its own. It speaks AWS JSON 1.1 and AWS Query.
type service struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	groups map[string]*fakeGroup // by region/name
	tokens map[string]*cursor
	nextID int
	// pageSize is the most events of a page; emptyPages is how many empty pages come before each page with events.
	pageSize, emptyPages int
	// fault, if it returns an error, is what a request gets instead of its answer.
	fault func(r *request) *apiError
	// after is called with each answer of FilterLogEvents before it is sent.
	after func(r *request, out *filterAnswer)
	// skew is by how much its clock is ahead. strict refuses signatures that are more than 5 minutes off.
	skew   time.Duration
	strict bool
	// anyStream ignores the prefix of streams, like an emulation.
	anyStream bool
	// exclusive leaves out events at the end of the range.
	exclusive bool
	requests  []*request
}

type fakeGroup struct {
	region, name, class string
	created             time.Time
	retention           int
	events              []*fakeEvent
}

type fakeEvent struct {
	Stream   string `json:"logStreamName"`
	At       int64  `json:"timestamp"`
	Message  string `json:"message"`
	Ingested int64  `json:"ingestionTime"`
	ID       string `json:"eventId"`
	visible  time.Time
}

// request is one call as the service got it.
type request struct {
	op, region, key, externalID string
	at                          time.Time
	in                          filterInput
	page                        int // of its pass, from 1 on
}

type filterInput struct {
	LogGroupName, LogGroupIdentifier, LogStreamNamePrefix, LogGroupNamePrefix, NextToken string
	StartTime, EndTime                                                                   int64
	Limit                                                                                int
	StartFromHead                                                                        any // a bool, or nil
}

type filterAnswer struct {
	Events    []*fakeEvent `json:"events"`
	NextToken string       `json:"nextToken,omitempty"`
}

// cursor is what a token stands for.
type cursor struct {
	in    filterInput
	last  *fakeEvent
	empty int
	page  int
	dead  bool
}

type apiError struct {
	status        int
	code, message string
}

func throttled() *apiError { return &apiError{400, "ThrottlingException", "Rate exceeded"} }
func denied() *apiError {
	return &apiError{400, "AccessDeniedException", "User is not authorized to perform it"}
}

const (
	testRegion  = "eu-central-1"
	testAccount = "123456789012"
	testGroup   = "/aws/eks/prod/cluster"
	auditStream = "kube-apiserver-audit-0123456789abcdef0123456789abcdef"
)

// newService starts a service with one empty log group, and points the environment of the test at it.
func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, groups: make(map[string]*fakeGroup), tokens: make(map[string]*cursor), pageSize: 100}
	s.group(testRegion, testGroup)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": testRegion, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "HOME": t.TempDir(),
		"AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	return s
}

func (s *service) group(region, name string) *fakeGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &fakeGroup{region: region, name: name, class: "STANDARD", created: time.Now().Add(-24 * time.Hour)}
	s.groups[region+"/"+name] = g
	return g
}

// now is the service's own time.
func (s *service) now() time.Time { return time.Now().Add(s.skew) }

// put stores an event that happened at at and can be seen from visible on.
func (s *service) put(group, stream, message string, at, visible time.Time) *fakeEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[group]
	if g == nil {
		g = s.groups[testRegion+"/"+group]
	}
	s.nextID++
	e := &fakeEvent{Stream: stream, At: at.UnixMilli(), Message: message, Ingested: visible.UnixMilli(), ID: fmt.Sprintf("%056d", s.nextID), visible: visible}
	g.events = append(g.events, e)
	return e
}

// happen stores an event of now.
func (s *service) happen(message string) *fakeEvent {
	now := s.now()
	return s.put(testGroup, auditStream, message, now, now)
}

// calls are the requests of one operation so far.
func (s *service) calls(op string) []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*request
	for _, r := range s.requests {
		if r.op == op {
			out = append(out, r)
		}
	}
	return out
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	req := &request{at: time.Now()}
	if credential := strings.SplitN(r.Header.Get("Authorization"), "Credential=", 2); len(credential) == 2 {
		parts := strings.Split(credential[1], "/")
		req.key, req.region = parts[0], parts[2]
	}
	form := url.Values{}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		req.op = strings.TrimPrefix(target, "Logs_20140328.")
		if err := json.Unmarshal(body, &req.in); err != nil {
			s.t.Errorf("a request that is no JSON: %s", body)
		}
		if c := s.tokens[req.in.NextToken]; c != nil {
			req.page = c.page
		}
		req.page++
	} else {
		if form, err = url.ParseQuery(string(body)); err != nil {
			s.t.Errorf("a request that is no form: %s", body)
		}
		req.op, req.externalID = form.Get("Action"), form.Get("ExternalId")
	}
	s.requests = append(s.requests, req)
	answer, fault := s.answer(req, r, form)
	switch text, isText := answer.(string); {
	case fault != nil && req.in != (filterInput{}), fault != nil && len(form) == 0:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(fault.status)
		fmt.Fprintf(w, `{"__type":%q,"message":%q}`, fault.code, fault.message)
	case fault != nil:
		w.WriteHeader(fault.status)
		fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", fault.code, fault.message)
	case isText:
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, text)
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			return
		}
	}
}

func (s *service) answer(req *request, r *http.Request, form url.Values) (any, *apiError) {
	if s.strict {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || signed.Sub(s.now()).Abs() > 5*time.Minute {
			return nil, &apiError{403, "InvalidSignatureException", "Signature expired"}
		}
	}
	if s.fault != nil {
		if e := s.fault(req); e != nil {
			return nil, e
		}
	}
	switch req.op {
	case "GetCallerIdentity":
		account := testAccount
		if role, ok := strings.CutPrefix(req.key, "ROLE"); ok {
			account = role
		}
		return "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>" + account + "</Account></GetCallerIdentityResult></GetCallerIdentityResponse>", nil
	case "AssumeRole":
		account := strings.Split(form.Get("RoleArn"), ":")[4]
		return "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ROLE" + account + "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>" +
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>", nil
	case "FilterLogEvents":
		return s.filter(req)
	case "DescribeLogGroups":
		return s.describeGroups(req), nil
	case "DescribeLogStreams":
		return s.describeStreams(req)
	}
	s.t.Errorf("the service does not know %s", req.op)
	return nil, &apiError{400, "UnknownOperationException", ""}
}

func (s *service) find(req *request) (*fakeGroup, *apiError) {
	name := req.in.LogGroupName
	if parts := strings.SplitN(req.in.LogGroupIdentifier, ":log-group:", 2); len(parts) == 2 {
		name = parts[1]
	}
	g := s.groups[req.region+"/"+name]
	if g == nil {
		return nil, &apiError{400, "ResourceNotFoundException", "The specified log group does not exist."}
	}
	return g, nil
}

// before is the order of FilterLogEvents' answers.
func before(a, b *fakeEvent) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Ingested, b.Ingested), cmp.Compare(a.ID, b.ID))
}

func (s *service) filter(req *request) (any, *apiError) {
	g, fault := s.find(req)
	if fault != nil {
		return nil, fault
	}
	if g.class == "DELIVERY" {
		return nil, &apiError{400, "InvalidOperationException", "not supported for this class"}
	}
	c := &cursor{in: req.in, empty: s.emptyPages, page: 1}
	if req.in.NextToken != "" {
		known := s.tokens[req.in.NextToken]
		if known == nil || known.dead {
			return nil, &apiError{400, "InvalidParameterException", "The specified nextToken is invalid."}
		}
		same := req.in
		same.NextToken = known.in.NextToken
		if same != known.in {
			s.t.Errorf("a token was used with other bounds: %+v, at first %+v", req.in, known.in)
		}
		again := *known
		c = &again
		c.page++
	}
	backward := req.in.StartFromHead == false
	var left []*fakeEvent
	for _, e := range g.events {
		if e.At >= req.in.StartTime && e.At <= req.in.EndTime && (!s.exclusive || e.At < req.in.EndTime) && !e.visible.After(s.now()) && e != c.last &&
			(s.anyStream || strings.HasPrefix(e.Stream, req.in.LogStreamNamePrefix)) && (c.last == nil || before(c.last, e) < 0 != backward) {
			left = append(left, e)
		}
	}
	slices.SortFunc(left, before)
	if backward {
		slices.Reverse(left)
	}
	out := &filterAnswer{Events: []*fakeEvent{}}
	switch {
	case c.empty > 0:
		c.empty--
	default:
		size := s.pageSize
		if req.in.Limit > 0 {
			size = min(size, req.in.Limit)
		}
		out.Events = left[:min(size, len(left))]
		left = left[len(out.Events):]
		c.empty = s.emptyPages
		if len(out.Events) > 0 {
			c.last = out.Events[len(out.Events)-1]
		}
		if len(left) == 0 {
			c = nil
		}
	}
	if c != nil {
		out.NextToken = "token-" + strconv.Itoa(len(s.tokens)+1)
		s.tokens[out.NextToken] = c
	}
	if s.after != nil {
		s.after(req, out)
	}
	return out, nil
}

func (s *service) describeGroups(req *request) any {
	type logGroup struct {
		Name      string `json:"logGroupName"`
		Arn       string `json:"arn"`
		Created   int64  `json:"creationTime"`
		Class     string `json:"logGroupClass"`
		Retention *int   `json:"retentionInDays,omitempty"`
	}
	out := struct {
		LogGroups []logGroup `json:"logGroups"`
	}{LogGroups: []logGroup{}}
	for _, g := range s.groups {
		if g.region == req.region && strings.HasPrefix(g.name, req.in.LogGroupNamePrefix) {
			l := logGroup{Name: g.name, Arn: "arn:aws:logs:" + g.region + ":" + testAccount + ":log-group:" + g.name + ":*", Created: g.created.UnixMilli(), Class: g.class}
			if g.retention > 0 {
				l.Retention = &g.retention
			}
			out.LogGroups = append(out.LogGroups, l)
		}
	}
	return out
}

func (s *service) describeStreams(req *request) (any, *apiError) {
	g, fault := s.find(req)
	if fault != nil {
		return nil, fault
	}
	type logStream struct {
		Name  string `json:"logStreamName"`
		First int64  `json:"firstEventTimestamp"`
		Last  int64  `json:"lastEventTimestamp"`
	}
	streams := make(map[string]*logStream)
	out := struct {
		LogStreams []*logStream `json:"logStreams"`
	}{LogStreams: []*logStream{}}
	for _, e := range g.events {
		if !strings.HasPrefix(e.Stream, req.in.LogStreamNamePrefix) {
			continue
		}
		l := streams[e.Stream]
		if l == nil {
			l = &logStream{Name: e.Stream, First: e.At, Last: e.At}
			streams[e.Stream] = l
			out.LogStreams = append(out.LogStreams, l)
		}
		l.First, l.Last = min(l.First, e.At), max(l.Last, e.At)
	}
	return out, nil
}
